"""What a run is: which student, where its files lie, how its progress is logged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..serve.errors import R1ChatError


class DistillError(R1ChatError):
    """A run cannot start or go on; the text ends with what mends it."""


STUDENTS = {"tiny": "the bundled model, trained from nothing on problems made here"}
PLANNED = ("qwen-0.5b", "qwen-1.5b", "llama-1b")


@dataclass(frozen=True)
class DistillConfig:
    """Settings of one run. `minutes` is training time; `samples` is k, the draws per held-out problem."""

    student: str
    run_dir: Path
    minutes: float = 100.0
    samples: int = 4
    compile: bool = True

    def __post_init__(self) -> None:
        if self.student in PLANNED:
            raise DistillError(
                f"The student {self.student} is not built yet; this version trains the bundled model only. "
                "Use: r1chat distill --student tiny"
            )
        if self.student not in STUDENTS:
            raise DistillError(f"No student is called {self.student!r}. Use: r1chat distill --student tiny")
        if not self.minutes > 0:
            raise DistillError("--minutes must be more than 0. Use: r1chat distill --student tiny --minutes 100")


@dataclass(frozen=True)
class Event:
    """One line of events.jsonl: a number that a stage reported."""

    stage: str
    step: int
    metric: str
    value: float


Listener = Callable[[Event], None]


class RunFolder:
    """The files of a run. Every stage leaves one artifact, and is skipped while that is there."""

    def __init__(self, root: Path, listener: Listener = lambda event: None) -> None:
        self.root = root
        self.tokenizer = root / "tokenizer.json"
        self.checkpoint = root / "checkpoint.pt"
        self.hf = root / "hf"
        self.gguf = root / "student.gguf"
        self.parity = root / "parity.json"
        self.evaluation = root / "evaluation.json"
        self._events = root / "events.jsonl"
        self._listener = listener
        root.mkdir(parents=True, exist_ok=True)

    def log(self, stage: str, step: int, **metrics: float) -> None:
        """Appends the numbers to events.jsonl and tells the listener."""
        with self._events.open("a", encoding="utf-8") as lines:
            for metric, value in metrics.items():
                line = {"time": time.time(), "stage": stage, "step": step, "metric": metric, "value": value}
                lines.write(json.dumps(line) + "\n")
                self._listener(Event(stage, step, metric, value))
