"""Which cells of a cache each sequence holds, as few runs of neighbours as can be had: a run is read in place.

Numbers only, for whoever keeps the cells themselves; beginnings may be shared.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

Run = tuple[int, int]


class CellRuns:
    """`n_cells` cells; each sequence's are listed as (first, behind the last) in order of position."""

    def __init__(self, n_cells: int) -> None:
        self.n_free = n_cells
        self._holders = np.zeros(n_cells, np.int32)
        self._of: dict[int, list[Run]] = {}

    def of(self, seq_id: int) -> list[Run]:
        return self._of.get(seq_id, [])

    def length(self, seq_id: int) -> int:
        return sum(stop - start for start, stop in self.of(seq_id))

    def extend(self, seq_id: int, n_cells: int) -> list[Run]:
        """Gives the sequence `n_cells` free ones more, of which there must be enough, and returns them."""
        assert n_cells <= self.n_free
        runs, new = self._of.setdefault(seq_id, []), []
        while n_cells:
            start, stop = self._behind(runs[-1][1], n_cells) if runs else (0, 0)
            if start == stop:
                start, stop = self._within(n_cells)
            self._holders[start:stop] += 1
            _append(runs, (start, stop))
            new.append((start, stop))
            self.n_free -= stop - start
            n_cells -= stop - start
        return new

    def share(self, source: int, target: int, n_cells: int) -> None:
        """Gives `target`, which has none, the first `n_cells` of `source` as well."""
        shared = _first(self.of(source), n_cells)
        for start, stop in shared:
            self._holders[start:stop] += 1
        self._of[target] = shared

    def truncate(self, seq_id: int, n_cells: int) -> None:
        """Takes all but the first `n_cells` from the sequence."""
        kept = _first(self.of(seq_id), n_cells)
        for start, stop in self.of(seq_id):
            self._holders[start:stop] -= 1
            self.n_free += int(np.count_nonzero(self._holders[start:stop] == 0))
        for start, stop in kept:
            self.n_free -= int(np.count_nonzero(self._holders[start:stop] == 0))
            self._holders[start:stop] += 1
        self._of[seq_id] = kept

    def _behind(self, start: int, n_most: int) -> Run:
        """The free cells from `start` on, perhaps none."""
        taken = np.flatnonzero(self._holders[start : start + n_most])
        return start, start + int(taken[0]) if len(taken) else min(start + n_most, len(self._holders))

    def _within(self, n_most: int) -> Run:
        """In the middle of the longest free stretch, so that there is room to grow and others keep theirs."""
        borders = np.flatnonzero(np.diff(self._holders == 0, prepend=False, append=False)).tolist()
        start, stop = max(list(pairwise(borders))[::2], key=lambda run: run[1] - run[0])
        n = min(n_most, stop - start)
        start += (stop - start - n) // 2
        return start, start + n


def _append(runs: list[Run], run: Run) -> None:
    if runs and runs[-1][1] == run[0]:
        runs[-1] = (runs[-1][0], run[1])
    else:
        runs.append(run)


def _first(runs: list[Run], n_cells: int) -> list[Run]:
    """The runs cut behind `n_cells`."""
    kept = []
    for start, stop in runs:
        if n_cells <= 0:
            break
        kept.append((start, min(stop, start + n_cells)))
        n_cells -= stop - start
    return kept
