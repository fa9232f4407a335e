"""A scripted runner that writes down each request's prompt and when its first token came, and is never entered twice.

`record` in its arguments is the path of a file; each line of it is a JSON object, {"prompt": text} when a request is
admitted and {"first": seconds since 1970} with its first token. In a script, CUT cuts between tokens anywhere, and
characters beyond U+FFFF come in two tokens of two bytes each, as they may from a real vocabulary.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scripted_runner import SPECIAL, ScriptedRunner, ScriptedSampler

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.request import NO_BIAS, SamplingParams

CUT = "¦"
_LARGE = re.compile("([\U00010000-\U0010ffff])")
# How bytes that are no text by themselves stand in a string.
_BYTES = "surrogateescape"


class WatchedRunner(ScriptedRunner):
    def __init__(self, config: EngineConfig) -> None:
        self._inside = threading.Lock()
        self._record = Path(config.runner_args["record"])
        super().__init__(config)

    def forward(self, batch: Batch) -> None:
        assert self._inside.acquire(blocking=False), "the engine was entered twice"
        try:
            super().forward(batch)
        finally:
            self._inside.release()

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        if special or not (CUT in text or _LARGE.search(text)):
            return super().tokenize(text, special=special)
        return [token for part in text.split(CUT) for token in self._part(part, is_whole=CUT in text)]

    def piece(self, token: int) -> bytes:
        return self.token_text(token) if len(SPECIAL) <= token < len(self._pieces) else super().piece(token)

    def token_text(self, token: int) -> bytes:
        return self._pieces[token].encode("utf-8", _BYTES) if token < len(self._pieces) else b""

    @property
    def n_used(self) -> int:
        """Cells that several share count for each: to look at all of them would take longer than a token may."""
        return sum(map(len, self._cells.values()))

    def make_sampler(self, params: SamplingParams, prompt: list[int]) -> ScriptedSampler:
        text = b"".join(self.token_text(token) for token in prompt).decode("utf-8", "replace")
        self._note({"prompt": text})
        sampler = super().make_sampler(params, prompt)
        sampler.__class__ = _WatchedSampler
        assert isinstance(sampler, _WatchedSampler)
        sampler.on_first = lambda: self._note({"first": time.time()})
        return sampler

    def _note(self, line: dict[str, Any]) -> None:
        with self._record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _part(self, part: str, *, is_whole: bool) -> list[int]:
        tokens: list[int] = []
        for piece in filter(None, _LARGE.split(part)):
            if _LARGE.fullmatch(piece):
                code = piece.encode()
                tokens += [self._id(half.decode("utf-8", _BYTES)) for half in (code[:2], code[2:])]
            else:
                tokens += [self._id(piece)] if is_whole else super().tokenize(piece, special=False)
        return tokens


class _WatchedSampler(ScriptedSampler):
    """`on_first` is called with the first token."""

    on_first: Callable[[], None] | None

    def sample(self, row: int, bias: Mapping[int, float] = NO_BIAS, allowed: np.ndarray | None = None) -> int:
        token = super().sample(row, bias, allowed)
        if self.on_first is not None:
            self.on_first()
            self.on_first = None
        return token
