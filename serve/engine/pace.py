"""How long steps take on this machine, measured as they run, and so how many prompt rows a step may hold."""

from __future__ import annotations

PREFILL_SLICE_S = 0.5
MIN_PREFILL_ROWS = 4
UNMEASURED_ROWS = 16
_WEIGHT = 0.25


class Pace:
    """Running averages. A step with a prompt chunk teaches seconds per row, any other the decode time."""

    def __init__(self, *, max_rows: int) -> None:
        self._max_rows = max_rows
        self._row_s = 0.0
        self._decode_s = 0.0

    def measure(self, n_rows: int, n_decoding: int, seconds: float) -> None:
        if n_rows == n_decoding:
            self._decode_s = _average(self._decode_s, seconds)
        elif n_rows >= MIN_PREFILL_ROWS:
            self._row_s = _average(self._row_s, seconds / n_rows)

    def prefill_rows(self, n_decoding: int) -> int:
        """Prompt rows that take about half a second, the longest anyone waits for a token or a cancel.

        Matrix products work on four rows at a time, so rows and decode rows together fill fours.
        """
        room = self._max_rows - n_decoding
        affordable = int(PREFILL_SLICE_S / self._row_s) if self._row_s else UNMEASURED_ROWS
        rows = min(room, max(MIN_PREFILL_ROWS, affordable))
        surplus = (rows + n_decoding) % 4
        return rows - surplus if rows > surplus else rows

    @property
    def predicted_step_s(self) -> float:
        """An upper guess for the next step."""
        return max(self._decode_s, self._row_s * self.prefill_rows(0))


def _average(old: float, new: float) -> float:
    return new if not old else old + _WEIGHT * (new - old)
