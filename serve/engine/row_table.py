"""Seconds of a forward pass by its rows, from a few timed sizes; the others are laid between them.

Knows neither what rows are for nor what they cost later on, with deeper contexts or busier cores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from time import perf_counter

# Quantised products take rows in groups of four; what is left over costs almost as much as a group.
GROUP = 4

# Until something is timed, and between what is: rows -> cost in rows, of a 1.5B on two cores.
_SHAPE = {1: 1.0, 2: 1.6, 3: 1.9, 4: 1.6, 8: 2.3, 12: 3.0, 16: 3.2, 20: 4.0, 24: 4.6, 32: 6.0, 48: 8.8, 64: 11.5}
_BUMPS = {0: 0.0, 1: 0.4, 2: 0.7, 3: 0.9}
_HEAD = 0.1
_ONE_S = 0.05
# (rows, outputs) in order of worth, since a large model has no time for all of them
_POINTS = (
    *((1, 1), (4, 1), (16, 1), (8, 1), (1, 0), (8, 8), (32, 1), (12, 1), (2, 1), (3, 1), (4, 4), (16, 16)),
    *((6, 1), (5, 1), (7, 1), (10, 1), (24, 1), (20, 1), (2, 2)),
)
_LARGE_POINTS = ((128, 1), (256, 1), (512, 1))
_SMALL = 16
# of the budget, for one timing
_LARGEST_SHARE = 0.25
_BEYOND_SHARE = 0.05
_ROUNDS = 3
# 12 rows cost 7 % more than 16 on a 1.5B
_MORE_THAN_LARGER = 1.1
_LEAST_SHARE = 0.1

Points = dict[int, float]


class RowTable:
    """seconds = body(rows) + head(outputs), for a machine and contexts as they are at load.

    `bulk` rows are the most that are not made up of smaller batches, `sizes` those worth choosing. `piece_rows` is
    the runner's.
    """

    def __init__(self, *, max_rows: int, piece_rows: int) -> None:
        self._max_rows = max_rows
        self._piece_rows = piece_rows
        self._timed: dict[tuple[int, int], float] = {}
        self._build()

    def calibrate(self, time_rows: Callable[[int, int], float], budget_s: float) -> None:
        """Times what `budget_s` has room for, and one row at any price."""
        ends = perf_counter() + budget_s
        for _ in range(_ROUNDS):
            for n_rows, n_outputs in (*_POINTS, (self._piece_rows, 1), *_LARGE_POINTS):
                if n_rows > self._max_rows or not self._affords(n_rows, n_outputs, ends - perf_counter(), budget_s):
                    continue
                seconds = time_rows(n_rows, n_outputs)
                # noise only ever adds
                self._timed[n_rows, n_outputs] = min(seconds, self._timed.get((n_rows, n_outputs), seconds))
                self._build()

    def seconds(self, n_rows: int, n_outputs: int) -> float:
        whole, rest = divmod(n_rows, self.bulk)
        body = whole * self._bodies[self.bulk] + self._bodies[rest]
        # one timing that the machine stretched must not make a step without outputs cost nothing, or less
        return max(_LEAST_SHARE * body, body + _line(n_outputs, self._heads))

    def scale(self, n_rows: int, factor: float) -> None:
        """Corrects the price of one size."""
        if n_rows <= self.bulk:
            self._bodies[n_rows] *= factor

    def _affords(self, n_rows: int, n_outputs: int, left_s: float, budget_s: float) -> bool:
        if not self._timed:
            return True
        share = 1.0 if n_rows <= _SMALL else _LARGEST_SHARE if n_rows <= self._piece_rows else _BEYOND_SHARE
        return self.seconds(n_rows, n_outputs) <= min(left_s, share * budget_s)

    def _build(self) -> None:
        one_s = self._timed.get((1, 1), _ONE_S)
        known = _plausible({n: seconds for (n, outputs), seconds in self._timed.items() if outputs == 1})
        self.bulk: int = min(self._max_rows, max(self._piece_rows, *known, 0))
        corners = self._corners(known, one_s)
        bumps = _bumps(known, corners, one_s)
        self._bodies = [0.0] + [
            known.get(n) or _line(n, corners) + (bumps[n % GROUP] if n > GROUP else 0.0)
            for n in range(1, self.bulk + 1)
        ]
        self._heads = self._head_points(known, one_s)
        self.sizes: list[int] = sorted({*known, *range(GROUP, self.bulk + 1, GROUP)})

    def _corners(self, known: Points, one_s: float) -> Points:
        """Whole groups, and the few rows below the first one: timed, or in proportion to what is timed around."""
        corners = {n: seconds for n, seconds in known.items() if n < GROUP or n % GROUP == 0}
        ratios = {n: seconds / _SHAPE.get(n, _SHAPE[64] * n / 64) for n, seconds in corners.items()} or {1: one_s}
        guesses = {n: shape * _line(n, ratios) for n, shape in _SHAPE.items() if n <= self.bulk}
        return {**guesses, **corners}

    def _head_points(self, known: Points, one_s: float) -> Points:
        """Outputs -> seconds beyond those of one output."""
        none_s = self._timed.get((1, 0), (1 - _HEAD) * one_s)
        points = {0: min(0.0, none_s - one_s), 1: 0.0}
        for (n_rows, n_outputs), seconds in self._timed.items():
            if n_outputs > 1 and n_rows in known:
                points[n_outputs] = max(0.0, seconds - known[n_rows])
        last = max(points)
        each_s = points[last] / (last - 1) if last > 1 else _HEAD * one_s
        points[last + 1024] = points[last] + 1024 * each_s
        return points


def _plausible(known: Points) -> Points:
    """A whole group costs hardly more than several of them: where it did, the machine was busy just then."""
    capped, least_s = dict(known), math.inf
    for n in sorted(known, reverse=True):
        if n % GROUP == 0:
            capped[n] = min(known[n], _MORE_THAN_LARGER * least_s)
            least_s = min(least_s, known[n])
    return capped


def _bumps(known: Points, corners: Points, one_s: float) -> Points:
    """What 1, 2 and 3 rows beyond a group cost above the line: timed for 5, 6 and 7, and taken for all."""
    timed = {n - GROUP: max(0.0, known[n] - _line(n, corners)) for n in (5, 6, 7) if n in known}
    if not timed:
        return {rest: bump * one_s for rest, bump in _BUMPS.items()}
    return {0: 0.0} | {rest: _line(rest, timed) for rest in (1, 2, 3)}


def _line(at: int, points: Points) -> float:
    """Straight lines between the points; level outside of them."""
    places = sorted(points)
    for left, right in pairwise(places):
        if left <= at <= right:
            return points[left] + (points[right] - points[left]) * (at - left) / (right - left)
    return points[places[0] if at < places[0] else places[-1]]
