"""How far a run is, on stderr: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..terminal import printable
from .progress import StageProgress, Stages, duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from ...distill.run_folder import Event

_LINE_EVERY_S = 10.0


class Lines:
    """For logs: a line where a stage begins, one every ten seconds at most, and one where it is done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, of_recipe: bool = False) -> None:
        self._clock = clock
        self._stages = Stages(clock, of_recipe=of_recipe)
        self._said = 0.0
        self._step = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if (stage := self._stages.current) is not None:
            self._say(_under_way(stage, self._clock()) if kind else _done(stage))

    def show(self, event: Event) -> None:
        before, now = self._stages.current, self._clock()
        # the numbers of one step come one by one: it is whole when the next begins
        if before and before.stage == event.stage and event.step != self._step and now - self._said >= _LINE_EVERY_S:
            self._say(_under_way(before, now))
        ended = self._stages.take(event)
        if ended:
            self._say(_done(ended))
        if before is not self._stages.current and self._stages.current:
            self._say(self._stages.current.title)
        self._step = event.step

    def _say(self, text: str) -> None:
        self._said = self._clock()
        print(printable(text), file=sys.stderr, flush=True)


class Bars:
    """For a terminal: one bar a stage. Shares (0..1) move it, its other numbers stand beside it."""

    def __init__(
        self,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        of_recipe: bool = False,
    ) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        self._bars = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(24), TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[note]}", markup=False, table_column=rest),
            console=console or Console(stderr=True), expand=True,
        )  # fmt: skip
        self._clock = clock
        self._stages = Stages(clock, of_recipe=of_recipe)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and self._stages.current is not None:
            self._finish(self._stages.current)
        self._bars.stop()

    def show(self, event: Event) -> None:
        ended = self._stages.take(event)
        if ended:
            self._finish(ended)
        stage = self._stages.current
        assert stage is not None, "an event has a stage"
        if stage.stage not in self._tasks:
            self._tasks[stage.stage] = self._bars.add_task(printable(stage.title), total=None, note="")
        note = printable(_beside(stage, self._clock()))
        total = None if stage.share is None else 1.0  # without one the bar only shows that it moves
        self._bars.update(self._tasks[stage.stage], completed=stage.share or 0.0, total=total, note=note)

    def _finish(self, stage: StageProgress) -> None:
        note = ", ".join(filter(None, (duration(stage.seconds()), stage.note)))
        self._bars.update(self._tasks[stage.stage], completed=1.0, total=1.0, note=printable(note))


def _under_way(stage: StageProgress, now: float) -> str:
    share = f"{stage.share:.0%}" if stage.share is not None else ""
    return ": ".join(filter(None, (stage.title, ", ".join(filter(None, (share, _beside(stage, now)))))))


def _beside(stage: StageProgress, now: float) -> str:
    left = stage.left(now)
    return ", ".join(filter(None, (f"{duration(left)} left" if left is not None else "", stage.note)))


def _done(stage: StageProgress) -> str:
    return ", ".join(filter(None, (f"{stage.title}: done in {duration(stage.seconds())}", stage.note)))
