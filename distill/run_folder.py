"""The folder of a run: where each artifact lies, what was done with what (run.json), its numbers (events.jsonl)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..serve.files import replace_file
from .errors import DistillError, quoted


@dataclass(frozen=True)
class Event:
    """One line of events.jsonl: a number that a stage reported; `sample` is the row it belongs to, if one."""

    stage: str
    step: int
    metric: str
    value: float
    sample: str | None = None


Listener = Callable[[Event], None]


class DamagedArtifactError(DistillError, ValueError):
    """An artifact that is one JSON object cannot be read; the text says which, and why."""

    def __init__(self, path: Path, reason: Exception) -> None:
        super().__init__(f"{path} is damaged ({reason}). Take it away, and a run makes it anew: rm {quoted(path)}")


class RunFolder:
    """Paths and records of one run, made where it is not there. `listener` is told each number as it is logged."""

    def __init__(self, root: Path, listener: Listener = lambda event: None) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self._events = root / "events.jsonl"
        self._listener = listener
        self.record = root / "run.json"
        self.preflight = root / "preflight.json"  # what was foreseen before the first step
        self.problems = root / "problems.jsonl"  # ProblemRow: what the teacher is asked
        self.traces = root / "traces.jsonl"  # TraceRow, as they came
        self.verified = root / "verified.jsonl"  # TraceRow with verdicts
        self.kept = root / "kept.jsonl"  # TraceRow: what is trained on
        self.dropped = root / "dropped.jsonl"  # {"id", "reason", "detail"} of every other
        self.funnel = root / "funnel.json"  # counts by reason
        self.base_record = root / "base.json"  # which base: {"path", "name", "licence", "sha256"}
        self.base = root / "base"  # of a base made here
        self.sft = root / "sft"  # checkpoints
        self.trained = root / "sft.json"  # by sft, grpo or stream: {"kind": "full" | "adapter", "steps", ...}
        self.grpo = root / "grpo"  # checkpoints
        self.rollouts = root / "rollouts.jsonl"  # RolloutRow: what the student answered while it was trained
        self.adapter = root / "adapter"  # peft's folder, of LoRA and QLoRA
        self.student = root / "student"  # Hugging Face folder of the whole student
        self.gguf = root / "gguf"  # <quant>.gguf of the student, base-<quant>.gguf
        self.parity = root / "parity.json"
        self.asked = root / "asked.jsonl"  # ProblemRow: what was measured on
        self.samples = root / "samples.jsonl"  # every answer of the evaluation
        self.evaluation = root / "evaluation.json"
        self.report = root / "report"  # index.html and the pictures

    def log(self, stage: str, step: int, *, sample: str | None = None, **metrics: float) -> None:
        """Appends the numbers to events.jsonl and tells the listener. A metric `share` (0..1) is progress."""
        with self._events.open("a", encoding="utf-8") as lines:
            for metric, value in metrics.items():
                line = {"time": time.time(), "stage": stage, "step": step, "metric": metric, "value": value}
                lines.write(json.dumps(line if sample is None else {**line, "sample": sample}) + "\n")
                self._listener(Event(stage, step, metric, value, sample))

    def read_events(self, stage: str | None = None) -> list[dict[str, Any]]:
        """What was logged, oldest first; a line that a crash cut off is left out, with what stands behind it."""
        if not self._events.exists():
            return []
        lines = self._events.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        found = [event for line in lines if isinstance(event := _parsed(line), dict) and "stage" in event]
        return [event for event in found if stage in (None, event["stage"])]

    def read_json(self, path: Path) -> dict[str, Any]:
        """An artifact's content; {} where it is not there. Raises DamagedArtifactError."""
        if not path.exists():
            return {}
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (TypeError, ValueError, RecursionError) as error:
            raise DamagedArtifactError(path, error) from error

    def write_json(self, path: Path, content: dict[str, Any]) -> None:
        """Writes an artifact whole, or not at all."""
        with replace_file(path) as aside:
            aside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
