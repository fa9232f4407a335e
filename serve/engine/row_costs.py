"""What steps cost by their rows, learned from every step, and so how many rows of which kind a step holds.

Knows neither requests nor llama.cpp. Used by the engine's thread only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from .group_filler import GroupFiller
from .row_table import GROUP, RowTable
from .trend import Trend

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
# Where streams run ahead of their readers, who get a token in the time of so many steps: 5 less the noise of a machine
# whose steps become half as long again.
PACE = 3.0
# A stream runs ahead of its reader for this many times the large step it is to bridge: noise needs the rest.
LEAD = 1.5
# Large steps apart have to get the prompt computed in this share of the time that it takes beside the streams.
_APART_WINS = 0.9
_CHEAP = 1.1
_ALMOST = 0.75
# What background work may add to a step: less than the noise that its readers see anyway.
FILLER_SHARE = 0.1
# An idle row has to save more than the table's own noise.
IDLE_GAIN = 0.1
MAX_IDLE = 7
# beyond that the table cannot be so wrong
_WORTH_TRYING = 1.3

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
# of that, in large steps, before there was one
_LARGE_CELL = 0.5
_LARGE_CLIP = 2.0
# who never tries never knows: by each small step of a prompt they seem cheaper, down to this
_HOPE_FADES, _LEAST_HOPE = 0.997, 0.6


class Slice(NamedTuple):
    """What of a prompt a step computes in which streams go on, `n_rows`, and how fast their readers get their tokens.

    With `pace_s` 0 at once. Else one each `pace_s`, so that the streams run ahead of their readers, by `lead_s` at
    most: then they can bridge a step as large as if nobody decoded. Until they have that, the prompt gets no rows.
    """

    n_rows: int
    pace_s: float = 0.0
    lead_s: float = 0.0


class RowCosts:
    """seconds = level x table(rows, outputs), with prompt rows: mixed x (that + prompt rows x cell x depth).

    `level` follows what steps of decoding take, with deeper contexts and busier cores, for all sizes at
    once: those not seen lately keep their proportion. Prompt rows pay for the `depth` cells before them,
    which are not those of the streams beside them; `mixed` is what that leaves to explain. From `piece_rows` on, where
    the runner is at its best, that holds no more: there a prompt's row costs level x line(depth), learned by itself.
    """

    def __init__(self, *, max_rows: int, piece_rows: int) -> None:
        self._max_rows = max_rows
        self._piece_rows = piece_rows
        self._table = RowTable(max_rows=max_rows, piece_rows=piece_rows)
        self._is_measured = False
        self._level = 1.0
        self._mixed = 1.0
        self._filler = GroupFiller()
        self._longest_s = 0.0
        self._hope = 1.0
        self._begin()

    def calibrate(self, time_rows: Callable[[int, int], float], budget_s: float = 2.0) -> None:
        """Fills the table through `time_rows(n_rows, n_outputs) -> seconds`, in about `budget_s`."""
        self._table.calibrate(time_rows, budget_s)
        self._is_measured = True
        self._begin()

    def _begin(self) -> None:
        """What depth costs, by guess."""
        self._cell_s = _CELL * self._table.seconds(1, 1)
        bulk = self._table.bulk
        self._large_row_s = Trend(self._table.seconds(bulk, 1) / bulk, _LARGE_CELL * self._cell_s, far=DEEP_CELLS)

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
        elif self._is_large(n_rows, n_outputs):
            self._learn_large(n_rows, seconds, depth)
        elif depth and n_rows >= 2 * n_outputs:
            self._learn_prompt(n_rows, n_outputs, seconds, depth)
        else:
            self._learn_level(n_rows, n_outputs, seconds)
            if not depth:
                self._filler.observe(n_outputs, n_rows - n_outputs, seconds)

    def idle_rows(self, n_rows: int, n_outputs: int, depth: float = 0.0) -> int:
        """Rows without use that make the step clearly cheaper: products take rows in groups, and deep in a prompt
        attention is at its best with a piece. Of decoding alone, what is cheaper is tried out.
        """
        best = self._idle_by_table(n_rows, n_outputs)
        if n_rows == n_outputs:
            return self._idle_by_trial(n_rows, best)
        return self._idle_to_piece(n_rows, n_outputs, depth, best)

    def _idle_by_table(self, n_rows: int, n_outputs: int) -> int:
        best, best_s = 0, self.seconds(n_rows, n_outputs) * (1 - IDLE_GAIN)
        for extra in range(1, min(MAX_IDLE, self._max_rows - n_rows) + 1):
            seconds = self.seconds(n_rows + extra, n_outputs)
            if seconds < best_s:
                best, best_s = extra, seconds
        return best

    def _idle_by_trial(self, n_rows: int, by_table: int) -> int:
        n_idle = by_table or -n_rows % GROUP
        if not n_idle or n_rows + n_idle > self._max_rows:
            return 0
        price = self.seconds(n_rows + n_idle, n_rows) / self.seconds(n_rows, n_rows)
        return self._filler.n_idle(n_rows, n_idle, by_table=by_table > 0) if price < _WORTH_TRYING else 0

    def _idle_to_piece(self, n_rows: int, n_outputs: int, depth: float, otherwise: int) -> int:
        n_idle = min(self._piece_rows, self._max_rows) - n_rows
        if n_idle > 0 and depth and self._is_large(self._piece_rows, n_outputs):
            small_s = self._prompt_s(n_rows + otherwise, n_outputs, depth)
            if self._large_s(self._piece_rows, depth) < small_s * (1 - IDLE_GAIN):
                return n_idle
        return otherwise

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

    def prompt_slice(
        self, n_decoding: int, depth: float, lefts: list[int], lead_s: float, cycle_s: float = 0.0
    ) -> Slice:
        """Of prompts with `lefts` rows to go, beside streams that are all ahead of their readers by `lead_s` or more.

        A row in a small step may cost twice what it does in a large one, which would stop the streams for long.
        `cycle_s`: from one step of decoding to the next, with what is drawn between.
        """
        beside = self.prefill_rows(n_decoding, depth)
        apart, n_left = self._rows_apart(depth) - n_decoding, sum(lefts)
        if not n_decoding or n_left <= beside or apart <= beside:
            return Slice(beside)
        apart = min(apart, n_left)
        step_s = self._large_s(max(self._piece_rows, apart + n_decoding), depth)
        pace_s = PACE * max(cycle_s, self._plain_s(n_decoding, n_decoding))
        needed_s = LEAD * step_s - pace_s
        # a second of running ahead lets the readers fall behind by so many
        gain = PACE - 1
        deeper = depth + n_left / 2
        then = self.prefill_rows(n_decoding, deeper)
        beside_s = n_left / then * self._prompt_s(then + n_decoding, n_decoding, deeper)
        apart_s = n_left / apart * (step_s + max(0.0, step_s - pace_s) / gain) + max(0.0, needed_s - lead_s) / gain
        # who has begun goes on, so that no reader gets all at once what was meant to last
        if apart_s > beside_s * (1 if lead_s > 0 else _APART_WINS):
            return Slice(beside)
        if lead_s >= needed_s:
            n_rows = apart
        else:
            # a short one, which gets half of what there is, does not wait where that is sooner
            there_s = 2 * min(lefts) / beside * self._prompt_s(beside + n_decoding, n_decoding, depth)
            n_rows = beside if there_s < (needed_s - lead_s) / gain + step_s else 0
        return Slice(n_rows, pace_s, max(0.0, needed_s) + pace_s)

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

    def _is_large(self, n_rows: int, n_outputs: int) -> bool:
        """Almost all prompt, and enough of it for the runner to be at its best."""
        return n_rows >= self._piece_rows and n_rows >= _LARGE_SHARE * n_outputs

    def _large_s(self, n_rows: int, depth: float) -> float:
        """Never more than if that step were like small ones, and ever less while there was none."""
        by_itself_s = self._hope * self._level * self._large_row_s.at(depth) * n_rows
        return min(by_itself_s, self._prompt_s(n_rows, 1, depth))

    def _learn_large(self, n_rows: int, seconds: float, depth: float) -> None:
        self._hope = 1.0
        known = self._large_row_s.at(depth)
        self._large_row_s.add(depth, max(known / _LARGE_CLIP, min(known * _LARGE_CLIP, seconds / n_rows / self._level)))

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
        if n_rows < self._piece_rows:
            part = self._mixed * self._cells_s(n_rows, n_outputs, depth) / predicted_s
            self._cell_s *= math.exp(surprise * part)
        self._mixed = self._mixed**_MIXED_FADES * math.exp(surprise)
        self._hope = max(_LEAST_HOPE, _HOPE_FADES * self._hope)

    def _rows_alone(self, depth: float) -> int:
        """As many rows as take about half a second; more where fewer would be a bad bargain."""
        bulk = self._table.bulk
        row_s = self._large_s(bulk, depth) / bulk
        affordable = int(ALONE_S / row_s)
        if affordable >= self._max_rows:
            return self._max_rows
        if affordable >= bulk:
            return affordable - affordable % (bulk if affordable >= 2 * bulk else GROUP)
        for total in self._table.sizes:
            if total >= affordable and self._prompt_s(total, 0, depth) <= FAIR_PRICE * row_s * total:
                # the whole of it is hardly longer, and tells what it costs
                return total if total < _ALMOST * bulk else bulk
        return bulk

    def _rows_apart(self, depth: float) -> int:
        """No more than are needed to be cheap: the streams have to bridge them."""
        alone, total = self._rows_alone(depth), self._piece_rows
        while total < alone and self.seconds(total, 0) / total > _CHEAP * self.seconds(alone, 0) / alone:
            total *= 2
        return min(total, max(alone, self._piece_rows), self._max_rows)

    def _totals(self, n_rows: int) -> list[int]:
        """Sizes worth considering for a step that holds `n_rows` already. The group that is begun is filled up."""
        bulk = self._table.bulk
        bulks = range(bulk, self._max_rows + 1, bulk)
        groups = range(bulk + GROUP, min(self._max_rows, n_rows + bulk) + 1, GROUP)
        least = min(self._max_rows, n_rows - n_rows % GROUP + GROUP)
        totals = {least, *self._table.sizes, *groups, *bulks}
        return [total for total in sorted(totals) if total >= least and total > n_rows]
