"""Two settings compared on a machine that does other things meanwhile. Knows only how long steps take."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

# It goes back and forth, so that what the machine does meanwhile meets both settings alike.
_ROUNDS = 3
_ROUND_STEPS = 4
_HOPELESS = 1.3


@dataclass(slots=True)
class Trial:
    """Steps under the setting in use and under another one, in turns; the other one begins."""

    n_steps: int = 0
    used: list[float] = field(default_factory=list)
    tried: list[float] = field(default_factory=list)

    @property
    def runs_other(self) -> bool:
        return self.n_steps // _ROUND_STEPS % 2 == 0

    def add(self, seconds: float) -> None:
        """What the step took, or anything in proportion to it."""
        # the first step after a change pays for the change
        if self.n_steps % _ROUND_STEPS:
            (self.tried if self.runs_other else self.used).append(seconds)
        self.n_steps += 1

    @property
    def is_over(self) -> bool:
        if self.n_steps == 2 * _ROUND_STEPS:
            return median(self.tried) > _HOPELESS * median(self.used)
        return self.n_steps >= 2 * _ROUND_STEPS * _ROUNDS

    @property
    def gain(self) -> float:
        """How many times as fast the other setting is."""
        return median(self.used) / median(self.tried)
