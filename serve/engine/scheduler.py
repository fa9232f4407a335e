"""Who computes what in the next step. Pure policy: knows neither tensors nor llama.cpp nor text.

Every decoding request gets its row. Prompts share a budget of rows that keeps the streams' pace: the
oldest gets half of it, so that short newcomers cannot starve it; they get the rest, shortest first. Where
small steps make prompts dear, streams run ahead of their readers, and prompts get large steps between.
Background work computes when nobody else does, or in rows that cost the others next to nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import exp, log
from time import monotonic, perf_counter

from .batch import Batch
from .kv_cache import KVCache, Worth, common_length
from .leads import WORTH_WAITING, Leads
from .request import Priority
from .sequence import Sequence
from .step_sizes import Slice, StepSizes

# Cells kept free for the answer of each running request when another is let in, so that it is not parked at once.
ANSWER_RESERVE = 128
# So many steps in a row streams may run ahead of their readers while a prompt waits; then, until there is none left,
# prompts go in small pieces.
MOST_AHEAD = 64
_STRETCH_WEIGHT = 0.5
_STRETCH_CLIP = log(1.5)


class Scheduler:
    """`running` in order of admission. `preparing` are prompts computed ahead: no request waits for them."""

    def __init__(self, cache: KVCache, sizes: StepSizes, *, n_seq_max: int, n_batch: int) -> None:
        self.running: list[Sequence] = []
        self.preparing: deque[Sequence] = deque()
        self.n_parkings = 0
        self._n_ahead = 0
        self._stretch = 1.0  # from one step of decoding to the next, by what it alone takes: tokens are drawn, too
        self._decoded: tuple[float, float] | None = None  # when such a step began, and what it was to take
        self._leads = Leads(cache)
        self._queues: dict[Priority, deque[Sequence]] = {priority: deque() for priority in Priority}
        self._cache = cache
        self._sizes = sizes
        self._n_seq_max = n_seq_max
        self._n_batch = n_batch

    @property
    def waiting(self) -> list[Sequence]:
        """In the order in which they will be let in."""
        return [sequence for queue in self._queues.values() for sequence in queue]

    @property
    def has_work(self) -> bool:
        return bool(self.running or self.preparing or any(self._queues.values()))

    def add(self, sequence: Sequence) -> None:
        if sequence.only_prepares:
            # the next turn may be here already, and then it computes this itself
            if not any(_begins_with(other, sequence) for other in [*self.running, *self.waiting]):
                self._queue_prepared(sequence)
        else:
            self._queues[sequence.priority].append(sequence)

    def _queue_prepared(self, sequence: Sequence) -> None:
        """Behind the one that is computed already; the newest is the likeliest to come, the oldest are forgotten."""
        is_begun = bool(self.preparing) and self.preparing[0].seq_id >= 0
        self.preparing.insert(int(is_begun), sequence)
        if len(self.preparing) > self._n_seq_max + is_begun:
            self.preparing.pop()

    def schedule(self) -> Batch:
        """The next batch; it fits the cache. Empty where there is no work, or only what the cache holds already."""
        now = monotonic()
        self._learn_stretch(now)
        self._admit()
        batch = Batch()
        foreground = [sequence for sequence in self.running if not _is_background(sequence)]
        background = [sequence for sequence in self.running if _is_background(sequence)]
        self._add_decoding(batch, foreground, self._n_batch)
        self._add_prompts(batch, foreground)
        self._add_background(batch, background)
        self._add_prepared(batch)
        batch = self._fitting(batch)
        if batch.n_rows:
            batch.n_idle = self._idle_rows(batch)
            is_plain = batch.only_decodes and not any(chunk.draft for chunk in batch.chunks)
            plain_s = self._sizes.costs.seconds(batch.n_rows + batch.n_idle, batch.n_outputs)
            self._decoded = (now, plain_s) if is_plain else None
        return batch

    def _learn_stretch(self, now: float) -> None:
        if self._decoded and now > self._decoded[0]:
            began, plain_s = self._decoded
            surprise = log((now - began) / plain_s / self._stretch)
            surprise = max(-_STRETCH_CLIP, min(_STRETCH_CLIP, surprise))
            self._stretch = max(1.0, self._stretch * exp(_STRETCH_WEIGHT * surprise))

    def finish(self, sequence: Sequence, *, keep: bool = True) -> None:
        """Takes the request out, wherever it is, and gives its place back."""
        self._leads.forget(sequence)
        if sequence.seq_id >= 0:
            self._cache.release(sequence, keep=keep)
            if _is_background(sequence) and not sequence.only_prepares:
                self._cache.expend(sequence.request_id, Worth.NONE)
        for line in (self.running, self.preparing, self._queues[sequence.priority]):
            if sequence in line:
                line.remove(sequence)
        if not self.running:
            self._decoded = None

    def park(self, sequence: Sequence) -> None:
        """Back to the head of its queue; what it computed goes to host memory and is fetched from there."""
        self.running.remove(sequence)
        self._cache.release(sequence)
        if _is_background(sequence):
            self._cache.expend(sequence.request_id, Worth.MUCH)
        self._queues[sequence.priority].appendleft(sequence)
        self.n_parkings += 1

    def largest(self) -> Sequence:
        """The running request to park first: of the least urgent ones, that with most tokens."""
        return max(self.running, key=lambda sequence: (sequence.priority.rank, sequence.n_computed))

    def _admit(self) -> None:
        n_twice = 0
        for queue in self._queues.values():
            for sequence in list(queue):
                n_more = self._leads.n_twice(sequence, self.running)
                if n_more and n_twice + n_more >= WORTH_WAITING:
                    continue
                if not self._makes_way(sequence):
                    return
                n_twice += n_more
                queue.remove(sequence)
                self._start(sequence)

    def _start(self, sequence: Sequence) -> None:
        self._leads.forget(sequence)
        self._cache.claim(sequence)
        self.running.append(sequence)
        if not sequence.marks.admitted:
            sequence.marks.admitted = perf_counter()
            sequence.n_cached = sequence.n_computed
        self._drop_overtaken(sequence)

    def _drop_overtaken(self, sequence: Sequence) -> None:
        """What was to be prepared for this very request is now computed by it."""
        for prepared in list(self.preparing):
            if _begins_with(sequence, prepared):
                self.finish(prepared, keep=False)

    def _makes_way(self, sequence: Sequence) -> bool:
        """There is a place and room for it, perhaps one that work ahead or less urgent work had."""
        while not self._has_place(sequence):
            if len(self.running) < self._n_seq_max and self._stop_preparing():
                continue
            giving_way = [other for other in self.running if other.priority.rank > sequence.priority.rank]
            if not giving_way or not self._would_fit(sequence, giving_way):
                return False
            self.park(max(reversed(giving_way), key=lambda other: other.priority.rank))
        return True

    def _would_fit(self, sequence: Sequence, giving_way: list[Sequence]) -> bool:
        """Once they all are parked; else they are not parked in vain."""
        staying = [other for other in self.running if other not in giving_way]
        n_cells = self._cache.n_claimed_without(giving_way) + sum(map(_needed, staying)) + self._own(sequence)
        return not staying or n_cells <= self._cache.n_cells

    def _own(self, sequence: Sequence) -> int:
        """Cells that it takes beyond those of running requests."""
        return len(sequence.tokens) - self._cache.n_shared_with_running(sequence) + _reserve(sequence)

    def _stop_preparing(self) -> bool:
        """What is computed ahead leaves its place, and its cells may be evicted; False where there is nothing."""
        if not self.preparing or self.preparing[0].seq_id < 0:
            return False
        self.finish(self.preparing[0])
        return True

    def _has_place(self, sequence: Sequence) -> bool:
        if not self.running:
            return True
        if len(self.running) == self._n_seq_max:
            return False
        still_to_come = sum(map(_needed, self.running))
        # background work may not have the room of chats that would be lost
        kept = self._cache.n_kept_cells if all(map(_is_background, [sequence, *self.running])) else 0
        return self._cache.n_claimed_cells + kept + still_to_come + self._own(sequence) <= self._cache.n_cells

    def _add_decoding(self, batch: Batch, sequences: list[Sequence], limit: int) -> None:
        """A row each, or the few that a sequence was given at once, up to `limit` rows in the batch."""
        decoding = [sequence for sequence in sequences if sequence.is_decoding]
        alone = len(decoding) == len(self.running)
        for sequence in decoding:
            n_rows = sequence.n_uncomputed
            if batch.n_rows + n_rows > limit:
                return
            others = len(decoding) - 1
            batch.add(sequence, n_rows, self._draft(sequence, n_rows + others) if alone else None)

    def _draft(self, sequence: Sequence, n_rows: int) -> list[int]:
        """Guesses at what comes next, where they pay. Never so many that they could overrun the request."""
        limit = min(sequence.max_tokens - len(sequence.tokens) - 1, self._n_batch // self._n_seq_max - 1)
        if sequence.speculator is None or limit < 1 or sequence.n_uncomputed != 1:
            return []
        return sequence.speculator.draft(sequence.tokens, n_rows, self._sizes, limit)

    def _add_prompts(self, batch: Batch, sequences: list[Sequence]) -> None:
        prompts = [sequence for sequence in sequences if not sequence.is_decoding]
        streams = [chunk.sequence for chunk in batch.chunks]
        part = self._slice(prompts, streams, batch.n_rows)
        for stream in streams:
            stream.pacer.set(part.pace_s, part.most_s)
        n_rows = part.n_rows
        if prompts and not n_rows:
            n_rows = self._sizes.filler_rows(batch.n_rows, batch.n_outputs, _depth(prompts))
        for sequence, share in _shares(prompts, min(n_rows, self._n_batch - batch.n_rows)):
            batch.add(sequence, share)

    def _slice(self, prompts: list[Sequence], streams: list[Sequence], n_decoding: int) -> Slice:
        """What of the prompts the next step computes."""
        if not prompts:
            if streams:
                self._n_ahead = 0
            return Slice(0)
        depth = _depth(prompts)
        if self._n_ahead > MOST_AHEAD:
            return Slice(self._sizes.prefill_rows(n_decoding, depth))
        now = monotonic()
        lead_s = min((stream.pacer.lead_s(now) for stream in streams), default=0.0)
        lefts = [prompt.n_uncomputed for prompt in prompts]
        part = self._sizes.prompt_slice(n_decoding, depth, lefts, lead_s, self._stretch)
        self._n_ahead = 0 if part.n_rows else self._n_ahead + 1
        return part

    def _add_background(self, batch: Batch, sequences: list[Sequence]) -> None:
        """All of it in a step of its own, else what rides along."""
        if batch.n_rows == 0:
            self._add_decoding(batch, sequences, self._n_batch)
            self._add_prompts(batch, sequences)
            return
        spare = self._sizes.filler_rows(batch.n_rows, batch.n_outputs)
        for sequence in sequences:
            sequence.pacer.set(0.0, 0.0)
        self._add_decoding(batch, sequences, batch.n_rows + spare)
        prompts = [sequence for sequence in sequences if not sequence.is_decoding]
        spare = self._sizes.filler_rows(batch.n_rows, batch.n_outputs, _depth(prompts))
        for sequence, n_rows in _shares(prompts, spare):
            batch.add(sequence, n_rows)

    def _add_prepared(self, batch: Batch) -> None:
        """The next turn of a chat that has just been answered, or as much of it as rides along."""
        while self.preparing:
            sequence = self.preparing[0]
            if sequence.seq_id < 0 and not self._place_prepared(sequence):
                return
            if sequence.n_uncomputed:
                depth = sequence.n_computed
                filler = self._sizes.filler_rows(batch.n_rows, batch.n_outputs, depth) if batch.n_rows else None
                n_rows = self._sizes.prefill_rows(0, depth) if filler is None else filler
                if n_rows:
                    batch.add(sequence, min(n_rows, sequence.n_uncomputed, self._n_batch - batch.n_rows))
                return
            self.finish(sequence)

    def _place_prepared(self, sequence: Sequence) -> bool:
        """Never where a running request, or the answer it is about to give, needs the room."""
        if self.running and not self._has_place(sequence):
            return False
        self._cache.claim(sequence)
        # its thought is not part of the next turn, but somebody may want to go on from it
        self._cache.expend(sequence.replaces, Worth.SOME)
        return True

    def _fitting(self, batch: Batch) -> Batch:
        """Without what the cache cannot hold: work done ahead goes first, then background, then the largest."""
        while not self._has_room(batch):
            if self._stop_preparing():
                batch = batch.still_placed()
            elif any(chunk.draft for chunk in batch.chunks):
                batch = batch.without_drafts()
            else:
                largest = self.largest()
                self.park(largest)
                batch = batch.without(largest)
        return batch

    def _has_room(self, batch: Batch) -> bool:
        """Background work alone may evict a chat only where host memory takes it."""
        losing = not all(_is_background(chunk.sequence) for chunk in batch.chunks)
        return self._cache.make_room(batch.n_rows, losing=losing) or (
            # it is the last one: better to lose an idle chat than to park all requests for ever
            not losing and len(batch.chunks) == 1 and self._cache.make_room(batch.n_rows)
        )

    def _idle_rows(self, batch: Batch) -> int:
        n_idle = self._sizes.idle_rows(batch.n_rows, batch.n_outputs, batch.prompt_depth)
        n_idle = min(n_idle, self._n_batch - batch.n_rows)
        return n_idle if self._cache.make_room(batch.n_rows + n_idle, losing=False) else 0


def _depth(prompts: list[Sequence]) -> float:
    return sum(sequence.n_computed for sequence in prompts) / max(1, len(prompts))


def _shares(prompts: list[Sequence], budget: int) -> Iterator[tuple[Sequence, int]]:
    """Half of the budget to the oldest, the rest to the others, shortest first; what nobody wants to the oldest."""
    if not prompts or not budget:
        return
    oldest, *others = prompts
    others.sort(key=lambda sequence: (sequence.priority.rank, sequence.n_uncomputed))
    for_others = min(budget // 2, sum(sequence.n_uncomputed for sequence in others))
    n_rows = min(oldest.n_uncomputed, budget - for_others)
    yield oldest, n_rows
    for sequence in others:
        budget -= n_rows
        if not budget:
            return
        n_rows = min(sequence.n_uncomputed, budget)
        yield sequence, n_rows


def _begins_with(sequence: Sequence, prepared: Sequence) -> bool:
    n_common = common_length(prepared.tokens, sequence.tokens)
    return prepared.cache_scope == sequence.cache_scope and n_common == len(prepared.tokens)


def _is_background(sequence: Sequence) -> bool:
    return sequence.priority is Priority.BACKGROUND


def _reserve(sequence: Sequence) -> int:
    return min(ANSWER_RESERVE, max(0, sequence.max_tokens - len(sequence.tokens)))


def _needed(sequence: Sequence) -> int:
    """Cells that a running request will still take soon."""
    return sequence.n_uncomputed + _reserve(sequence)
