"""A runner that says what it is told, for tests that need a real child and no weights.

Start it with EngineConfig(runner="scripted_runner:ScriptedRunner", runner_args={...}); tests/fakes is on
sys.path (pytest's `pythonpath`) and a spawned child inherits that. Arguments:

    script          what every request is answered with; words are tokens, the text ends with EOS
    scripts         {word of the prompt: script}, tried first
    tokens_per_s    pace of one step; 0 is as fast as it goes
    prefill_s       seconds per prompt token
    load_s, load_error    a slow load; a load that fails with this message
    n_ctx, n_cells, n_seq_max, n_batch

Words of a prompt that act when they are computed: CRASH aborts the process, HANG never returns,
NAN makes its request's logits non-finite, REFUSE makes the batch invalid. Text with LONGTEXT takes a second
to tokenise.
"""

from __future__ import annotations

import os
import re
import threading
import time
from typing import Any

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.model_runner import InvalidBatchError
from r1chat.serve.engine.request import ModelInfo, SamplingParams
from r1chat.serve.errors import ModelLoadError, NonFiniteLogitsError

SCRIPT = "Let me count the sheep.\nAll but nine ran away, so nine are left.\n</think>\n\nThe answer is \\boxed{9}."
BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
SPECIAL = (EOS, BOS, "<｜User｜>", "<｜Assistant｜>")
_WORD = re.compile(r"\s*[^\s<]+|\s*</?\w*>?|\s+")


class ScriptedRunner:
    def __init__(self, config: EngineConfig) -> None:
        args: dict[str, Any] = config.runner_args
        time.sleep(args.get("load_s", 0))
        if error := args.get("load_error"):
            raise ModelLoadError(error)
        self._script: str = args.get("script", SCRIPT)
        self._scripts: dict[str, str] = args.get("scripts", {})
        self._step_s = 1 / args["tokens_per_s"] if args.get("tokens_per_s") else 0.0
        self._prefill_s: float = args.get("prefill_s", 0.0)
        self._lock = threading.Lock()
        self._pieces: list[str] = list(SPECIAL)
        self._ids = {piece: token for token, piece in enumerate(self._pieces)}
        self.cells: dict[int, list[int]] = {}
        n_ctx = config.n_ctx or args.get("n_ctx", 8192)
        self.n_batch: int = args.get("n_batch", config.n_batch)
        self.n_cells: int = args.get("n_cells", n_ctx * 4)
        self.info = ModelInfo(
            path=str(config.model_path or "scripted"),
            architecture="scripted",
            description="scripted runner",
            n_params=0,
            n_ctx=n_ctx,
            n_ctx_train=n_ctx,
            n_vocab=100_000,
            n_seq_max=args.get("n_seq_max", config.n_seq_max),
            bos_token=BOS,
            eos_token=EOS,
            chat_template=None,
            gpu_offload=False,
            load_s=0.0,
        )

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        if "LONGTEXT" in text:
            time.sleep(1)
        if not special:
            return [self._id(word) for word in _WORD.findall(text)]
        parts = re.split(f"({'|'.join(map(re.escape, SPECIAL))})", text)
        return [
            token
            for part in parts
            for token in ([self._ids[part]] if part in SPECIAL else self.tokenize(part, special=False))
        ]

    def piece(self, token: int) -> bytes:
        return b"" if token < len(SPECIAL) else self._pieces[token].encode()

    def is_end(self, token: int) -> bool:
        return token == 0

    def make_sampler(self, params: SamplingParams, prompt: list[int]) -> ScriptedSampler:
        words = [self._pieces[token].strip() for token in prompt]
        script = next((self._scripts[word] for word in words if word in self._scripts), self._script)
        return ScriptedSampler([*self.tokenize(script, special=False), 0], broken="NAN" in words)

    def forward(self, batch: Batch) -> None:
        n_prefill = sum(chunk.n_rows for chunk in batch.chunks if chunk.n_rows > 1)
        time.sleep(self._step_s + n_prefill * self._prefill_s)
        assert 0 < batch.n_rows <= self.n_batch
        for chunk in batch.chunks:
            self._act(chunk.tokens)
        for chunk in batch.chunks:
            cells = self.cells.setdefault(chunk.sequence.seq_id, [])
            assert len(cells) == chunk.start, "a chunk must follow what its sequence holds"
            cells += chunk.tokens
        assert sum(map(len, self.cells.values())) <= self.n_cells

    def remove(self, seq_id: int, start: int) -> None:
        del self.cells.setdefault(seq_id, [])[start:]

    def close(self) -> None:
        self.cells.clear()

    def _act(self, tokens: list[int]) -> None:
        words = {self._pieces[token].strip() for token in tokens}
        if "CRASH" in words:
            os.abort()
        if "HANG" in words:
            time.sleep(1e6)
        if "REFUSE" in words:
            raise InvalidBatchError("refused by the script")

    def _id(self, word: str) -> int:
        with self._lock:
            if word not in self._ids:
                self._ids[word] = len(self._pieces)
                self._pieces.append(word)
            return self._ids[word]


class ScriptedSampler:
    """Says its tokens in order, whatever the row."""

    def __init__(self, tokens: list[int], *, broken: bool) -> None:
        self._tokens = iter(tokens)
        self._broken = broken

    def sample(self, row: int) -> int:
        if self._broken:
            raise NonFiniteLogitsError("The model produced non-finite logits.")
        return next(self._tokens)

    def close(self) -> None:
        self._tokens = iter(())
