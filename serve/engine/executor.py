"""Runs batches on the runner, whatever it says of them: full, refused, interrupted. Draws no tokens.

What it learns of time it passes on: how much rows cost, and how many threads serve best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

from .batch import Batch
from .kv_cache import KVCache
from .model_runner import InterruptedStep, InvalidBatchError, KVFullError, ModelRunner
from .request import Priority
from .scheduler import Scheduler
from .sequence import Sequence
from .step_sizes import StepSizes
from .threads import ThreadTuner

MOST_ROWS_TO_TRY = 32


@dataclass(slots=True)
class StepCounts:
    """What was computed since the start; names as in EngineStats."""

    steps_total: int = 0
    rows_total: int = 0
    prompt_tokens_total: int = 0
    prepared_tokens_total: int = 0
    interrupts_total: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """The runner cannot compute this request: its cache is too small for it, or its batch is invalid."""

    sequence: Sequence
    error: KVFullError | InvalidBatchError


class Executor:
    """One runner's forward passes, and the books on them."""

    def __init__(self, runner: ModelRunner, cache: KVCache, scheduler: Scheduler, sizes: StepSizes) -> None:
        self.counts = StepCounts()
        self.n_threads = runner.info.n_threads
        self._runner = runner
        self._cache = cache
        self._scheduler = scheduler
        self._sizes = sizes
        self._threads = ThreadTuner(runner.info.n_threads)
        self._current = Batch()

    def run(self, batch: Batch) -> Iterator[Batch | Refusal]:
        """The batch, or the parts of it that could be computed. Sample each before asking for the next:
        its logits are gone then.
        """
        batch = batch.still_placed()
        if not batch.n_rows:
            return
        try:
            self._forward(batch)
        except KVFullError as error:
            yield from self._run_smaller(batch, error)
        except InvalidBatchError as error:
            yield from self._run_apart(batch, error)
        except InterruptedStep:
            self._take_over(batch)
        else:
            for chunk in batch.chunks:
                self._advance(chunk.sequence, chunk.n_rows)
            yield batch

    def give_way(self, aborted: str | None) -> None:
        """Ends the forward pass that runs now if nobody needs it: it computes only what `aborted` asked for,
        or, with None, only background work. From any thread.
        """
        sequences = [chunk.sequence for chunk in self._current.chunks]
        if sequences and all(
            sequence.request_id == aborted if aborted else sequence.priority is Priority.BACKGROUND
            for sequence in sequences
        ):
            self._runner.interrupt()

    def _forward(self, batch: Batch) -> None:
        self._set_threads(self._threads.n_threads if self._may_try_threads(batch) else self._threads.settled)
        began = perf_counter()
        self._current = batch
        try:
            self._runner.forward(batch)
        finally:
            self._current = Batch()
        self._measure(batch, perf_counter() - began)

    def _measure(self, batch: Batch, seconds: float) -> None:
        n_rows, n_outputs = batch.n_rows + batch.n_idle, batch.n_outputs
        self.counts.steps_total += 1
        self.counts.rows_total += n_rows
        depth = batch.prompt_depth
        is_usual = self.n_threads == self._threads.settled
        if self._may_try_threads(batch):
            self._threads.observe(self._sizes.costs.at_rest(n_rows, n_outputs, depth), seconds, perf_counter())
        self._sizes.measure(n_rows, n_outputs, seconds, depth, is_usual=is_usual)

    def _may_try_threads(self, batch: Batch) -> bool:
        """Fewer are tried on steps of decoding only, since with a prompt they are too dear for that; all of them
        again on any short one.
        """
        return batch.only_decodes or (self._threads.is_reduced and batch.n_rows + batch.n_idle <= MOST_ROWS_TO_TRY)

    def _set_threads(self, n_threads: int) -> None:
        if n_threads != self.n_threads:
            self.n_threads = n_threads
            self._runner.set_threads(n_threads)

    def _advance(self, sequence: Sequence, n_rows: int) -> None:
        n_prompt = max(0, min(n_rows, sequence.n_prompt - sequence.n_computed))
        self._cache.advance(sequence, n_rows)
        if sequence.only_prepares:
            self.counts.prepared_tokens_total += n_prompt
        else:
            self.counts.prompt_tokens_total += n_prompt

    def _take_over(self, batch: Batch) -> None:
        """After an interrupt the cache knows how far each sequence came; the rest is computed again."""
        self.counts.interrupts_total += 1
        for chunk in batch.chunks:
            sequence = chunk.sequence
            known = len(sequence.tokens) - (0 if sequence.only_prepares else 1)
            n_computed = self._runner.n_computed(sequence.seq_id)
            if n_computed > known:
                self._runner.remove(sequence.seq_id, known)
            self._advance(sequence, min(n_computed, known) - sequence.n_computed)

    def _run_smaller(self, batch: Batch, error: KVFullError) -> Iterator[Batch | Refusal]:
        """The books saw room that the cache does not have: idle tokens go, then it is tried in halves, and
        what does not even fit alone makes the largest request wait.
        """
        if self._cache.clear_idle():
            yield from self.run(batch)
        elif len(batch.chunks) > 1:
            for half in batch.halves():
                yield from self.run(half)
        elif self._scheduler.running in ([], [batch.chunks[0].sequence]):
            yield Refusal(batch.chunks[0].sequence, error)
        else:
            self._scheduler.park(self._scheduler.largest())
            yield from self.run(batch)

    def _run_apart(self, batch: Batch, error: InvalidBatchError) -> Iterator[Batch | Refusal]:
        """Nothing of a refused batch was computed: halve it until the request to blame stands alone."""
        if len(batch.chunks) == 1:
            yield Refusal(batch.chunks[0].sequence, error)
            return
        for half in batch.halves():
            yield from self.run(half)
