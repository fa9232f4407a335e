"""One number of a stage over its steps: kept whole while it is short, thinned where it is long."""

from __future__ import annotations

from array import array
from bisect import bisect_left

# Twice as many are halved.
KEPT = 20_000


class Series:
    """Points (step, value) with steps that never fall: a stage that went back did those steps anew."""

    def __init__(self) -> None:
        self._steps = array("d")
        self._values = array("d")

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def last(self) -> float:
        return self._values[-1]

    def add(self, step: float, value: float) -> None:
        if self._steps and step < self._steps[-1]:
            keep = bisect_left(self._steps, step)
            del self._steps[keep:], self._values[keep:]
        self._steps.append(step)
        self._values.append(value)
        if len(self._steps) >= 2 * KEPT:
            # of an even number, the newest stays
            self._steps, self._values = self._steps[1::2], self._values[1::2]

    def points(self, most: int = 500) -> list[tuple[float, float]]:
        """At most so many, of each stretch the lowest and the highest: no spike is lost."""
        n = len(self._steps)
        if n <= most:
            return list(zip(self._steps, self._values, strict=True))
        stretches = (most - 2) // 2
        chosen = {0, n - 1}
        for i in range(stretches):
            part = range(i * n // stretches, (i + 1) * n // stretches)
            chosen |= {min(part, key=self._values.__getitem__), max(part, key=self._values.__getitem__)}
        return [(self._steps[i], self._values[i]) for i in sorted(chosen)]
