"""What a step costs by its rows, timed at load and by every step since, and so how a step is best filled.

Knows neither requests nor llama.cpp. Used by the engine's thread only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter

# With nobody decoding a step may take this long: the longest a newcomer waits to be looked at.
ALONE_S = 0.5
# A stream's longest gap is to stay below 5 steps of its own; noise and the prompt's depth need the rest.
MAX_GAP = 4.5
# Prompt rows are spared to the streams as long as the prompt pays at most this much for each token.
FAIR_PRICE = 1.35
# What background work may add to a step: less than the noise that its readers see anyway.
FILLER_SHARE = 0.1
# An idle row has to save more than the table's own noise.
IDLE_GAIN = 0.06
MAX_IDLE = 7
# llama_runner's pieces of a batch on a CPU; beyond them a step is that many pieces one after the other.
UBATCH_ROWS = 60

_GROUP = 4
# Until something is measured, and between what is: rows -> cost by one row's, of a 1.5B on two cores.
_SHAPE = {1: 1.0, 2: 1.6, 3: 1.9, 4: 1.6, 8: 2.3, 12: 3.0, 16: 3.2, 20: 4.0, 24: 4.6, 32: 6.0, 48: 8.8, 60: 10.8}
_BUMPS = (0.0, 0.4, 0.7, 0.9)
_HEAD = 0.1
_UNMEASURED_S = 0.05
# (rows, outputs) in order of worth, since a large model has no time for all of them
_POINTS = (
    *((1, 1), (4, 1), (16, 1), (8, 1), (1, 0), (8, 8), (32, 1), (12, 1), (2, 1), (3, 1), (6, 1), (5, 1), (7, 1)),
    *((2, 2), (4, 4), (16, 16), (24, 1), (20, 1), (60, 1), (48, 1), (128, 1), (256, 1), (512, 1)),
)
_LARGEST_SHARE = 0.25
_ROUNDS = 3

_LEVEL_WEIGHT = 0.25
_SHAPE_WEIGHT = 0.02
_CLIP = math.log(1.5)
_PROMPT_WEIGHT = 0.4
_DEPTH_UNIT = 1000.0
_REST_FADES = 0.98
# of one row's seconds, for a prompt row and each cell before it: measured 0.00014 at 0.5B
_CELL = 0.0001


class RowCosts:
    """seconds = level x (body(rows) + head(outputs)) + prompt rows x (cell x depth + rest).

    The table under it is of the machine at load. `level` follows what steps of decoding really take, with
    deeper contexts and busier cores, for all sizes at once, so the sizes not seen lately keep their
    proportion. Prompt rows pay for the `depth` cells that lie before them; `rest` is what is left to say.
    """

    def __init__(self, *, max_rows: int) -> None:
        self._max_rows = max_rows
        self._timed: dict[tuple[int, int], float] = {}
        self._is_measured = False
        self._level = 1.0
        self._cell_s = 0.0
        self._rest_s = 0.0
        self._longest_s = 0.0
        self._build()

    def calibrate(self, time_rows: Callable[[int, int], float], budget_s: float = 2.0) -> None:
        """Fills the table through `time_rows(n_rows, n_outputs) -> seconds`, in about `budget_s`."""
        ends = perf_counter() + budget_s
        for _ in range(_ROUNDS):
            for n_rows, n_outputs in _POINTS:
                if n_rows > self._max_rows or not self._affords(n_rows, n_outputs, ends - perf_counter(), budget_s):
                    continue
                seconds = time_rows(n_rows, n_outputs)
                known = self._timed.get((n_rows, n_outputs), seconds)
                # noise only ever adds
                self._timed[n_rows, n_outputs] = min(known, seconds)
                self._build()
        self._is_measured = True
        self._cell_s = _CELL * self.at_rest(1)

    def seconds(self, n_rows: int, n_outputs: int | None = None) -> float:
        """A step of `n_rows` of which `n_outputs` (by default one) bring logits."""
        return self._level * self.at_rest(n_rows, n_outputs)

    def at_rest(self, n_rows: int, n_outputs: int | None = None) -> float:
        """The same on the machine as it was at load: what ThreadTuner compares with."""
        return self._body(n_rows) + self._head(1 if n_outputs is None else n_outputs)

    def measure(self, n_rows: int, n_outputs: int, seconds: float, depth: float = 0.0) -> None:
        """Every step teaches. `n_rows` counts idle rows too; `depth`: cells before its prompt rows, on average."""
        if n_rows < 1 or seconds <= 0:
            return
        self._longest_s = max(seconds, 0.9 * self._longest_s)
        if not self._is_measured:
            self._is_measured = True
            self._level = seconds / self.at_rest(n_rows, n_outputs)
        elif n_rows > 2 * n_outputs:
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
        longest_s = MAX_GAP * self._decode_s(n_decoding)
        fair_s = FAIR_PRICE * self._prompt_s(self._bulk, 0, depth) / self._bulk
        best, best_price = 0, math.inf
        for total in self._totals(n_decoding):
            seconds = self._prompt_s(total, n_decoding, depth)
            price = seconds / (total - n_decoding)
            if seconds <= longest_s and price < best_price:
                best, best_price = total - n_decoding, price
                if price <= fair_s:
                    break
        return best or self._smallest(n_decoding)

    def filler_rows(self, n_rows: int, n_outputs: int, depth: float = 0.0) -> int:
        """Prompt rows that background work may add to the step."""
        allowed_s = (1 + FILLER_SHARE) * self._decode_s(n_rows, n_outputs)
        extra_s = self._row_extra_s(depth)
        for total in reversed(self._totals(n_rows)):
            if self.seconds(total, n_outputs) + (total - n_rows) * extra_s <= allowed_s:
                return total - n_rows
        return 0

    @property
    def predicted_step_s(self) -> float:
        """An upper guess for the next step."""
        return max(self._longest_s, self._prompt_s(self._rows_alone(), 1, 0.0))

    def _affords(self, n_rows: int, n_outputs: int, left_s: float, budget_s: float) -> bool:
        """One row is timed at any price; what is dearer than a share of the whole has to stay a guess."""
        if not self._timed:
            return True
        expected_s = self.at_rest(n_rows, n_outputs)
        return expected_s <= left_s and (n_rows <= 16 or expected_s <= _LARGEST_SHARE * budget_s)

    def _build(self) -> None:
        """The table of bodies for 0 to max_rows rows with one output, and its companions."""
        one_s = self._timed.get((1, 1), _UNMEASURED_S)
        known = {n: s for (n, outputs), s in self._timed.items() if outputs == 1}
        ratios = {n: known[n] / (_shape(n) * one_s) for n in known if n % _GROUP == 0 or n < _GROUP}
        ratios = ratios or {1: 1.0}
        largest = max(UBATCH_ROWS, *known) if known else UBATCH_ROWS
        largest = min(largest, self._max_rows)
        corners = sorted({*(n for n in _SHAPE if n <= largest), *known, largest} - {5, 6, 7})
        heights = [known.get(n) or _shape(n) * one_s * _line(n, *_columns(ratios)) for n in corners]
        bumps = self._bumps(known, one_s, heights[min(len(heights) - 1, corners.index(4))] if 4 in corners else one_s)
        self._bulk = largest
        self._bodies = [0.0]
        for n in range(1, largest + 1):
            bump = 0.0 if n < _GROUP or n in known else bumps[n % _GROUP]
            self._bodies.append(known.get(n) or _line(n, corners, heights) + bump)
        self._heads = self._head_points(known, one_s)

    def _bumps(self, known: dict[int, float], one_s: float, four_s: float) -> Sequence[float]:
        """What 1, 2 and 3 rows beyond a group cost above the line; that of 5, 6 and 7 is taken for all."""
        eight_s = known.get(8)
        if eight_s is None or not {5, 6, 7} & known.keys():
            return [bump * one_s for bump in _BUMPS]
        measured = {0: 0.0, 4: 0.0}
        for n in {5, 6, 7} & known.keys():
            measured[n - 4] = max(0.0, known[n] - _line(n, [4, 8], [four_s, eight_s]))
        return [_line(rest, *_columns(measured)) for rest in range(_GROUP)]

    def _head_points(self, known: dict[int, float], one_s: float) -> tuple[list[int], list[float]]:
        """Outputs -> seconds beyond those of one."""
        none_s = self._timed.get((1, 0))
        points = {0: -_HEAD * one_s if none_s is None else min(0.0, none_s - one_s), 1: 0.0}
        for (n_rows, n_outputs), seconds in self._timed.items():
            if n_outputs > 1 and n_rows in known:
                points[n_outputs] = max(0.0, seconds - known[n_rows])
        if len(points) == 2:
            points[2] = _HEAD * one_s
        last = max(points)
        points[1024] = points[last] / (last - 1) * 1023
        return _columns(points)

    def _body(self, n_rows: int) -> float:
        whole, rest = divmod(n_rows, self._bulk)
        return self._bodies[rest] + whole * self._bodies[self._bulk]

    def _head(self, n_outputs: int) -> float:
        return _line(n_outputs, *self._heads)

    def _decode_s(self, n_rows: int, n_outputs: int | None = None) -> float:
        outputs = n_rows if n_outputs is None else n_outputs
        return self.seconds(n_rows + self.idle_rows(n_rows, outputs), outputs)

    def _prompt_s(self, n_rows: int, n_outputs: int, depth: float) -> float:
        seconds = self.seconds(n_rows, n_outputs)
        return max(0.5 * seconds, seconds + (n_rows - n_outputs) * self._row_extra_s(depth))

    def _row_extra_s(self, depth: float) -> float:
        return self._cell_s * depth + self._rest_s

    def _learn_level(self, n_rows: int, n_outputs: int, seconds: float) -> None:
        surprise = _clipped(math.log(seconds / self.seconds(n_rows, n_outputs)))
        self._level *= math.exp(_LEVEL_WEIGHT * surprise)
        if n_rows <= self._bulk:
            self._bodies[n_rows] *= math.exp(_SHAPE_WEIGHT * surprise)
        self._rest_s *= _REST_FADES

    def _learn_prompt(self, n_rows: int, n_outputs: int, seconds: float, depth: float) -> None:
        """Normalised least mean squares on (depth, 1): each takes its part of the surprise."""
        predicted_s = self._prompt_s(n_rows, n_outputs, depth)
        # a stall of the machine must not stop the prompt
        surprise_s = (min(seconds, 2 * predicted_s) - predicted_s) / (n_rows - n_outputs)
        step = _PROMPT_WEIGHT * surprise_s / (depth * depth + _DEPTH_UNIT * _DEPTH_UNIT)
        self._cell_s = max(0.0, self._cell_s + step * depth)
        self._rest_s = _REST_FADES * self._rest_s + step * _DEPTH_UNIT * _DEPTH_UNIT

    def _rows_alone(self, depth: float = 0.0) -> int:
        """As many rows as take about half a second; more where fewer would be a bad bargain."""
        row_s = self._prompt_s(self._bulk, 0, depth) / self._bulk
        affordable = int(ALONE_S / row_s)
        if affordable >= self._bulk:
            return min(self._max_rows, affordable - affordable % self._bulk)
        for total in self._totals(0):
            if total >= affordable and self._prompt_s(total, 0, depth) <= FAIR_PRICE * row_s * total:
                return total
        return self._bulk

    def _totals(self, n_rows: int) -> list[int]:
        """Sizes worth considering for a step that holds `n_rows` already: whole groups, then whole bulks."""
        groups = range(n_rows - n_rows % _GROUP + _GROUP, self._bulk + 1, _GROUP)
        bulks = range(n_rows - n_rows % self._bulk + self._bulk, self._max_rows + 1, self._bulk)
        return sorted({*groups, *bulks})

    def _smallest(self, n_decoding: int) -> int:
        """Even the slowest prompt gets on: it fills the group that is begun, or the next one."""
        return max(0, min(_GROUP - n_decoding % _GROUP, self._max_rows - n_decoding))


def _shape(n_rows: int) -> float:
    return _line(n_rows, *_columns(_SHAPE)) if n_rows <= UBATCH_ROWS else _SHAPE[UBATCH_ROWS] * n_rows / UBATCH_ROWS


def _columns(points: dict[int, float]) -> tuple[list[int], list[float]]:
    places = sorted(points)
    return places, [points[place] for place in places]


def _line(at: int, places: Sequence[int], heights: Sequence[float]) -> float:
    """Straight lines between the points; level outside of them."""
    if at <= places[0]:
        return heights[0]
    for left, right, low, high in zip(places, places[1:], heights, heights[1:], strict=False):
        if at <= right:
            return low + (high - low) * (at - left) / (right - left)
    return heights[-1]


def _clipped(surprise: float) -> float:
    return max(-_CLIP, min(_CLIP, surprise))
