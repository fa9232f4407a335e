"""What steps cost by their rows, learned from every step, and so how many rows of which kind a step holds.

Knows neither requests nor llama.cpp. Used by the engine's thread only.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .row_table import GROUP, UBATCH_ROWS, RowTable

# With nobody decoding a step may take this long: the longest a newcomer waits to be looked at.
ALONE_S = 0.5
# A prompt may stretch a stream's gap to 5 gaps without it; noise needs the rest. With a long one in
# front of it the prompt itself would hardly get on, and the stretch grows.
MAX_GAP = 3.9
MAX_DEEP_GAP = 7.0
DEEP_CELLS = 1500
# Beyond that a step is not forbidden, but has to save the prompt this power of the excess.
_EXCESS_POWER = 8
# The streams are spared what would save the prompt little: it pays at most this much a token.
FAIR_PRICE = 1.25
# What background work may add to a step: less than the noise that its readers see anyway.
FILLER_SHARE = 0.1
# An idle row has to save more than the table's own noise.
IDLE_GAIN = 0.1
MAX_IDLE = 7

_LEVEL_WEIGHT = 0.25
_SIZE_WEIGHT = 0.02
_CLIP = math.log(1.5)
# A prompt's steps are chosen by what they taught, so a stall of the machine may move them but little.
_PROMPT_WEIGHT = 0.3
_PROMPT_CLIP = math.log(1.25)
_MIXED_FADES = 0.98
# of one row's seconds, for a prompt row and each cell before it; 0.00014 was measured at 0.5B
_CELL = 0.0001


class RowCosts:
    """seconds = level x table(rows, outputs), with prompt rows: mixed x (that + prompt rows x cell x depth).

    `level` follows what steps of decoding take, with deeper contexts and busier cores, for all sizes at
    once: those not seen lately keep their proportion. Prompt rows pay for the `depth` cells before them,
    which are not those of the streams beside them; `mixed` is what that leaves to explain.
    """

    def __init__(self, *, max_rows: int) -> None:
        self._max_rows = max_rows
        self._table = RowTable(max_rows=max_rows)
        self._is_measured = False
        self._level = 1.0
        self._cell_s = _CELL * self._table.seconds(1, 1)
        self._mixed = 1.0
        self._bulk_row_s: float | None = None
        self._longest_s = 0.0

    def calibrate(self, time_rows: Callable[[int, int], float], budget_s: float = 2.0) -> None:
        """Fills the table through `time_rows(n_rows, n_outputs) -> seconds`, in about `budget_s`."""
        self._table.calibrate(time_rows, budget_s)
        self._is_measured = True
        self._cell_s = _CELL * self._table.seconds(1, 1)

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
        self._longest_s = max(seconds, 0.9 * self._longest_s)
        if not self._is_measured:
            self._is_measured = True
            self._level = seconds / self._table.seconds(n_rows, n_outputs)
        elif n_rows >= UBATCH_ROWS and n_outputs <= 1:
            # attention takes another kernel there: it says nothing of the few rows beside a stream
            old_s = self._bulk_row_s or seconds / n_rows
            self._bulk_row_s = old_s + _LEVEL_WEIGHT * (seconds / n_rows - old_s)
        elif depth and n_rows >= 2 * n_outputs:
            self._learn_prompt(n_rows, n_outputs, seconds, depth)
        else:
            self._learn_level(n_rows, n_outputs, seconds)

    def idle_rows(self, n_rows: int, n_outputs: int) -> int:
        """Rows without use that make the step clearly cheaper, because products take rows in groups."""
        best, best_s = 0, self.seconds(n_rows, n_outputs) * (1 - IDLE_GAIN)
        for extra in range(1, min(MAX_IDLE, self._max_rows - n_rows) + 1):
            seconds = self.seconds(n_rows + extra, n_outputs)
            if seconds < best_s:
                best, best_s = extra, seconds
        return best

    def prefill_rows(self, n_decoding: int, depth: float = 0.0) -> int:
        """Prompt rows, with `depth` cells before them, for a step in which `n_decoding` streams go on."""
        if not n_decoding:
            return self._rows_alone(depth)
        gap = min(MAX_DEEP_GAP, MAX_GAP * max(1.0, depth / DEEP_CELLS))
        longest_s = gap * self._plain_s(n_decoding, n_decoding)
        fair_s = FAIR_PRICE * self.seconds(self._table.bulk, 0) / self._table.bulk
        best, best_price = 0, math.inf
        for total in self._totals(n_decoding):
            seconds = self._prompt_s(total, n_decoding, depth)
            price = seconds / (total - n_decoding)
            weighed = price * max(1.0, seconds / longest_s) ** _EXCESS_POWER
            if weighed < best_price:
                best, best_price = total - n_decoding, weighed
                if weighed <= fair_s:
                    break
        return best

    def filler_rows(self, n_rows: int, n_outputs: int, depth: float = 0.0) -> int:
        """Prompt rows that background work may add to the step."""
        allowed_s = (1 + FILLER_SHARE) * self._plain_s(n_rows, n_outputs)
        cell_s = self._mixed * self._cell_s * depth
        for total in reversed(self._totals(n_rows)):
            if self.seconds(total, n_outputs) + (total - n_rows) * cell_s <= allowed_s:
                return total - n_rows
        return 0

    @property
    def predicted_step_s(self) -> float:
        """An upper guess for the next step."""
        return max(self._longest_s, self._prompt_s(self._rows_alone(0.0), 1, 0.0))

    def _plain_s(self, n_rows: int, n_outputs: int) -> float:
        return self.seconds(n_rows + self.idle_rows(n_rows, n_outputs), n_outputs)

    def _prompt_s(self, n_rows: int, n_outputs: int, depth: float) -> float:
        return self._mixed * (self.seconds(n_rows, n_outputs) + self._cells_s(n_rows, n_outputs, depth))

    def _cells_s(self, n_rows: int, n_outputs: int, depth: float) -> float:
        return max(0, n_rows - n_outputs) * self._cell_s * depth

    def _learn_level(self, n_rows: int, n_outputs: int, seconds: float) -> None:
        surprise = math.log(seconds / self.seconds(n_rows, n_outputs))
        surprise = max(-_CLIP, min(_CLIP, surprise))
        self._level *= math.exp(_LEVEL_WEIGHT * surprise)
        self._table.scale(n_rows, math.exp(_SIZE_WEIGHT * surprise))
        self._mixed **= _MIXED_FADES

    def _learn_prompt(self, n_rows: int, n_outputs: int, seconds: float, depth: float) -> None:
        """The surprise goes to the price of a cell by its part of the step, and to all of the step."""
        predicted_s = self._prompt_s(n_rows, n_outputs, depth)
        surprise = _PROMPT_WEIGHT * max(-_PROMPT_CLIP, min(_PROMPT_CLIP, math.log(seconds / predicted_s)))
        if n_rows < UBATCH_ROWS:
            part = self._mixed * self._cells_s(n_rows, n_outputs, depth) / predicted_s
            self._cell_s *= math.exp(surprise * part)
        self._mixed = self._mixed**_MIXED_FADES * math.exp(surprise)

    def _rows_alone(self, depth: float) -> int:
        """As many rows as take about half a second; more where fewer would be a bad bargain."""
        bulk = self._table.bulk
        row_s = self._bulk_row_s or self._prompt_s(bulk, 0, depth) / bulk
        affordable = int(ALONE_S / row_s)
        if affordable >= self._max_rows:
            return self._max_rows
        if affordable >= bulk:
            return affordable - affordable % (bulk if affordable >= 2 * bulk else GROUP)
        for total in self._table.sizes:
            if total >= affordable and self._prompt_s(total, 0, depth) <= FAIR_PRICE * row_s * total:
                return total
        return bulk

    def _totals(self, n_rows: int) -> list[int]:
        """Sizes worth considering for a step that holds `n_rows` already. The group that is begun is filled up."""
        bulk = self._table.bulk
        bulks = range(bulk, self._max_rows + 1, bulk)
        groups = range(bulk + GROUP, min(self._max_rows, n_rows + bulk) + 1, GROUP)
        least = min(self._max_rows, n_rows - n_rows % GROUP + GROUP)
        totals = {least, *self._table.sizes, *groups, *bulks}
        return [total for total in sorted(totals) if total >= least and total > n_rows]
