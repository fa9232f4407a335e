"""The loop: schedule, forward, sample, emit. One thread owns an engine and its runner.

A request ends in exactly one terminal event, Finished or Failed, unless `add_request` raised.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import zip_longest
from time import perf_counter

from ..errors import InvalidRequestError, NonFiniteLogitsError, R1ChatError
from .batch import Batch
from .detokenizer import TextDelta
from .executor import Executor, Refusal
from .governor import Force
from .host_cache import HostCache
from .intake import Intake, SpeculatorFactory
from .kv_cache import KVCache
from .messages import EngineStats
from .model_runner import KVFullError, ModelRunner
from .request import (
    NO_BIAS,
    Accepted,
    Event,
    Failed,
    Finished,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    PrepareRequest,
    Segment,
    TokenOutput,
)
from .row_costs import RowCosts
from .scheduler import Scheduler
from .sequence import Sequence


@dataclass(slots=True)
class TokenCounts:
    """What requests that have ended were given; names as in EngineStats."""

    cached_tokens_total: int = 0
    predicted_tokens_total: int = 0
    reasoning_tokens_total: int = 0
    drafted_tokens_total: int = 0
    accepted_tokens_total: int = 0


class Engine:
    """Many requests in one forward pass per step. In-process use: add_request(), then step() while has_work.

    `make_speculator` gives each request what drafts its next tokens; None: nothing is drafted.
    """

    def __init__(
        self,
        runner: ModelRunner,
        *,
        host: HostCache | None = None,
        make_speculator: SpeculatorFactory | None = None,
    ) -> None:
        self._runner = runner
        n_seq_max = runner.info.n_seq_max
        self._cache = KVCache(runner, n_cells=runner.n_cells, n_resident=runner.n_resident, host=host)
        self._costs = RowCosts(max_rows=runner.n_batch)
        self._costs.calibrate(runner.time_rows)
        self._scheduler = Scheduler(self._cache, self._costs, n_seq_max=n_seq_max, n_batch=runner.n_batch)
        self._executor = Executor(runner, self._cache, self._scheduler, self._costs)
        self._intake = Intake(runner, make_speculator)
        self._live: dict[str, Sequence] = {}
        self._counts = TokenCounts()

    @property
    def info(self) -> ModelInfo:
        return self._runner.info

    @property
    def cache(self) -> KVCache:
        return self._cache

    @property
    def has_work(self) -> bool:
        return self._scheduler.has_work

    def tokenize(self, prompt: tuple[Segment, ...]) -> list[int]:
        """Safe from any thread. Message text never becomes special tokens."""
        return self._intake.tokenize(prompt)

    def add_request(self, request: GenerateRequest, tokens: list[int] | None = None) -> Accepted:
        """Queues the request; `tokens` where the prompt is tokenised already.

        Raises ContextLengthError, InvalidRequestError.
        """
        if request.request_id in self._live:
            raise InvalidRequestError(f"Request {request.request_id} is running already.")
        tokens = self.tokenize(request.prompt) if tokens is None else tokens
        sequence = self._intake.sequence(request, tokens)
        self._live[request.request_id] = sequence
        self._scheduler.add(sequence)
        return Accepted(request.request_id, sequence.n_prompt)

    def prepare(self, request: PrepareRequest, tokens: list[int] | None = None) -> None:
        """Computes the prompt when there is nothing better to do. What does not fit is not prepared."""
        tokens = self.tokenize(request.prompt) if tokens is None else tokens
        if sequence := self._intake.prepared(request, tokens):
            self._scheduler.add(sequence)

    def abort(self, request_id: str) -> list[Event]:
        """Ends the request now and frees its place; of a request that has ended, nothing."""
        sequence = self._live.get(request_id)
        return [self._finish(sequence, FinishReason.ABORT)] if sequence else []

    def step(self) -> list[Event]:
        """One forward pass, and what it brought to each request in it."""
        events: list[Event] = []
        for done in self._executor.run(self._scheduler.schedule()):
            events += self._refused(done) if isinstance(done, Refusal) else self._sample(done)
        return events

    def give_way(self, aborted: str | None = None) -> None:
        """A request came in, or the request `aborted` lost its owner: the forward pass that runs now is cut
        short if nobody else needs it. From any thread.
        """
        self._executor.give_way(aborted)

    def stats(self) -> EngineStats:
        cache, scheduler = self._cache, self._scheduler
        return EngineStats(
            waiting=len(scheduler.waiting),
            running=len(scheduler.running),
            preparing=len(scheduler.preparing),
            sequences=cache.n_claimed,
            residents=cache.n_residents,
            kv_cells=cache.n_cells,
            kv_cells_used=cache.n_used,
            host_bytes=cache.host.n_bytes,
            host_max_bytes=cache.host.max_bytes,
            host_entries=cache.host.n_entries,
            predicted_step_s=self._costs.predicted_step_s,
            n_threads=self._executor.n_threads,
            evictions_total=cache.counts.evictions,
            restores_total=cache.counts.restores,
            restore_s_total=cache.counts.restore_s,
            restore_s_max=cache.counts.restore_s_max,
            parkings_total=scheduler.n_parkings,
            **asdict(self._counts),
            **asdict(self._executor.counts),
        )

    def close(self) -> None:
        for sequence in self._live.values():
            _close(sequence)
        self._live.clear()
        self._runner.close()

    def _sample(self, batch: Batch) -> list[Event]:
        return [event for c in batch.chunks for event in self._draw(c.sequence, c.logit_rows, c.draft)]

    def _refused(self, refusal: Refusal) -> list[Event]:
        sequence = refusal.sequence
        if sequence.only_prepares:
            self._scheduler.finish(sequence, keep=False)
            return []
        if isinstance(refusal.error, KVFullError):
            return [*self._rest(sequence), self._finish(sequence, FinishReason.LENGTH)]
        return [self._fail(sequence, refusal.error)]

    def _draw(self, sequence: Sequence, rows: range, draft: list[int]) -> list[Event]:
        """Draws a token from each row for as long as the draft had guessed the one before it.

        Every token is drawn as it would be without a draft, so a draft changes nothing but the speed.
        """
        events: list[Event] = []
        n_known, n_accepted = len(sequence.tokens), 0
        for row, guess in zip_longest(rows, draft):
            events += self._advance(sequence, row)
            as_guessed = len(sequence.tokens) == n_known + n_accepted + 1 and sequence.tokens[-1] == guess
            if not as_guessed or sequence.request_id not in self._live:
                break
            n_accepted += 1
        if draft:
            sequence.n_drafted += len(draft)
            sequence.n_accepted += n_accepted
            if sequence.seq_id >= 0:
                self._cache.truncate(sequence, n_known + n_accepted)
        return events

    def _advance(self, sequence: Sequence, row: int) -> list[Event]:
        """Draws the request's next token, or puts others there, and says what became certain by it."""
        assert sequence.sampler
        try:
            token = sequence.sampler.sample(row, sequence.bias)
        except NonFiniteLogitsError as error:
            return [self._fail(sequence, error)]
        if not sequence.marks.first_token:
            sequence.marks.first_token = perf_counter()
        piece, is_end = self._runner.piece(token), self._runner.is_end(token)
        governor = sequence.governor
        if governor and (force := governor.review(piece, is_end=is_end, n_left=sequence.n_left)):
            return self._put(sequence, force)
        events = self._append(sequence, token, piece, is_end=is_end)
        if governor and sequence.request_id in self._live:
            verdict = governor.verdict(sequence.n_left)
            if isinstance(verdict, Force):
                events += self._put(sequence, verdict)
            else:
                sequence.bias = verdict.bias
        return events

    def _put(self, sequence: Sequence, force: Force) -> list[Event]:
        """Tokens that nobody drew; they are computed together, in the next step."""
        assert sequence.sampler and sequence.governor
        if force.n_dropped:
            del sequence.tokens[-force.n_dropped :]
        # a draft may lie where they go
        self._cache.truncate(sequence, len(sequence.tokens) - 1)
        events: list[Event] = []
        for token in force.tokens:
            sequence.sampler.accept(token)
            events += self._append(sequence, token, self._runner.piece(token))
            if sequence.request_id not in self._live:
                return events
        verdict = sequence.governor.verdict(sequence.n_left)
        sequence.bias = NO_BIAS if isinstance(verdict, Force) else verdict.bias
        return events

    def _append(self, sequence: Sequence, token: int, piece: bytes, *, is_end: bool = False) -> list[Event]:
        """One token more, and with it perhaps the end."""
        sequence.tokens.append(token)
        if is_end:
            return [*self._rest(sequence), self._finish(sequence, FinishReason.STOP)]
        detokenizer = sequence.detokenizer
        events = _outputs(sequence, detokenizer.feed(piece))
        if sequence.governor:
            sequence.governor.accept(token)
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
        usage = sequence.usage()
        self._counts.cached_tokens_total += usage.cached_tokens
        self._counts.predicted_tokens_total += usage.completion_tokens
        self._counts.reasoning_tokens_total += usage.reasoning_tokens
        self._counts.drafted_tokens_total += usage.drafted_tokens
        self._counts.accepted_tokens_total += usage.accepted_tokens
        end = sequence.governor.reasoning_end() if sequence.governor else None
        self._remove(sequence)
        return Finished(sequence.request_id, reason, usage, sequence.marks.timings(), end)

    def _fail(self, sequence: Sequence, error: R1ChatError) -> Failed:
        self._remove(sequence, keep=False)
        return failed(sequence.request_id, error)

    def _remove(self, sequence: Sequence, *, keep: bool = True) -> None:
        self._scheduler.finish(sequence, keep=keep)
        _close(sequence)
        del self._live[sequence.request_id]


def _close(sequence: Sequence) -> None:
    if sequence.sampler:
        sequence.sampler.close()


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
