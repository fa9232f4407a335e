"""A machine that exists only as the costs of its steps, as they were measured on real ones."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

PIECE = 60


@dataclass(frozen=True)
class Costs:
    """Milliseconds: rows with one output -> step, a further output, the first one, a row and 1,000 cells before it; and
    the same in steps of at least a `piece`.
    """

    rows: dict[int, float]
    output: float
    first_output: float
    kilocell: float
    kilocell_large: float | None = None
    piece: int = PIECE


# fmt: off
QUIET_05B = Costs({
    1: 14.5, 2: 33.8, 3: 37, 4: 38.7, 5: 43, 6: 45.5, 7: 48, 8: 50.4, 9: 56, 10: 58, 11: 60, 12: 60, 13: 65, 14: 67,
    15: 69, 16: 60, 17: 67.5, 18: 71, 19: 72.5, 20: 80, 24: 95, 28: 106, 32: 112, 40: 131, 48: 157, 60: 195.7,
}, 1.5, 4, 2.1)
QUIET_15B = Costs({
    1: 26.9, 2: 38.5, 3: 50, 4: 59.3, 5: 75, 6: 85, 7: 95, 8: 98.2, 12: 122.6, 15: 150, 16: 114.2, 17: 135, 20: 160,
    24: 195, 32: 224, 48: 300, 60: 375,
}, 2, 7, 4.0)
BUSY_05B = Costs({
    1: 72, 2: 92, 3: 103, 4: 108, 5: 141, 8: 178, 9: 223, 12: 234, 16: 269, 17: 316, 20: 328, 32: 476, 33: 530, 60: 840,
}, 4, 20, 12)
BUSY_15B = Costs({
    1: 135, 2: 210, 3: 270, 4: 184, 5: 265, 8: 337, 9: 396, 12: 451, 16: 414, 17: 550, 20: 577, 32: 773, 33: 850,
    60: 1290,
}, 9, 30, 15)
# of another two cores, slower and with steeper groups
OTHER_05B = Costs({1: 34, 2: 39.4, 4: 47.3, 8: 75.5, 16: 119, 20: 140, 32: 224, 60: 408}, 2, 10, 5)
OTHER_15B = Costs({
    1: 88, 2: 117, 3: 150, 4: 104, 5: 145, 8: 174, 12: 238, 15: 311, 16: 230, 20: 303, 24: 356, 32: 467, 60: 845,
}, 5, 15, 8)
# where attention takes another kernel from 64 rows on
TILED_05B = Costs({
    1: 44, 2: 57, 4: 75, 8: 126, 12: 185, 16: 205, 20: 245, 32: 341, 48: 420, 60: 500, 64: 535,
}, 2, 10, 7.3, 1.4, 64)
# fmt: on
ALL = {
    "0.5B": QUIET_05B,
    "1.5B": QUIET_15B,
    "0.5B busy": BUSY_05B,
    "1.5B busy": BUSY_15B,
    "0.5B other": OTHER_05B,
    "1.5B other": OTHER_15B,
    "0.5B tiled": TILED_05B,
}


class Machine:
    """Takes as long as `costs` say, give or take `noise`, times `busy`; its clock is the sum of its steps."""

    def __init__(self, costs: Costs, *, seed: int = 0, noise: float = 0.03) -> None:
        self.costs, self.noise, self.busy, self.now = costs, noise, 1.0, 0.0
        self._random = random.Random(seed)

    def time_rows(self, n_rows: int, n_outputs: int) -> float:
        return self.step(n_rows, n_outputs)

    def step(self, n_rows: int, n_outputs: int, cells: float = 0.0) -> float:
        """Seconds; `cells` is the sum over all rows of the cells they attend to."""
        seconds = self.plain(n_rows, n_outputs, cells) * self._random.lognormvariate(0, self.noise)
        self.now += seconds
        return seconds

    def plain(self, n_rows: int, n_outputs: int, cells: float = 0.0) -> float:
        costs = self.costs
        outputs = costs.output * (n_outputs - 1) if n_outputs else -costs.first_output
        kilocell = costs.kilocell
        if n_rows >= costs.piece and costs.kilocell_large is not None:
            kilocell = costs.kilocell_large
        return self.busy * (self._rows(n_rows) + outputs + kilocell * cells / 1000) / 1000

    def bulk(self, n_tokens: int) -> float:
        """A prompt in whole pieces, with nobody else about."""
        piece = self.costs.piece
        starts = range(0, n_tokens, piece)
        return sum(self.plain(min(piece, n_tokens - start), 0, piece * (start + piece / 2)) for start in starts)

    def _rows(self, n_rows: int) -> float:
        pieces, rest = divmod(n_rows, self.costs.piece)
        table = self.costs.rows
        if n_rows in table or not rest:
            return table.get(n_rows) or pieces * table[self.costs.piece]
        below = pieces * table[self.costs.piece]
        for left, right in pairwise(sorted(table)):
            if left <= rest <= right:
                return below + table[left] + (table[right] - table[left]) * (rest - left) / (right - left)
        raise AssertionError(n_rows)
