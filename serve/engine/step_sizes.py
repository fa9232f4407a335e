"""How many rows of which kind a step holds: decided by what they cost, and by what readers of streams can bear.

Knows neither requests nor llama.cpp. Used by the engine's thread only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .group_filler import GroupFiller
from .row_costs import RowCosts
from .row_table import GROUP

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
# A row may cost this many times what it does in the largest step, if that makes the step short.
_CHEAP = 1.1
# From this share on, the whole of what makes rows cheap is taken.
_ALMOST = 0.75
# What background work may add to a step: less than the noise that its readers see anyway.
FILLER_SHARE = 0.1
# An idle row has to save more than the table's own noise.
IDLE_GAIN = 0.1
MAX_IDLE = 7
# beyond that the table cannot be so wrong
_WORTH_TRYING = 1.3


class Slice(NamedTuple):
    """What of a prompt a step computes in which streams go on, `n_rows`, and how fast their readers get their tokens.

    With `pace_s` 0 at once. Else one each `pace_s`, so that the streams run ahead of their readers, by `most_s` at
    most: then they can bridge a large step. Until they are as far, a prompt gets few rows or none.
    """

    n_rows: int
    pace_s: float = 0.0
    most_s: float = 0.0


class StepSizes:
    """For one engine: `costs` are learned from its steps."""

    def __init__(self, costs: RowCosts) -> None:
        self.costs = costs
        self._filler = GroupFiller()

    def measure(
        self, n_rows: int, n_outputs: int, seconds: float, depth: float = 0.0, *, is_usual: bool = True
    ) -> None:
        """Every step teaches, as RowCosts.measure says. `is_usual`: nothing else is being tried out with it."""
        self.costs.measure(n_rows, n_outputs, seconds, depth)
        if is_usual and not depth:
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
        best, best_s = 0, self.costs.seconds(n_rows, n_outputs) * (1 - IDLE_GAIN)
        for extra in range(1, min(MAX_IDLE, self.costs.max_rows - n_rows) + 1):
            seconds = self.costs.seconds(n_rows + extra, n_outputs)
            if seconds < best_s:
                best, best_s = extra, seconds
        return best

    def _idle_by_trial(self, n_rows: int, by_table: int) -> int:
        n_idle = by_table or -n_rows % GROUP
        if not n_idle or n_rows + n_idle > self.costs.max_rows:
            return 0
        price = self.costs.seconds(n_rows + n_idle, n_rows) / self.costs.seconds(n_rows, n_rows)
        return self._filler.n_idle(n_rows, n_idle, by_table=by_table > 0) if price < _WORTH_TRYING else 0

    def _idle_to_piece(self, n_rows: int, n_outputs: int, depth: float, otherwise: int) -> int:
        n_idle = min(self.costs.piece_rows, self.costs.max_rows) - n_rows
        if n_idle > 0 and depth and self.costs.is_large(self.costs.piece_rows, n_outputs):
            small_s = self.costs.prompt_s(n_rows + otherwise, n_outputs, depth)
            if self.costs.large_s(self.costs.piece_rows, depth) < small_s * (1 - IDLE_GAIN):
                return n_idle
        return otherwise

    def prefill_rows(self, n_decoding: int, depth: float = 0.0) -> int:
        """Prompt rows, with `depth` cells before them, for a step in which `n_decoding` streams go on."""
        if not n_decoding:
            return self._rows_alone(depth)
        gap = min(MAX_DEEP_GAP, MAX_GAP * max(1.0, depth / DEEP_CELLS))
        longest_s = gap * self._plain_s(n_decoding, n_decoding)
        fair_s = FAIR_PRICE * self.costs.seconds(self.costs.bulk, 0) / self.costs.bulk
        best, best_price = 0, math.inf
        for total in self._totals(n_decoding):
            seconds = self.costs.prompt_s(total, n_decoding, depth)
            price = seconds / (total - n_decoding)
            weighed = price * max(1.0, seconds / longest_s) ** _EXCESS_POWER
            if weighed < best_price:
                best, best_price = total - n_decoding, weighed
                if weighed <= fair_s:
                    break
        return best

    def prompt_slice(
        self, n_decoding: int, depth: float, lefts: list[int], lead_s: float, stretch: float = 1.0
    ) -> Slice:
        """Of prompts with `lefts` rows to go, beside streams that are all ahead of their readers by `lead_s` or more.

        A row in a small step may cost twice what it does in a large one, which would stop the streams for long.
        `stretch`: how many times as long as a step alone it is from one of decoding to the next.
        """
        beside = self.prefill_rows(n_decoding, depth)
        apart, n_left = self._rows_apart(depth) - n_decoding, sum(lefts)
        if not n_decoding or n_left <= beside or apart <= beside:
            return Slice(beside)
        apart = min(apart, n_left)
        step_s = self.costs.large_s(max(self.costs.piece_rows, apart + n_decoding), depth)
        pace_s = PACE * stretch * self._plain_s(n_decoding, n_decoding)
        needed_s = LEAD * step_s - pace_s
        # a second of running ahead lets the readers fall behind by so many
        gain = PACE - 1
        deeper = depth + n_left / 2
        then = self.prefill_rows(n_decoding, deeper)
        beside_s = n_left / then * self.costs.prompt_s(then + n_decoding, n_decoding, deeper)
        mean_s = self.costs.large_s(max(self.costs.piece_rows, apart + n_decoding), deeper)
        apart_s = n_left / apart * (mean_s + max(0.0, mean_s - pace_s) / gain) + max(0.0, needed_s - lead_s) / gain
        # who has begun goes on, so that no reader gets all at once what was meant to last
        if apart_s > beside_s * (1 if lead_s > 0 else _APART_WINS):
            return Slice(beside)
        if lead_s >= needed_s:
            n_rows = apart
        else:
            # a short one, which gets half of what there is, does not wait where that is sooner
            there_s = 2 * min(lefts) / beside * self.costs.prompt_s(beside + n_decoding, n_decoding, depth)
            n_rows = beside if there_s < (needed_s - lead_s) / gain + step_s else 0
        return Slice(n_rows, pace_s, max(0.0, needed_s) + pace_s)

    def filler_rows(self, n_rows: int, n_outputs: int, depth: float = 0.0) -> int:
        """Prompt rows that background work may add to the step."""
        allowed_s = (1 + FILLER_SHARE) * self._plain_s(n_rows, n_outputs)
        for total in reversed(self._totals(n_rows)):
            if self.costs.seconds(total, n_outputs) + self.costs.depth_s(total - n_rows, depth) <= allowed_s:
                return total - n_rows
        return 0

    @property
    def predicted_step_s(self) -> float:
        """An upper guess for the next step."""
        return max(self.costs.longest_s, self.costs.prompt_s(self._rows_alone(0.0), 1, 0.0))

    def _plain_s(self, n_rows: int, n_outputs: int) -> float:
        """A step without any of a prompt, idle rows and all."""
        return self.costs.seconds(n_rows + self.idle_rows(n_rows, n_outputs), n_outputs)

    def _rows_alone(self, depth: float) -> int:
        """As many rows as take about half a second; more where fewer would be a bad bargain."""
        bulk = self.costs.bulk
        row_s = self.costs.large_s(bulk, depth) / bulk
        affordable = int(ALONE_S / row_s)
        if affordable >= self.costs.max_rows:
            return self.costs.max_rows
        if affordable >= bulk:
            return affordable - affordable % (bulk if affordable >= 2 * bulk else GROUP)
        for total in self.costs.sizes:
            if total >= affordable and self.costs.prompt_s(total, 0, depth) <= FAIR_PRICE * row_s * total:
                # the whole is hardly longer, and tells what it costs
                return total if total < _ALMOST * bulk else bulk
        return bulk

    def _rows_apart(self, depth: float) -> int:
        """No more than are needed to be cheap: the streams have to bridge them."""
        alone, total = self._rows_alone(depth), self.costs.piece_rows
        while total < alone and self.costs.seconds(total, 0) / total > _CHEAP * self.costs.seconds(alone, 0) / alone:
            total *= 2
        return min(total, max(alone, self.costs.piece_rows), self.costs.max_rows)

    def _totals(self, n_rows: int) -> list[int]:
        """Sizes worth considering for a step that holds `n_rows` already. The group that is begun is filled up."""
        bulk = self.costs.bulk
        bulks = range(bulk, self.costs.max_rows + 1, bulk)
        groups = range(bulk + GROUP, min(self.costs.max_rows, n_rows + bulk) + 1, GROUP)
        least = min(self.costs.max_rows, n_rows - n_rows % GROUP + GROUP)
        totals = {least, *self.costs.sizes, *groups, *bulks}
        return [total for total in sorted(totals) if total >= least and total > n_rows]
