"""Settings of the training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# Fields that decide nothing of what comes of a training.
FREE = ("save_every_s", "micro_batch_tokens")


@dataclass(frozen=True)
class SftConfig:
    """`method` None takes the student's own. `batch_size` is rows a step over all processes and accumulation;
    `micro_batch_tokens` how many go through the model at once in a process (None: what suits the device).

    `packing` lays the rows of a micro-batch end to end instead of filling the shorter ones up. Rows stay apart
    and none is cut, but only attention that never builds the whole mask (flash attention) gains by it.

    With a `watch_set` (a spec of problems) its first `watch_problems` are answered `watch_samples` times each, at
    temperature 1 and in `watch_tokens` at most, before the first step, every `watch_every` steps and after the last:
    for the curve beside one of reinforcement learning.
    """

    method: Literal["full", "lora", "qlora"] | None = None
    epochs: float = 2.0
    learning_rate: float | None = None
    batch_size: int = 64
    micro_batch_tokens: int | None = None
    max_steps: int | None = None
    lora_rank: int = 32
    packing: bool = False
    save_every_s: float = 120.0
    accelerate_config: Path | None = None
    watch_set: str | None = None
    watch_problems: int = 64
    watch_samples: int = 1
    watch_every: int = 25
    watch_tokens: int = 256
