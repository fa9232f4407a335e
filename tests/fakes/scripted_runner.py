"""A runner that says what it is told, for tests that need a real child and no weights.

Start it with EngineConfig(runner="scripted_runner:ScriptedRunner", runner_args={...}); tests/fakes is on
sys.path (pytest's `pythonpath`) and a spawned child inherits that. Arguments:

    script          what every request is answered with; words are tokens, the text ends with EOS. Where it must
                    not end yet, or only its thought has been closed for it, it goes on with FILLER
    scripts         {word of the prompt: script}, tried first; of a list each request takes the next, by its seed
                    where it has one
    tokens_per_s    pace of one step; 0 is as fast as it goes
    prefill_s       seconds per prompt token
    small_prefill_s the same in steps of fewer rows than a piece
    load_s, load_error    a slow load; a load that fails with this message
    load_needs    a load for which so many bytes would be needed, twice as many as there are
    load_gate       path of a file for which the load waits
    text_gate       path of a file for which text with LONGTEXT waits to be tokenised
    n_ctx, n_cells, n_seq_max, n_resident, n_batch, deterministic, chat_template

Words of a prompt that act when they are computed: CRASH aborts the process, HANG never returns,
NAN makes its request's logits non-finite, REFUSE makes the batch invalid. Where a grammar does not allow what the
script says, the first token comes that it allows; tokens that it forces are the script's if they are next in it.
All log probabilities are zero.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.logprobs import Ranking
from r1chat.serve.engine.model_runner import InterruptedStep, InvalidBatchError
from r1chat.serve.engine.request import NO_BIAS, ModelInfo, SamplingParams
from r1chat.serve.errors import ModelLoadError, NonFiniteLogitsError, NotEnoughMemoryError

SCRIPT = "Let me count the sheep.\nAll but nine ran away, so nine are left.\n</think>\n\nThe answer is \\boxed{9}."
BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
SPECIAL = (EOS, BOS, "<｜User｜>", "<｜Assistant｜>")
FILLER = " well"
_WORD = re.compile(r"\s*[^\s<]+|\s*</?\w*>?|\s+")
# An interrupt loses what is being computed, in pieces of so many rows.
_PIECE_ROWS = 60
_LETTERS = [chr(code) for code in range(32, 127)]
_UNPACED_STEP_S = 1e-3


class ScriptedRunner:
    def __init__(self, config: EngineConfig) -> None:
        args: dict[str, Any] = config.runner_args
        time.sleep(args.get("load_s", 0))
        _wait_for(args.get("load_gate"))
        if error := args.get("load_error"):
            raise ModelLoadError(error)
        if needed := args.get("load_needs"):
            raise NotEnoughMemoryError("It needs more than there is.", needed=needed, available=needed // 2)
        self._script: str = args.get("script", SCRIPT)
        self._scripts: dict[str, str | list[str]] = args.get("scripts", {})
        self._n_taken = 0
        self.sampler: ScriptedSampler | None = None  # the newest
        self._step_s = 1 / args["tokens_per_s"] if args.get("tokens_per_s") else 0.0
        self._prefill_s: float = args.get("prefill_s", 0.0)
        self._small_prefill_s: float = args.get("small_prefill_s", self._prefill_s)
        self._text_gate: str | None = args.get("text_gate")
        self._lock = threading.Lock()
        self._pieces: list[str] = list(SPECIAL)
        self._ids = {piece: token for token, piece in enumerate(self._pieces)}
        self._is_known = False  # the vocabulary, to somebody who read all of it
        said = [text for texts in self._scripts.values() for text in ([texts] if isinstance(texts, str) else texts)]
        for text in (self._script, *said, *_LETTERS):
            self.tokenize(text, special=False)
        self._cells: dict[int, list[_Cell]] = {}
        self._interrupted = threading.Event()
        self.n_threads = config.n_threads or 1
        n_ctx = config.n_ctx or args.get("n_ctx", 8192)
        self.n_batch: int = args.get("n_batch", config.n_batch)
        self.piece_rows = min(64, self.n_batch)
        self.n_cells: int = args.get("n_cells", config.n_cells or n_ctx * 4)
        self.n_resident: int = args.get("n_resident", config.n_resident)
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
            chat_template=args.get("chat_template"),
            gpu_offload=False,
            deterministic=args.get("deterministic", False),
            n_threads=self.n_threads,
            load_s=0.0,
        )

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        if "LONGTEXT" in text:
            _wait_for(self._text_gate)
        if not special:
            words: list[str] = _WORD.findall(text)
            return [self._id(part) for word in words for part in ([word] if self._may_use(word) else word)]
        parts = re.split(f"({'|'.join(map(re.escape, SPECIAL))})", text)
        return [
            token
            for part in parts
            for token in ([self._ids[part]] if part in SPECIAL else self.tokenize(part, special=False))
        ]

    def piece(self, token: int) -> bytes:
        self._is_known = self._is_known or token >= len(self._pieces)
        return self._pieces[token].encode() if len(SPECIAL) <= token < len(self._pieces) else b""

    def token_text(self, token: int) -> bytes:
        return self._pieces[token].encode() if token < len(self._pieces) else b""

    def is_end(self, token: int) -> bool:
        return token == 0

    def make_sampler(self, params: SamplingParams, prompt: list[int]) -> ScriptedSampler:
        words = [self._pieces[token].strip() for token in prompt]
        script = next((self._scripts[word] for word in words if word in self._scripts), self._script)
        sampler = ScriptedSampler(
            self.tokenize(self._one_of(script, params.seed), special=False),
            self._id(FILLER),
            self._is_closing,
            broken="NAN" in words,
        )
        opening = max((i for i, word in enumerate(words) if word == "<think>"), default=len(words))
        for token in prompt[opening:]:
            sampler.accept(token)
        sampler.counted.clear()
        self.sampler = sampler
        return sampler

    def _one_of(self, script: str | list[str], seed: int | None) -> str:
        if isinstance(script, str):
            return script
        self._n_taken += 1
        return script[(self._n_taken - 1 if seed is None else seed) % len(script)]

    def forward(self, batch: Batch) -> None:
        assert 0 < batch.n_rows + batch.n_idle <= self.n_batch
        assert self.n_used + batch.n_rows + batch.n_idle <= self.n_cells
        self._interrupted.clear()
        for chunk in batch.chunks:
            held = len(self._cells.get(chunk.sequence.seq_id, []))
            assert 0 <= chunk.sequence.seq_id < self.n_resident
            assert held == chunk.start, "a chunk must follow what its sequence holds"
            self._act(chunk.tokens)
        rows = [(chunk.sequence.seq_id, token, chunk.n_rows > 1) for chunk in batch.chunks for token in chunk.tokens]
        self._pause(self._step_s)
        for piece in _pieces(rows):
            self._pause(self._row_s(len(rows)) * sum(is_prompt for _, _, is_prompt in piece))
            for seq_id, token, _ in piece:
                self._cells.setdefault(seq_id, []).append(_Cell(token))

    def interrupt(self) -> None:
        self._interrupted.set()

    def n_computed(self, seq_id: int) -> int:
        return len(self._cells.get(seq_id, []))

    @property
    def cells(self) -> dict[int, list[int]]:
        """The tokens under each sequence."""
        return {seq_id: [cell.token for cell in cells] for seq_id, cells in self._cells.items()}

    @property
    def n_used(self) -> int:
        """Cells that anybody holds; one that several share counts once."""
        return len({id(cell) for cells in self._cells.values() for cell in cells})

    def remove(self, seq_id: int, start: int) -> None:
        del self._cells.setdefault(seq_id, [])[start:]

    def copy(self, source: int, target: int, n_tokens: int) -> None:
        assert not self._cells.get(target), "the target of a copy must be empty"
        assert n_tokens <= self.n_computed(source)
        self._cells[target] = self._cells[source][:n_tokens]

    def save(self, seq_id: int) -> np.ndarray:
        return np.array([cell.token for cell in self._cells.get(seq_id, [])], np.int32).view(np.uint8)

    def restore(self, seq_id: int, state: np.ndarray) -> bool:
        assert not self._cells.get(seq_id), "what is restored must be empty"
        if state.nbytes % 4 or self.n_used + state.nbytes // 4 > self.n_cells:
            return False
        self._cells[seq_id] = [_Cell(token) for token in state.view(np.int32).tolist()]
        return True

    def time_rows(self, n_rows: int, n_outputs: int) -> float:
        """What forward() would take, without taking it."""
        assert 0 <= n_outputs <= n_rows <= self.n_batch
        return (self._step_s or _UNPACED_STEP_S) + (n_rows - 1) * self._row_s(n_rows)

    def _row_s(self, n_rows: int) -> float:
        return self._prefill_s if n_rows >= self.piece_rows else self._small_prefill_s

    def set_threads(self, n_threads: int) -> None:
        self.n_threads = n_threads

    def close(self) -> None:
        self._cells.clear()

    def _is_closing(self, token: int) -> bool:
        return self._pieces[token].strip() == "</think>"

    def _pause(self, seconds: float) -> None:
        if self._interrupted.wait(seconds) if seconds else self._interrupted.is_set():
            raise InterruptedStep("interrupted by the engine")

    def _act(self, tokens: list[int]) -> None:
        words = {self._pieces[token].strip() for token in tokens}
        if "CRASH" in words:
            os.abort()
        if "HANG" in words:
            time.sleep(1e6)
        if "REFUSE" in words:
            raise InvalidBatchError("refused by the script")

    def _may_use(self, word: str) -> bool:
        """Whoever read the vocabulary knows no later words, but letters."""
        return not self._is_known or word in self._ids

    def _id(self, word: str) -> int:
        with self._lock:
            if word not in self._ids:
                self._ids[word] = len(self._pieces)
                self._pieces.append(word)
            return self._ids[word]


class _Cell:
    """One token of the cache; sequences that share it hold the same object."""

    def __init__(self, token: int) -> None:
        self.token = token


class ScriptedSampler:
    """Says its tokens in order, whatever the row, then EOS for ever. A thought that is closed for it ends there.

    `counted`: how often penalties would count each token of the reply.
    """

    def __init__(self, tokens: list[int], filler: int, is_closing: Callable[[int], bool], *, broken: bool) -> None:
        self._tokens = tokens
        self._filler = filler
        self._closing = next((i for i, token in enumerate(tokens) if is_closing(token)), len(tokens) - 1)
        self._is_closing = is_closing
        self._next = 0
        self._broken = broken
        self.counted: Counter[int] = Counter()

    def sample(self, row: int, bias: Mapping[int, float] = NO_BIAS, allowed: np.ndarray | None = None) -> int:
        if self._broken:
            raise NonFiniteLogitsError("The model produced non-finite logits.")
        self._next += 1
        token = self._tokens[self._next - 1] if self._next <= len(self._tokens) else 0
        token = self._filler if bias.get(token) == -math.inf else token
        token = token if allowed is None or token in allowed else int(allowed[0])
        self.counted[token] += 1
        return token

    def rank(self, row: int, token: int, n_top: int) -> Ranking:
        return Ranking(0.0, [(token, 0.0)] * min(1, n_top))

    def accept(self, token: int) -> None:
        """Of tokens put there the closing tag moves the script to what follows its own, its next one behind it."""
        if self._tokens[self._next : self._next + 1] == [token]:
            self._next += 1
        self.counted[token] += 1
        if self._is_closing(token):
            self._next = max(self._next, self._closing + 1)

    def retract(self, token: int) -> None:
        """The script goes on from where it is."""
        self.counted[token] -= 1

    def close(self) -> None:
        self._tokens = []


def _wait_for(gate: str | None) -> None:
    while gate and not os.path.exists(gate):
        time.sleep(0.02)


def _pieces(rows: list[tuple[int, int, bool]]) -> list[list[tuple[int, int, bool]]]:
    return [rows[start : start + _PIECE_ROWS] for start in range(0, len(rows), _PIECE_ROWS)]
