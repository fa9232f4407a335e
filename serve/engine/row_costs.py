"""What steps cost by their rows, learned from every step. What follows from it is step_sizes.py's.

Knows neither requests nor llama.cpp. Used by the engine's thread only.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .row_table import RowTable
from .trend import Trend

_LEVEL_WEIGHT = 0.25
_SIZE_WEIGHT = 0.02
_CLIP = math.log(1.5)
# A prompt's steps are chosen by what they taught, so a stall of the machine may move them but little.
_PROMPT_WEIGHT = 0.3
_PROMPT_CLIP = math.log(1.25)
_MIXED_FADES = 0.98
# Rows for each that brings logits, in a step that says what a prompt's rows cost by themselves.
_LARGE_SHARE = 4
# of one row's seconds, for a prompt row and each cell before it; 0.00014 was measured at 0.5B
_CELL = 0.0001
# tokens by which the price of depth shows
_FAR = 1500
# of that, in large steps, before there was one
_LARGE_CELL = 0.3
_LARGE_CLIP = 2.0
_CAP_WEIGHT = 0.1
# who never tries never knows: by each small step of a prompt they seem cheaper, down to this
_HOPE_FADES, _LEAST_HOPE = 0.997, 0.6


class RowCosts:
    """seconds = level x table(rows, outputs), with prompt rows: mixed x (that + prompt rows x cell x depth).

    `level` follows what steps of decoding take, with deeper contexts and busier cores, for all sizes at
    once: those not seen lately keep their proportion. Prompt rows pay for the `depth` cells before them,
    which are not those of the streams beside them; `mixed` is what that leaves to explain. From `piece_rows` on, where
    the runner is at its best, that holds no more: there a prompt's row costs level x line(depth), learned by itself.
    """

    def __init__(self, *, max_rows: int, piece_rows: int) -> None:
        self.max_rows = max_rows
        self.piece_rows = piece_rows
        self._table = RowTable(max_rows=max_rows, piece_rows=piece_rows)
        self._is_measured = False
        self._level = 1.0
        self._mixed = 1.0
        self.longest_s = 0.0
        self._hope = 1.0
        self._begin()

    def calibrate(self, time_rows: Callable[[int, int], float], budget_s: float = 2.0) -> None:
        """Fills the table through `time_rows(n_rows, n_outputs) -> seconds`, in about `budget_s`."""
        self._table.calibrate(time_rows, budget_s)
        self._is_measured = True
        self._begin()

    def seconds(self, n_rows: int, n_outputs: int | None = None) -> float:
        """A step of `n_rows` of which `n_outputs`, by default one, bring logits."""
        return self._level * self._table.seconds(n_rows, 1 if n_outputs is None else n_outputs)

    def at_rest(self, n_rows: int, n_outputs: int, depth: float = 0.0) -> float:
        """The step on the machine as it was at load, prompt rows at `depth` and all: what ThreadTuner wants."""
        return self._table.seconds(n_rows, n_outputs) + self._cells_s(n_rows, n_outputs, depth)

    def measure(self, n_rows: int, n_outputs: int, seconds: float, depth: float = 0.0) -> None:
        """Every step teaches. `n_rows` counts idle rows too; `depth`: cells before its prompt rows, on average."""
        if n_rows < 1 or seconds <= 0:
            return
        self.longest_s = max(seconds, 0.9 * self.longest_s)
        if not self._is_measured:
            self._is_measured = True
            self._level = seconds / self._table.seconds(n_rows, n_outputs)
        elif self.is_large(n_rows, n_outputs):
            self._learn_large(n_rows, seconds, depth)
        elif depth and n_rows >= 2 * n_outputs:
            self._learn_prompt(n_rows, n_outputs, seconds, depth)
        else:
            self._learn_level(n_rows, n_outputs, seconds)

    def prompt_s(self, n_rows: int, n_outputs: int, depth: float) -> float:
        """A step that holds part of a prompt, its rows without logits at `depth`."""
        return self._mixed * (self.seconds(n_rows, n_outputs) + self._cells_s(n_rows, n_outputs, depth))

    def depth_s(self, n_rows: int, depth: float) -> float:
        """What so many prompt rows cost more at `depth` than at the beginning."""
        return self._mixed * n_rows * self._cell_s * depth

    def large_s(self, n_rows: int, depth: float) -> float:
        """A large step. Never more than if it were like small ones, and ever less while there was none."""
        by_itself_s = self._hope * self._level * self._large_row_s.at(depth) * n_rows
        return min(by_itself_s, self.prompt_s(n_rows, 1, depth))

    def is_large(self, n_rows: int, n_outputs: int) -> bool:
        """Almost all prompt, and enough of it for the runner to be at its best."""
        return n_rows >= self.piece_rows and n_rows >= _LARGE_SHARE * n_outputs

    @property
    def bulk(self) -> int:
        """The most rows that are not made up of smaller steps."""
        return self._table.bulk

    @property
    def sizes(self) -> list[int]:
        """Steps up to that worth choosing."""
        return self._table.sizes

    def _begin(self) -> None:
        """What depth costs, by guess."""
        self._cell_s = _CELL * self._table.seconds(1, 1)
        row_s = self._table.seconds(self.bulk, 1) / self.bulk
        self._large_row_s = Trend(row_s, _LARGE_CELL * self._cell_s, far=_FAR)

    def _cells_s(self, n_rows: int, n_outputs: int, depth: float) -> float:
        return max(0, n_rows - n_outputs) * self._cell_s * depth

    def _learn_large(self, n_rows: int, seconds: float, depth: float) -> None:
        self._hope = 1.0
        # of large models this size was not timed: what caps it must not lie below what it takes
        excess = math.log(seconds / self.prompt_s(n_rows, 1, depth))
        self._table.scale(n_rows, math.exp(_CAP_WEIGHT * max(0.0, min(_CLIP, excess))))
        known = self._large_row_s.at(depth)
        self._large_row_s.add(depth, max(known / _LARGE_CLIP, min(known * _LARGE_CLIP, seconds / n_rows / self._level)))

    def _learn_level(self, n_rows: int, n_outputs: int, seconds: float) -> None:
        surprise = math.log(seconds / self.seconds(n_rows, n_outputs))
        surprise = max(-_CLIP, min(_CLIP, surprise))
        self._level *= math.exp(_LEVEL_WEIGHT * surprise)
        self._table.scale(n_rows, math.exp(_SIZE_WEIGHT * surprise))
        self._mixed **= _MIXED_FADES

    def _learn_prompt(self, n_rows: int, n_outputs: int, seconds: float, depth: float) -> None:
        """The surprise goes to the price of a cell by its part of the step, and to all of the step."""
        predicted_s = self.prompt_s(n_rows, n_outputs, depth)
        surprise = _PROMPT_WEIGHT * max(-_PROMPT_CLIP, min(_PROMPT_CLIP, math.log(seconds / predicted_s)))
        if n_rows < self.piece_rows:
            part = self._mixed * self._cells_s(n_rows, n_outputs, depth) / predicted_s
            self._cell_s *= math.exp(surprise * part)
        self._mixed = self._mixed**_MIXED_FADES * math.exp(surprise)
        self._hope = max(_LEAST_HOPE, _HOPE_FADES * self._hope)
