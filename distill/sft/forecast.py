"""What a training will take here: which load it puts on the device, its memory and its hours."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...serve.models.gguf.spec import ModelSpec
from ..students import Method, parameters_of
from .config import SftConfig
from .memory import Load, Memory, estimate_memory
from .order import epochs_read
from .speed import measure_flops, training_seconds


@dataclass(frozen=True)
class Forecast:
    """Of training a base of this shape on `rows` rows of `row_tokens` tokens on average, `longest` at most."""

    shape: ModelSpec
    method: Method
    settings: SftConfig
    rows: int
    row_tokens: float
    longest: int

    @cached_property
    def load(self) -> Load:
        """As the trainer decides it."""
        from .model import find_device, micro_batch_tokens, wants_checkpointing

        device, parameters = find_device(), parameters_of(self.shape)
        budget = micro_batch_tokens(self.settings.micro_batch_tokens, device, parameters)
        # no more rows than a step has go through at once
        tokens = max(self.longest, min(budget, int(self.settings.batch_size * self.row_tokens)))
        return Load(
            method=self.method,
            device="cuda" if device.kind == "cuda" else "cpu",
            half=device.half is not None,
            recompute=wants_checkpointing(parameters),
            tokens=tokens,
            rank=self.settings.lora_rank,
        )

    @cached_property
    def memory(self) -> Memory:
        return estimate_memory(self.shape, self.load)

    @property
    def steps(self) -> int:
        """Of the optimizer."""
        if self.settings.max_steps is not None:
            return self.settings.max_steps
        return max(1, -(-max(1, round(self.rows * self.settings.epochs)) // self.settings.batch_size))

    @property
    def epochs(self) -> float:
        settings = self.settings
        return epochs_read(self.rows, settings.batch_size, settings.epochs, settings.max_steps)

    @property
    def tokens(self) -> float:
        """Read in all epochs."""
        return min(self.steps * self.settings.batch_size, self.rows * self.epochs) * self.row_tokens

    @cached_property
    def seconds(self) -> float:
        """By a short measurement of this machine."""
        return training_seconds(
            self.shape, self.load, tokens=self.tokens, row_tokens=self.row_tokens, flops=measure_flops()
        )


def device_memory(kind: str) -> tuple[int, int]:
    """Bytes free and in all, of the GPU or of this machine; 0 and 0 where the system does not say."""
    if kind == "cuda":
        import torch

        free, total = torch.cuda.mem_get_info()
        return int(free), int(total)
    return host_memory()


def host_memory() -> tuple[int, int]:
    """The same of the machine, or of the container's limit where that is lower."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0, 0
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    free = int(found[1]) << 10 if found else total
    limit, used = _read("/sys/fs/cgroup/memory.max").strip(), _read("/sys/fs/cgroup/memory.current").strip()
    if limit.isdigit() and used.isdigit():
        return min(free, max(0, int(limit) - int(used))), min(total, int(limit))
    return free, total


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""
