"""Settings of a training on an endless stream of generated examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CorpusName = Literal["documents", "zero", "conversations"]


@dataclass(frozen=True)
class StreamConfig:
    """`corpus` is what is read: `documents` (worked problems as plain text, as a base model reads them), `zero`
    (the same for `--recipe r1-zero`: thoughts only of families that are not practised there), or `conversations`
    (R1's format, with thoughts).
    `start` is the folder of a model to continue; None: random weights.
    `tokens` instead of `minutes` make the same of it on every machine, sooner or later. `compile` lets torch fuse the
    model with the machine's C++ compiler, where there is one: some minutes at first, then more tokens a second.
    """

    corpus: CorpusName = "conversations"
    minutes: float = 6.0
    tokens: int | None = None
    start: Path | None = None
    tokens_per_step: int = 4096
    learning_rate: float = 2e-3
    matrix_learning_rate: float = 5e-3
    compile: bool = False
