"""How far one stage of a run is, told from its events; knows neither terminals nor bars."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...distill.run_folder import Event

# As distill.pipeline.NAMES; written out because --help must not import it. A test compares the two.
STAGES = ("base", "generate", "verify", "filter", "sft", "export", "evaluate", "report")
_TITLES = {
    "vocabulary": "learning the vocabulary",
    "train": "training",
    "base": "bringing the base",
    "generate": "collecting traces",
    "verify": "judging answers",
    "filter": "choosing traces",
    "sft": "training",
    "export": "writing GGUFs",
    "evaluate": "solving held-out problems",
    "report": "writing the report",
}
_MOST_NOTES = 3
_PACE_OF_S = 120.0
_LEAST_S = 5.0
_PAUSE = 4
# for the report, not for who waits
_UNSHOWN = ("learning_rate", "grad_norm")
# Of reinforcement learning, which tells many numbers, these are shown.
_TELLING = ("held_out_accuracy", "accuracy", "reward", "length")


@dataclass
class StageProgress:
    """Times are seconds of one clock. `share` is None until the stage has told it.

    A stage may tell a plain `share`, or one for each of its parts (`test_share`), which then moves the bar. A step
    `of_recipe` is called what its recipe calls it.
    """

    stage: str
    began: float
    last: float = 0.0
    share: float | None = None
    _passed: deque[tuple[float, float]] = field(default_factory=deque)
    _plain: bool = False
    _notes: dict[str, str] = field(default_factory=dict)
    of_recipe: bool = False

    @property
    def title(self) -> str:
        return self.stage if self.of_recipe else _TITLES.get(self.stage, self.stage)

    @property
    def note(self) -> str:
        """The newest of its other numbers: those that tell most, where there are such."""
        telling = [self._notes[name] for name in _TELLING if name in self._notes]
        return ", ".join(telling[:_MOST_NOTES] or list(self._notes.values())[-_MOST_NOTES:])

    def take(self, event: Event, now: float) -> None:
        self.last = now
        self._plain |= event.metric == "share"
        if event.metric == "share" or (event.metric.endswith("_share") and not self._plain):
            self._move(event.value, now)
        elif event.sample is None and event.metric not in _UNSHOWN:
            self._notes[event.metric] = metric_text(event.metric, event.value)

    def left(self, now: float) -> float | None:
        """Seconds to go at the pace of the last minutes; None before that can be told. A resumed stage begins in
        the middle, and what it did before says nothing of its pace.
        """
        if self.share is None or not self._passed:
            return None
        since, share = self._passed[0]
        if self.share <= share or self.last - since < _LEAST_S:
            return None
        pace = (self.last - since) / (self.share - share)
        return max(0.0, pace * (1 - self.share) - (now - self.last))

    def seconds(self) -> float:
        """What it took, up to the last it told."""
        return self.last - self.began

    def _move(self, share: float, now: float) -> None:
        if self.share is not None and share < self.share:
            self._passed.clear()  # a part begins anew
        if len(self._passed) == 1 and self._passed[0][1] == 0:
            self._passed.clear()  # that it began: one that goes on is further at once
        if self._has_paused(now):
            self._passed.clear()
        self.share = min(1.0, max(0.0, share))
        self._passed.append((now, self.share))
        while now - self._passed[1 if len(self._passed) > 1 else 0][0] > _PACE_OF_S:
            self._passed.popleft()

    def _has_paused(self, now: float) -> bool:
        """Nothing was told for far longer than usual: the run was stopped meanwhile, or its machine slept."""
        if len(self._passed) < 2:
            return False
        usual = (self._passed[-1][0] - self._passed[0][0]) / (len(self._passed) - 1)
        return now - self._passed[-1][0] > max(_PACE_OF_S, _PAUSE * usual)


def metric_text(name: str, value: float) -> str:
    """A number of a stage as people read it; what names a file, as in `student/Q8_0 right`, stays as it is."""
    words = name if "/" in name else name.replace("_at_", "@").replace("_", " ")
    if name.endswith("_per_second"):
        return f"{_number(value)} {words.removesuffix(' per second')}/s"
    if "_at_" in name or name.endswith(("_share", " right", "accuracy")):
        return f"{words} {value:.1%}"
    if name.endswith("bytes"):
        return f"{words.removesuffix('bytes').strip()} {value / 1e6:,.1f} MB".strip()
    return f"{words} {_number(value)}"


def duration(seconds: float) -> str:
    """Like 8.2 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


class Stages:
    """The stages of a run in the order in which they began; one is under way at a time."""

    def __init__(self, clock: Callable[[], float], *, of_recipe: bool = False) -> None:
        self._clock = clock
        self._of_recipe = of_recipe
        self._began = clock()
        self._stages: dict[str, StageProgress] = {}
        self.current: StageProgress | None = None

    def take(self, event: Event) -> StageProgress | None:
        """Notes the event; the stage that this one ends, if it begins another."""
        now, ended = self._clock(), None
        if self.current is None or self.current.stage != event.stage:
            ended = self.current
            began = ended.last if ended else self._began
            fresh = StageProgress(event.stage, began, of_recipe=self._of_recipe)
            self.current = self._stages.setdefault(event.stage, fresh)
        self.current.take(event, now)
        return ended


def _number(value: float) -> str:
    """Three significant digits; whole where it is large."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
