"""The loop: schedule, forward, sample, emit. One thread owns an engine and its runner.

A request ends in exactly one terminal event, Finished or Failed, unless `add_request` raised.
"""

from __future__ import annotations

from time import perf_counter

from ..errors import ContextLengthError, InvalidRequestError, NonFiniteLogitsError, R1ChatError
from .batch import Batch
from .detokenizer import Detokenizer, TextDelta
from .kv_cache import KVCache
from .messages import EngineStats
from .model_runner import InvalidBatchError, KVFullError, ModelRunner
from .pace import Pace
from .request import (
    Accepted,
    Event,
    Failed,
    Finished,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    Segment,
    TokenOutput,
)
from .scheduler import Scheduler
from .sequence import Sequence


class Engine:
    """Many requests in one forward pass per step. In-process use: add_request(), then step() while has_work."""

    def __init__(self, runner: ModelRunner) -> None:
        self._runner = runner
        n_seq_max = runner.info.n_seq_max
        self._cache = KVCache(runner, n_cells=runner.n_cells, n_seq_max=n_seq_max)
        self._pace = Pace(max_rows=runner.n_batch)
        self._scheduler = Scheduler(self._cache, self._pace, n_seq_max=n_seq_max)
        self._live: dict[str, Sequence] = {}

    @property
    def info(self) -> ModelInfo:
        return self._runner.info

    @property
    def has_work(self) -> bool:
        return self._scheduler.has_work

    def tokenize(self, prompt: tuple[Segment, ...]) -> list[int]:
        """Safe from any thread. Message text never becomes special tokens."""
        return [token for segment in prompt for token in self._runner.tokenize(segment.text, special=segment.special)]

    def add_request(self, request: GenerateRequest, tokens: list[int] | None = None) -> Accepted:
        """Queues the request; `tokens` where the prompt is tokenised already.

        Raises ContextLengthError, InvalidRequestError.
        """
        tokens = self.tokenize(request.prompt) if tokens is None else tokens
        self._check(request, tokens)
        n_ctx, max_tokens = self.info.n_ctx, request.params.max_tokens
        sequence = Sequence(
            request_id=request.request_id,
            tokens=list(tokens),
            max_tokens=n_ctx if max_tokens is None else min(n_ctx, len(tokens) + max_tokens),
            sampler=self._runner.make_sampler(request.params, tokens),
            detokenizer=Detokenizer(reasoning_open=request.reasoning_open, stop=request.params.stop),
        )
        self._live[request.request_id] = sequence
        self._scheduler.add(sequence)
        return Accepted(request.request_id, len(tokens))

    def abort(self, request_id: str) -> list[Event]:
        """Ends the request now and frees its place; of a request that has ended, nothing."""
        sequence = self._live.get(request_id)
        return [self._finish(sequence, FinishReason.ABORT)] if sequence else []

    def step(self) -> list[Event]:
        """One forward pass, and what it brought to each request in it."""
        batch = self._scheduler.schedule()
        return self._run(batch) if batch.n_rows else []

    def stats(self) -> EngineStats:
        return EngineStats(
            waiting=len(self._scheduler.waiting),
            running=len(self._scheduler.running),
            sequences=self._cache.n_claimed,
            kv_cells=self._cache.n_cells,
            kv_cells_used=self._cache.n_used,
            predicted_step_s=self._pace.predicted_step_s,
        )

    def close(self) -> None:
        for sequence in self._live.values():
            sequence.sampler.close()
        self._live.clear()
        self._runner.close()

    def _check(self, request: GenerateRequest, tokens: list[int]) -> None:
        if not tokens:
            raise InvalidRequestError("The prompt is empty.", param="messages")
        if len(tokens) >= self.info.n_ctx:
            raise ContextLengthError(len(tokens), self.info.n_ctx)
        if request.params.max_tokens is not None and request.params.max_tokens < 1:
            raise InvalidRequestError("max_tokens must be at least 1.", param="max_tokens")
        if request.request_id in self._live:
            raise InvalidRequestError(f"Request {request.request_id} is running already.")

    def _run(self, batch: Batch) -> list[Event]:
        began = perf_counter()
        try:
            self._runner.forward(batch)
        except KVFullError:
            return self._run_smaller(batch)
        except InvalidBatchError as error:
            return self._run_apart(batch, error)
        n_decoding = sum(chunk.sequence.is_decoding for chunk in batch.chunks)
        self._pace.measure(batch.n_rows, n_decoding, perf_counter() - began)
        return self._sample(batch)

    def _sample(self, batch: Batch) -> list[Event]:
        sampled = [(c.sequence, c.last_row) for c in batch.chunks if c.needs_logits]
        for chunk in batch.chunks:
            chunk.sequence.n_computed += chunk.n_rows
        return [event for sequence, row in sampled for event in self._advance(sequence, row)]

    def _run_smaller(self, batch: Batch) -> list[Event]:
        """The books saw room that the cache does not have: idle tokens go, then the youngest request."""
        if self._cache.clear_idle():
            return self._run(batch)
        *others, youngest = self._scheduler.running
        if not others:
            return [*self._rest(youngest), self._finish(youngest, FinishReason.LENGTH)]
        self._scheduler.preempt(youngest)
        batch = batch.without(youngest)
        return self._run(batch) if batch.n_rows else []

    def _run_apart(self, batch: Batch, error: InvalidBatchError) -> list[Event]:
        """Nothing of a refused batch was computed: halve it until the request to blame stands alone."""
        if len(batch.chunks) == 1:
            return [self._fail(batch.chunks[0].sequence, error)]
        return [event for half in batch.halves() for event in self._run(half)]

    def _advance(self, sequence: Sequence, row: int) -> list[Event]:
        """Draws the request's next token and says what became certain by it."""
        try:
            token = sequence.sampler.sample(row)
        except NonFiniteLogitsError as error:
            return [self._fail(sequence, error)]
        sequence.tokens.append(token)
        if not sequence.marks.first_token:
            sequence.marks.first_token = perf_counter()
        if self._runner.is_end(token):
            return [*self._rest(sequence), self._finish(sequence, FinishReason.STOP)]
        detokenizer = sequence.detokenizer
        events = _outputs(sequence, detokenizer.feed(self._runner.piece(token)))
        if detokenizer.in_answer and not sequence.marks.answer:
            sequence.marks.answer = perf_counter()
        if detokenizer.stopped:
            events.append(self._finish(sequence, FinishReason.STOP))
        elif sequence.is_full:
            events += [*self._rest(sequence), self._finish(sequence, FinishReason.LENGTH)]
        return events

    def _rest(self, sequence: Sequence) -> list[Event]:
        return _outputs(sequence, sequence.detokenizer.finish())

    def _finish(self, sequence: Sequence, reason: FinishReason) -> Finished:
        self._remove(sequence)
        return Finished(sequence.request_id, reason, sequence.usage(), sequence.marks.timings())

    def _fail(self, sequence: Sequence, error: R1ChatError) -> Failed:
        self._remove(sequence, keep=False)
        return failed(sequence.request_id, error)

    def _remove(self, sequence: Sequence, *, keep: bool = True) -> None:
        self._scheduler.finish(sequence, keep=keep)
        sequence.sampler.close()
        del self._live[sequence.request_id]


def failed(request_id: str, error: R1ChatError) -> Failed:
    """The terminal event that carries `error` over the pipe."""
    return Failed(
        request_id,
        type(error).__name__,
        str(error),
        prompt_tokens=getattr(error, "prompt_tokens", 0),
        n_ctx=getattr(error, "n_ctx", 0),
    )


def _outputs(sequence: Sequence, deltas: list[TextDelta]) -> list[Event]:
    return [TokenOutput(sequence.request_id, d.channel, d.text, d.tokens) for d in deltas]
