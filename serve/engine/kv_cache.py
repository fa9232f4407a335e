"""Which tokens lie in which sequence of the cache. Bookkeeping only: the cells are the runner's.

A finished request leaves its tokens resident under its sequence id, so that a later prompt which begins
the same way continues there. Idle residents go, least recently used first, when their room is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from .sequence import Sequence


class KVMemory(Protocol):
    """The part of a runner that the cache needs."""

    def remove(self, seq_id: int, start: int) -> None: ...


class KVCache:
    """`n_cells` tokens in all, shared by at most `n_seq_max` sequences."""

    def __init__(self, memory: KVMemory, *, n_cells: int, n_seq_max: int) -> None:
        self.n_cells = n_cells
        self._memory = memory
        self._free = list(reversed(range(n_seq_max)))
        self._idle: dict[int, list[int]] = {}  # seq_id -> tokens, least recently used first
        self._claimed: dict[int, Sequence] = {}

    @property
    def n_claimed(self) -> int:
        return len(self._claimed)

    @property
    def n_used(self) -> int:
        return self.n_claimed_cells + sum(map(len, self._idle.values()))

    @property
    def n_claimed_cells(self) -> int:
        return sum(sequence.n_computed for sequence in self._claimed.values())

    def claim(self, sequence: Sequence) -> None:
        """Gives `sequence` a place, on top of the longest beginning already there."""
        seq_id, n_common = self._best_place(sequence.tokens)
        self._idle.pop(seq_id, None)
        self._memory.remove(seq_id, n_common)
        sequence.seq_id, sequence.n_computed = seq_id, n_common
        self._claimed[seq_id] = sequence

    def release(self, sequence: Sequence, *, keep: bool = True) -> None:
        """The sequence is done; what it computed stays resident unless told otherwise."""
        del self._claimed[sequence.seq_id]
        if keep and sequence.n_computed:
            self._idle[sequence.seq_id] = sequence.tokens[: sequence.n_computed]
        else:
            self._memory.remove(sequence.seq_id, 0)
            self._free.append(sequence.seq_id)
        sequence.seq_id, sequence.n_computed = -1, 0

    def make_room(self, n_cells: int) -> bool:
        """Evicts idle residents until `n_cells` more fit; False when even that is not enough."""
        while self.n_cells - self.n_used < n_cells:
            if not self._idle:
                return False
            self._evict(next(iter(self._idle)))
        return True

    def clear_idle(self) -> bool:
        """Evicts all idle residents; False when there were none."""
        idle = list(self._idle)
        for seq_id in idle:
            self._evict(seq_id)
        return bool(idle)

    def _evict(self, seq_id: int) -> None:
        del self._idle[seq_id]
        self._memory.remove(seq_id, 0)
        self._free.append(seq_id)

    def _best_place(self, tokens: list[int]) -> tuple[int, int]:
        """The resident to build on and how many of its tokens stay, or a fresh sequence and 0.

        Every chat begins with the same few tokens of its template: a resident is only cut short where
        the common part is half of it or half of the prompt, or where no fresh sequence is left.
        """
        seq_id, n_common = self._longest_common(tokens, self._idle)
        if n_common and 2 * n_common >= min(len(tokens), len(self._idle[seq_id])):
            return seq_id, n_common
        if not self._free:
            if not n_common:
                seq_id = next(iter(self._idle))
            return seq_id, n_common
        return self._free.pop(), 0

    def _longest_common(self, tokens: list[int], seq_ids: Iterable[int]) -> tuple[int, int]:
        best = (-1, 0)
        # the last token is always computed anew: sampling needs its logits
        limit = len(tokens) - 1
        for seq_id in seq_ids:
            n_common = min(common_length(tokens, self._idle[seq_id]), limit)
            if n_common > best[1]:
                best = (seq_id, n_common)
        return best


def common_length(a: list[int], b: list[int]) -> int:
    """How many leading elements are equal."""
    shorter = min(len(a), len(b))
    if a[:shorter] == b[:shorter]:
        return shorter
    return next(i for i in range(shorter) if a[i] != b[i])
