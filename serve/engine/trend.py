"""A straight line through measurements of which the newest count most."""

from __future__ import annotations

_FADES = 0.95
_GUESS = 0.05  # how much the guessed level counts, beside one measurement
_NARROW = 0.05  # of `far`: measurements no further apart say little of the slope
_LEAST = 0.1  # of the mean: noise must not make anything free


class Trend:
    """y = at(x) > 0, by least squares, never falling. It begins as a guess: level `y` at 0, rising by `slope`."""

    def __init__(self, y: float, slope: float, *, far: float) -> None:
        """`far`: an x by which the slope shows."""
        self._n = self._x = self._y = self._xx = self._xy = 0.0
        self._slope = slope
        self._narrow = (_NARROW * far) ** 2
        self._count(0.0, y, _GUESS)

    def add(self, x: float, y: float) -> None:
        self._n, self._x, self._y = _FADES * self._n, _FADES * self._x, _FADES * self._y
        self._xx, self._xy = _FADES * self._xx, _FADES * self._xy
        self._count(x, y, 1.0)

    def at(self, x: float) -> float:
        mean_x, mean_y = self._x / self._n, self._y / self._n
        spread = max(0.0, self._xx / self._n - mean_x**2)
        together = self._xy / self._n - mean_x * mean_y
        slope = max(0.0, (together + self._narrow * self._slope) / (spread + self._narrow))
        return max(_LEAST * mean_y, mean_y + slope * (x - mean_x))

    def _count(self, x: float, y: float, weight: float) -> None:
        self._n += weight
        self._x += weight * x
        self._y += weight * y
        self._xx += weight * x * x
        self._xy += weight * x * y
