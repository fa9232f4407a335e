"""Counts the cells of a cache whose sequences share beginnings: a mirror of who owns which cell."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable


class Ledger:
    """How many hold each of `n_cells` cells. `n_used`: cells that anybody holds."""

    def __init__(self, n_cells: int) -> None:
        self.n_used = 0
        self._holders = [0] * n_cells

    def n_holders(self, cell: int) -> int:
        return self._holders[cell]

    def add(self, cells: Iterable[int]) -> None:
        for cell in cells:
            self.n_used += not self._holders[cell]
            self._holders[cell] += 1

    def remove(self, cells: Iterable[int]) -> list[int]:
        """Returns those that nobody holds any more."""
        unused = []
        for cell in cells:
            self._holders[cell] -= 1
            if not self._holders[cell]:
                unused.append(cell)
        self.n_used -= len(unused)
        return unused


class Cells:
    """The cells of each sequence, in order of position. Their numbers are ours: llama.cpp has its own."""

    def __init__(self, n_cells: int) -> None:
        self._ledger = Ledger(n_cells)
        self._free = list(reversed(range(n_cells)))
        self._of: dict[int, list[int]] = {}

    @property
    def n_used(self) -> int:
        return self._ledger.n_used

    def of(self, seq_id: int) -> list[int]:
        return self._of.get(seq_id, [])

    def n_private(self, seq_id: int) -> int:
        """Cells that no other sequence holds: its last ones, since beginnings alone are shared."""
        cells = self.of(seq_id)
        return len(cells) - bisect_left(cells, True, key=lambda cell: self._ledger.n_holders(cell) == 1)

    def extend(self, seq_id: int, n_cells: int) -> list[int]:
        """Gives the sequence `n_cells` free ones more, and returns them."""
        new = [self._free.pop() for _ in range(n_cells)]
        self._ledger.add(new)
        self._of.setdefault(seq_id, []).extend(new)
        return new

    def share(self, source: int, target: int, n_cells: int) -> None:
        """Gives `target`, which has none, the first `n_cells` of `source` as well."""
        shared = self._of[source][:n_cells]
        self._ledger.add(shared)
        self._of[target] = shared

    def truncate(self, seq_id: int, n_cells: int) -> list[int]:
        """Takes all but the first `n_cells` from the sequence, and returns them."""
        cells = self._of.get(seq_id, [])
        lost = cells[n_cells:]
        del cells[n_cells:]
        self._free += self._ledger.remove(lost)
        return lost
