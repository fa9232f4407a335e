"""Who computes what in the next step. Pure policy: knows neither tensors nor llama.cpp nor text.

Every decoding request gets its one row. Prompts share a budget of rows that takes about half a second:
the oldest gets half of it, so that short newcomers cannot starve it; they get the rest, shortest first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from time import perf_counter

from .batch import Batch
from .kv_cache import KVCache
from .pace import Pace
from .sequence import Sequence

# cells kept free for each running request when another one is let in, so that it is not thrown out at once
HEADROOM = 64


class Scheduler:
    """`waiting` in order of arrival, `running` in order of admission."""

    def __init__(self, cache: KVCache, pace: Pace, *, n_seq_max: int) -> None:
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self._cache = cache
        self._pace = pace
        self._n_seq_max = n_seq_max

    @property
    def has_work(self) -> bool:
        return bool(self.waiting or self.running)

    def add(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)

    def schedule(self) -> Batch:
        """The next batch; it fits the cache. Empty only when there is no work."""
        self._admit()
        batch = Batch()
        for sequence in self.running:
            if sequence.is_decoding:
                batch.add(sequence, 1)
        for sequence, n_rows in self._prompt_rows(n_decoding=batch.n_rows):
            batch.add(sequence, n_rows)
        return self._fitting(batch)

    def finish(self, sequence: Sequence, *, keep: bool = True) -> None:
        """Takes the request out, wherever it is, and gives its place back."""
        if sequence in self.running:
            self.running.remove(sequence)
            self._cache.release(sequence, keep=keep)
        else:
            self.waiting.remove(sequence)

    def preempt(self, sequence: Sequence) -> None:
        """Back to the head of the queue; its tokens are kept and computed again later."""
        self.running.remove(sequence)
        self._cache.release(sequence)
        self.waiting.appendleft(sequence)

    def _admit(self) -> None:
        while self.waiting and self._has_place(self.waiting[0]):
            sequence = self.waiting.popleft()
            self._cache.claim(sequence)
            self.running.append(sequence)
            if not sequence.marks.admitted:
                sequence.marks.admitted = perf_counter()
                sequence.n_cached = sequence.n_computed

    def _has_place(self, sequence: Sequence) -> bool:
        if not self.running:
            return True
        if len(self.running) == self._n_seq_max:
            return False
        needed = len(sequence.tokens) + sum(len(other.tokens) for other in self.running)
        return needed + HEADROOM * (len(self.running) + 1) <= self._cache.n_cells

    def _prompt_rows(self, n_decoding: int) -> Iterator[tuple[Sequence, int]]:
        prompts = [sequence for sequence in self.running if not sequence.is_decoding]
        if not prompts:
            return
        budget = self._pace.prefill_rows(n_decoding)
        oldest, *others = prompts
        others.sort(key=lambda sequence: sequence.n_uncomputed)
        for_others = min(budget // 2, sum(sequence.n_uncomputed for sequence in others))
        n_rows = min(oldest.n_uncomputed, budget - for_others)
        yield oldest, n_rows
        for sequence in others:
            budget -= n_rows
            if not budget:
                return
            n_rows = min(sequence.n_uncomputed, budget)
            yield sequence, n_rows

    def _fitting(self, batch: Batch) -> Batch:
        """Without the youngest requests where the cache cannot hold everyone's next rows."""
        while not self._cache.make_room(batch.n_rows):
            youngest = self.running[-1]
            self.preempt(youngest)
            batch = batch.without(youngest)
        return batch
