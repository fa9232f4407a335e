"""Which tokens lie in which sequence of the cache. Bookkeeping only: the cells are the runner's.

Every token run that was computed stays resident until its room is needed, and a prompt that begins like
one, running or idle, shares its cells instead of computing them. Idle residents leave least recently
used first, and leave by way of host memory, from where they come back much faster than computing them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from time import perf_counter
from typing import Protocol

import numpy as np

from .cells import Cells, Ledger
from .host_cache import HostCache
from .sequence import Sequence

# Shorter runs are computed again about as fast as they are fetched.
MIN_HOST_TOKENS = 32
# Nor is a long run fetched for less than this part of it.
WORTH_FETCHING = 8
# Attention passes over idle cells too. At 0.5B a thousand of them add 2 % to a step of decoding, and 2 ms to the
# 3.5 ms of each prompt row, while a thousand tokens come back from host memory in 1.4 ms.
MAX_IDLE_CELLS = 512
_COMPARED_AT_ONCE = 256


class KVMemory(Protocol):
    """The part of a runner that the cache needs."""

    def remove(self, seq_id: int, start: int) -> None: ...
    def copy(self, source: int, target: int, n_tokens: int) -> None: ...
    def save(self, seq_id: int) -> np.ndarray: ...
    def restore(self, seq_id: int, state: np.ndarray) -> bool: ...


class Worth(Enum):
    """What an idle run is given when it leaves the cache: host memory in any case, what is spare of it, or none."""

    MUCH = auto()
    SOME = auto()
    NONE = auto()


@dataclass(slots=True)
class _Resident:
    """Tokens that lie in the cache with nobody working on them."""

    request_id: str
    tokens: list[int]
    cache_scope: str
    worth: Worth = Worth.MUCH


@dataclass(slots=True)
class CacheCounts:
    """What the cache has done since it was made."""

    evictions: int = 0
    restores: int = 0
    restore_s: float = 0.0
    restore_s_max: float = 0.0


class KVCache:
    """`n_cells` tokens in all, in at most `n_resident` sequences; a cell shared by several counts once."""

    def __init__(self, memory: KVMemory, *, n_cells: int, n_resident: int, host: HostCache | None = None) -> None:
        self.n_cells = n_cells
        self.host = host or HostCache(0)
        self.counts = CacheCounts()
        self._memory = memory
        self._free_ids = list(reversed(range(n_resident)))
        self._cells = Cells(n_cells)
        self._in_use = Ledger(n_cells)
        self._bytes_per_token = 0.0  # of host memory; known from the first eviction on
        self._claimed: dict[int, Sequence] = {}
        self._idle: dict[int, _Resident] = {}  # least recently used first

    @property
    def n_claimed(self) -> int:
        return len(self._claimed)

    @property
    def n_residents(self) -> int:
        return len(self._claimed) + len(self._idle)

    @property
    def n_used(self) -> int:
        return self._cells.n_used

    @property
    def n_claimed_cells(self) -> int:
        """Cells that some running request needs; the others can be evicted."""
        return self._in_use.n_used

    def n_claimed_without(self, sequences: Iterable[Sequence]) -> int:
        """Cells that some other running request needs."""
        cells = [self._cells.of(sequence.seq_id) for sequence in sequences]
        for each in cells:
            self._in_use.remove(each)
        n_claimed = self._in_use.n_used
        for each in cells:
            self._in_use.add(each)
        return n_claimed

    @property
    def n_kept_cells(self) -> int:
        """Cells of idle residents that would be lost if they had to leave, at least."""
        return sum(self._cells.n_private(seq_id) for seq_id in self._idle if not self._can_go(seq_id))

    def n_shared_with_running(self, sequence: Sequence) -> int:
        """Leading tokens of `sequence` that lie in cells a running request needs anyway."""
        return max((self._n_common(sequence, seq_id) for seq_id in self._claimed), default=0)

    def n_available(self, sequence: Sequence) -> int:
        """Leading tokens of `sequence` that need not be computed, if it is claimed now."""
        n_resident = max((self._n_common(sequence, seq_id) for seq_id in [*self._claimed, *self._idle]), default=0)
        return max(n_resident, min(self.host.longest(sequence.tokens, sequence.cache_scope)[1], _n_usable(sequence)))

    def claim(self, sequence: Sequence) -> None:
        """Gives `sequence` a place, on top of the longest beginning there is."""
        source, n_common = self._longest(sequence)
        if self._fetch(sequence, n_common):
            source, n_common = self._longest(sequence)
        seq_id = self._place(source, n_common)
        self._in_use.add(self._cells.of(seq_id))
        sequence.seq_id, sequence.n_computed = seq_id, n_common
        self._claimed[seq_id] = sequence

    def advance(self, sequence: Sequence, n_tokens: int) -> None:
        """`n_tokens` more of the sequence were computed."""
        self._in_use.add(self._cells.extend(sequence.seq_id, n_tokens))
        sequence.n_computed += n_tokens

    def truncate(self, sequence: Sequence, n_tokens: int) -> None:
        """Drops what was computed beyond the first `n_tokens`."""
        if sequence.n_computed > n_tokens:
            self._memory.remove(sequence.seq_id, n_tokens)
            self._in_use.remove(self._cells.truncate(sequence.seq_id, n_tokens))
            sequence.n_computed = n_tokens

    def release(self, sequence: Sequence, *, keep: bool = True) -> None:
        """The sequence is done; what it computed stays resident unless told otherwise, or known already."""
        seq_id = sequence.seq_id
        if not sequence.only_prepares:
            # behind the newest token there may be drafts that nobody asked about any more
            self.truncate(sequence, min(sequence.n_computed, len(sequence.tokens) - 1))
        del self._claimed[seq_id]
        self._in_use.remove(self._cells.of(seq_id))
        tokens = sequence.tokens[: sequence.n_computed]
        if keep and tokens and not self._is_covered(tokens, sequence.cache_scope):
            self._idle[seq_id] = _Resident(sequence.request_id, tokens, sequence.cache_scope)
        else:
            self._drop(seq_id)
        sequence.seq_id, sequence.n_computed = -1, 0
        self._retire()

    def expend(self, request_id: str, worth: Worth) -> None:
        """What that request left goes before anything else."""
        for seq_id, resident in self._idle.items():
            if resident.request_id == request_id:
                resident.worth = worth
                self._idle = {seq_id: self._idle.pop(seq_id), **self._idle}
                return

    def make_room(self, n_cells: int, *, losing: bool = True) -> bool:
        """Evicts idle residents until `n_cells` more fit; False when even that is not enough.

        `losing` False stops before one whose tokens would be lost because host memory is full.
        """
        while self.n_cells - self.n_used < n_cells:
            if not self._idle or not (losing or self._can_go(next(iter(self._idle)))):
                return False
            self._evict(next(iter(self._idle)))
        return True

    def clear_idle(self) -> bool:
        """Evicts all idle residents; False when there were none."""
        idle = list(self._idle)
        for seq_id in idle:
            self._evict(seq_id)
        return bool(idle)

    def _n_common(self, sequence: Sequence, seq_id: int) -> int:
        """Leading tokens of `sequence` that lie under `seq_id` and that it may use."""
        resident = self._claimed.get(seq_id) or self._idle[seq_id]
        if resident.cache_scope != sequence.cache_scope:
            return 0
        n_common = common_length(sequence.tokens, resident.tokens)
        return min(n_common, len(self._cells.of(seq_id)), _n_usable(sequence))

    def _longest(self, sequence: Sequence) -> tuple[int, int]:
        """The resident with the longest common beginning, the most recent of equals; -1 and 0 if none."""
        best = (-1, 0)
        for seq_id in [*self._claimed, *self._idle]:
            n_common = self._n_common(sequence, seq_id)
            if n_common and n_common >= best[1]:
                best = (seq_id, n_common)
        return best

    def _place(self, source: int, n_common: int) -> int:
        """A sequence that holds the first `n_common` tokens of `source`, and those only."""
        if source in self._idle:
            if n_common == len(self._cells.of(source)) or not (self._free_ids or len(self._idle) > 1):
                del self._idle[source]
                self._memory.remove(source, n_common)
                self._cells.truncate(source, n_common)
                return source
            self._idle[source] = self._idle.pop(source)  # used just now
        seq_id = self._free_id()
        if n_common:
            self._memory.copy(source, seq_id, n_common)
            self._cells.share(source, seq_id, n_common)
        return seq_id

    def _fetch(self, sequence: Sequence, n_resident: int) -> bool:
        """Brings back from host memory what reaches further than the cache; whether the cache has changed."""
        entry, n_common = self.host.longest(sequence.tokens, sequence.cache_scope)
        if entry is None:
            return False
        n_gained = min(n_common, _n_usable(sequence)) - n_resident
        if n_gained < max(MIN_HOST_TOKENS, len(entry.tokens) // WORTH_FETCHING):
            return False
        if len(entry.tokens) > self.n_cells - self.n_claimed_cells:
            return False  # all idle ones would have to leave, and in vain
        began = perf_counter()
        # taken out first: what is evicted to make room for it must not push it out
        tokens, state = entry.tokens, self.host.take(entry)
        if not self.make_room(len(tokens)) or not (self._free_ids or self._idle):
            self.host.put(tokens, entry.scope, state, spare=entry.spare)
            return True
        seq_id = self._free_id()
        if not self._memory.restore(seq_id, state):
            self._free_ids.append(seq_id)
            return True
        self._cells.extend(seq_id, len(tokens))
        self._idle[seq_id] = _Resident("", tokens, entry.scope)
        self._count_restore(perf_counter() - began)
        return True

    def _free_id(self) -> int:
        """One nobody uses, if need be that of the resident which goes first."""
        if not self._free_ids:
            self._evict(next(iter(self._idle)))
        return self._free_ids.pop()

    def _count_restore(self, seconds: float) -> None:
        self.counts.restores += 1
        self.counts.restore_s += seconds
        self.counts.restore_s_max = max(self.counts.restore_s_max, seconds)

    def _is_covered(self, tokens: list[int], scope: str) -> bool:
        """Another resident begins with all of `tokens`."""
        return any(
            resident.cache_scope == scope and common_length(tokens, resident.tokens) == len(tokens)
            for resident in self._idle.values()
        )

    def _can_go(self, seq_id: int) -> bool:
        """Evicting it loses nothing that would have to be computed again."""
        resident = self._idle[seq_id]
        if resident.worth is not Worth.MUCH or len(resident.tokens) < MIN_HOST_TOKENS:
            return True
        return self._has_host_room(resident)

    def _has_host_room(self, resident: _Resident) -> bool:
        """As far as is known before its state has been made."""
        return self.host.max_bytes > 0 and self.host.has_room(round(self._bytes_per_token * len(resident.tokens)))

    def _retire(self) -> None:
        """Older idle runs leave the cache before anybody needs their room, where host memory has some for them
        and they do not just stand on cells of others.
        """
        for seq_id in list(self._idle)[:-1] if self.host.max_bytes else []:
            if self.n_used - self.n_claimed_cells <= MAX_IDLE_CELLS:
                return
            n_freed = self._cells.n_private(seq_id)
            if 2 * n_freed >= len(self._idle[seq_id].tokens) and self._can_go(seq_id):
                self._evict(seq_id)

    def _evict(self, seq_id: int) -> None:
        resident = self._idle.pop(seq_id)
        worth = resident.worth if len(resident.tokens) >= MIN_HOST_TOKENS and self.host.max_bytes else Worth.NONE
        wanted = worth is Worth.MUCH or (worth is Worth.SOME and self._has_host_room(resident))
        if wanted and not self._is_covered(resident.tokens, resident.cache_scope):
            state = self._memory.save(seq_id)
            self._bytes_per_token = state.nbytes / len(resident.tokens)
            self.host.put(resident.tokens, resident.cache_scope, state, spare=worth is Worth.SOME)
        self.counts.evictions += 1
        self._drop(seq_id)

    def _drop(self, seq_id: int) -> None:
        self._memory.remove(seq_id, 0)
        self._cells.truncate(seq_id, 0)
        self._free_ids.append(seq_id)


def _n_usable(sequence: Sequence) -> int:
    """The last token is always computed anew, where sampling needs its logits."""
    return len(sequence.tokens) - (0 if sequence.only_prepares else 1)


def common_length(a: list[int], b: list[int]) -> int:
    """How many leading elements are equal. Looks no further than just beyond the first difference."""
    shorter = min(len(a), len(b))
    for start in range(0, shorter, _COMPARED_AT_ONCE):
        end = min(start + _COMPARED_AT_ONCE, shorter)
        if a[start:end] != b[start:end]:
            return next(i for i in range(start, end) if a[i] != b[i])
    return shorter
