"""Whether steps of decoding are faster with idle rows, which make their last group whole: tried out now and then.

A table timed at the start is too noisy for that: of a 1.5B there is time for one look at each size.
"""

from __future__ import annotations

from dataclasses import dataclass

from .trial import Trial

# Steps of a size before the first trial; between later ones four times as many each time nothing changes.
_FIRST_PAUSE, _LONGEST_PAUSE = 8, 512
_WIN = 0.98


@dataclass(slots=True)
class _Habit:
    n_idle: int  # where it is filled
    is_filled: bool
    trial: Trial | None = None
    n_steps: int = 0
    pause: int = _FIRST_PAUSE

    @property
    def next(self) -> int:
        return self.n_idle if self.is_filled != bool(self.trial and self.trial.runs_other) else 0

    def observe(self, seconds: float) -> None:
        if self.trial is None:
            self.n_steps += 1
            if self.n_steps >= self.pause:
                self.trial = Trial()
            return
        self.trial.add(seconds)
        if not self.trial.is_over:
            return
        if self.trial.gain * _WIN > 1:
            self.is_filled, self.pause = not self.is_filled, _FIRST_PAUSE
        else:
            self.pause = min(4 * self.pause, _LONGEST_PAUSE)
        self.trial, self.n_steps = None, 0


class GroupFiller:
    """By the rows of a step, all of which bring logits."""

    def __init__(self) -> None:
        self._habits: dict[int, _Habit] = {}

    def n_idle(self, n_rows: int, n_idle: int, *, by_table: bool) -> int:
        """`n_idle` or 0, for the next step of `n_rows`. Both count for the first one: `by_table`, whether it looks
        worth it.
        """
        return self._habits.setdefault(n_rows, _Habit(n_idle, is_filled=by_table)).next

    def observe(self, n_rows: int, n_idle: int, seconds: float) -> None:
        """After a step of `n_rows` and `n_idle` idle ones. Sizes that nobody has asked for are not tried."""
        habit = self._habits.get(n_rows)
        if habit and n_idle == habit.next:
            habit.observe(seconds)
