"""What a run has told so far: its events.jsonl, read on from where the last look ended."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from ...distill.run_folder import Event
from ..distilling.progress import StageProgress
from .lines import Lines
from .series import Series


class _Line(msgspec.Struct):
    """As distill.run_folder writes it. Whole numbers may be written for a value, too."""

    time: float
    stage: str
    step: int
    metric: str
    value: float
    sample: str | None = None


class EventLog:
    """Stages in the order in which they began, and every number that they told over their steps."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path, self._forget)
        self._decode = msgspec.json.Decoder(_Line).decode
        self._forget()

    def read_on(self) -> None:
        """Takes what was written since."""
        for _, line in self._lines.new():
            try:
                event = self._decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # a line that a crash spoiled
            self._take(event)

    def _forget(self) -> None:
        self.stages: dict[str, StageProgress] = {}
        self.series: dict[tuple[str, str], Series] = {}
        self.current: str | None = None

    def _take(self, event: _Line) -> None:
        if not math.isfinite(event.value):
            return
        stage = self.stages.setdefault(event.stage, StageProgress(event.stage, began=event.time))
        stage.take(Event(event.stage, event.step, event.metric, event.value, event.sample), event.time)
        self.current = event.stage
        if event.sample is None:
            self.series.setdefault((event.stage, event.metric), Series()).add(event.step, event.value)
