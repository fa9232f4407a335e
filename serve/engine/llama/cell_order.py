"""Which cells of llama.cpp's cache each sequence holds, as far as their order goes.

Attention adds up in the order of the cells, so rounding depends on it: a sequence whose tokens lie in
another order than before has other logits (seen: 0.17 where they spread by 2.7). llama.cpp always takes
the lowest free cells; cells freed below a sequence are what puts its next tokens out of order.
"""

from __future__ import annotations

import heapq

from ..batch import Batch
from ..cells import Ledger


class CellOrder:
    """A mirror of llama.cpp's choice of cells, for one unified cache of `n_cells`."""

    def __init__(self, n_cells: int) -> None:
        self._ledger = Ledger(n_cells)
        self._free = list(range(n_cells))  # a heap
        self._of: dict[int, list[int]] = {}

    @property
    def n_free(self) -> int:
        return len(self._free)

    def n_private(self, seq_id: int) -> int:
        """Cells that nobody else holds: they are free again once the sequence leaves."""
        return sum(self._ledger.n_holders(cell) == 1 for cell in self._of.get(seq_id, []))

    def n_cells(self, seq_id: int) -> int:
        return len(self._of.get(seq_id, []))

    def extend(self, seq_id: int, n_cells: int) -> None:
        new = [heapq.heappop(self._free) for _ in range(n_cells)]
        self._ledger.add(new)
        self._of.setdefault(seq_id, []).extend(new)

    def share(self, source: int, target: int, n_cells: int) -> None:
        shared = self._of.get(source, [])[:n_cells]
        self._ledger.add(shared)
        self._of[target] = shared

    def truncate(self, seq_id: int, n_cells: int) -> None:
        cells = self._of.get(seq_id, [])
        lost = cells[n_cells:]
        del cells[n_cells:]
        for cell in self._ledger.remove(lost):
            heapq.heappush(self._free, cell)

    def place(self, batch: Batch) -> int | None:
        """Gives the batch's rows their cells. Instead, the deterministic sequence that would come out of
        order, if one would; nothing is given then, nor where there is no room.
        """
        if batch.n_rows > self.n_free:
            return None
        held = [self.n_cells(chunk.sequence.seq_id) for chunk in batch.chunks]
        for chunk in batch.chunks:
            self.extend(chunk.sequence.seq_id, chunk.n_rows)
        for chunk, n_held in zip(batch.chunks, held, strict=True):
            if chunk.sequence.deterministic and self._turns_back(chunk.sequence.seq_id, n_held):
                for each, n_before in zip(batch.chunks, held, strict=True):
                    self.truncate(each.sequence.seq_id, n_before)
                return chunk.sequence.seq_id
        return None

    def _turns_back(self, seq_id: int, n_held: int) -> bool:
        """Its new cells, which ascend, begin below those it had."""
        cells = self._of[seq_id]
        return n_held > 0 and cells[n_held] < cells[n_held - 1]
