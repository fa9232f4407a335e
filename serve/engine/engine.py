"""The loop: schedule, forward, draw, emit. One thread owns an engine and its runner.

A request ends in exactly one terminal event, Finished or Failed, unless `add_request` raised.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import monotonic
from typing import Literal

from ..errors import InvalidRequestError, R1ChatError
from .batch import Batch
from .begun import Beginning
from .executor import Executor, Refusal
from .host_cache import HostCache
from .intake import Intake, SpeculatorFactory
from .kv_cache import KVCache
from .messages import EngineStats
from .model_runner import KVFullError, ModelRunner
from .pacer import Pacer
from .request import (
    Accepted,
    Event,
    Failed,
    Finished,
    FinishReason,
    GenerateRequest,
    Grammar,
    ModelInfo,
    PrepareRequest,
    Segment,
)
from .row_costs import RowCosts
from .scheduler import Scheduler
from .sequence import Sequence
from .step_sizes import StepSizes
from .token_writer import TokenWriter


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
    `dues`: when readers should get what the last step brought, as time.monotonic, by request; of others, at once.
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
        costs = RowCosts(max_rows=runner.n_batch, piece_rows=runner.piece_rows)
        costs.calibrate(runner.time_rows)
        self._sizes = StepSizes(costs)
        self._scheduler = Scheduler(self._cache, self._sizes, n_seq_max=n_seq_max, n_batch=runner.n_batch)
        self._executor = Executor(runner, self._cache, self._scheduler, self._sizes)
        self._intake = Intake(runner, make_speculator)
        self._writer = TokenWriter(runner, self._cache)
        self._live: dict[str, Sequence] = {}
        self._counts = TokenCounts()
        self._said: list[Event] = []  # between steps
        self.dues: dict[str, float] = {}

    @property
    def info(self) -> ModelInfo:
        return self._runner.info

    @property
    def has_work(self) -> bool:
        return self._scheduler.has_work or bool(self._said)

    def tokenize(self, prompt: tuple[Segment, ...]) -> list[int]:
        """Safe from any thread. Message text never becomes special tokens."""
        return self._intake.tokenize(prompt)

    def has_compiled(self, grammar: Grammar) -> bool:
        """A request with it is added in no time. Safe from any thread."""
        return self._intake.grammars.has(grammar)

    def token_text(self, token: int) -> bytes:
        """The bytes of a token, control tokens written out. Safe from any thread."""
        return self._runner.token_text(token)

    def beginning(self, request: GenerateRequest) -> Beginning:
        """What the reply begins with and is bound by, which may take seconds. Safe from any thread.

        Raises InvalidRequestError.
        """
        return self._intake.beginning(request)

    def add_request(
        self, request: GenerateRequest, tokens: list[int] | None = None, beginning: Beginning | None = None
    ) -> Accepted:
        """Queues the request; `tokens` and `beginning` where the prompt is tokenised already.

        Raises ContextLengthError, InvalidRequestError.
        """
        if request.request_id in self._live:
            raise InvalidRequestError(f"Request {request.request_id} is running already.")
        tokens = self.tokenize(request.prompt) if tokens is None else tokens
        sequence = self._intake.sequence(request, tokens, beginning or self.beginning(request))
        self._said += self._writer.echo(sequence)
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
        return [*self._take_said(), self._finish(sequence, FinishReason.ABORT)] if sequence else []

    def control(self, request_id: str, action: Literal["answer_now", "think_more"]) -> bool:
        """Ends a thought now, or lets it go on when it would have ended; False where none is going on.

        What that brings comes with the next step's events; to end the thought costs that step and no other.
        """
        sequence = self._live.get(request_id)
        if sequence is None or sequence.governor is None:
            return False
        if action == "think_more":
            return sequence.governor.think_more()
        if not sequence.governor.answer_now():
            return False
        # whoever acts on a thought sees at once what came of it
        sequence.pacer = Pacer()
        self._said += [*self._writer.govern(sequence), *self._outcome(sequence)]
        return True

    def step(self) -> list[Event]:
        """One forward pass, and what it brought to each request in it."""
        events = self._take_said()
        at_once = {event.request_id for event in events}
        self.dues = {}
        for done in self._executor.run(self._scheduler.schedule()):
            events += self._refused(done) if isinstance(done, Refusal) else self._sample(done)
        self.dues = {request_id: due for request_id, due in self.dues.items() if request_id not in at_once}
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
            predicted_step_s=self._sizes.predicted_step_s,
            n_threads=self._executor.n_threads,
            evictions_total=cache.counts.evictions,
            restores_total=cache.counts.restores,
            restore_s_total=cache.counts.restore_s,
            restore_s_max=cache.counts.restore_s_max,
            parkings_total=scheduler.n_parkings,
            **asdict(self._counts),
            **asdict(self._executor.counts),
        )

    def put_by(self) -> HostCache:
        """Host memory, with all that was computed for anybody in it; nothing runs or is prepared any more."""
        for sequence in [*self._scheduler.running, *self._scheduler.preparing]:
            self._scheduler.finish(sequence)
        self._cache.clear_idle()
        return self._cache.host

    def close(self) -> None:
        for sequence in self._live.values():
            _close(sequence)
        self._live.clear()
        self._runner.close()

    def _take_said(self) -> list[Event]:
        said, self._said = self._said, []
        return said

    def _sample(self, batch: Batch) -> list[Event]:
        events: list[Event] = []
        for chunk in batch.chunks:
            events += self._writer.draw(chunk.sequence, chunk.logit_rows, chunk.draft)
            events += self._outcome(chunk.sequence)
            if chunk.logit_rows and (due := chunk.sequence.pacer.due(monotonic())):
                self.dues[chunk.sequence.request_id] = due
        return events

    def _refused(self, refusal: Refusal) -> list[Event]:
        sequence = refusal.sequence
        if sequence.only_prepares:
            self._scheduler.finish(sequence, keep=False)
            return []
        if isinstance(refusal.error, KVFullError) and sequence.marks.first_token:
            return [*self._writer.end(sequence, FinishReason.LENGTH), *self._outcome(sequence)]
        sequence.outcome = refusal.error
        return self._outcome(sequence)

    def _outcome(self, sequence: Sequence) -> list[Event]:
        """The terminal event of a request that is over, of others nothing."""
        outcome = sequence.outcome
        if outcome is None:
            return []
        if isinstance(outcome, R1ChatError):
            self._remove(sequence, keep=False)
            return [failed(sequence.request_id, outcome)]
        return [self._finish(sequence, outcome)]

    def _finish(self, sequence: Sequence, reason: FinishReason) -> Finished:
        assert sequence.governor
        usage = sequence.usage()
        self._counts.cached_tokens_total += usage.cached_tokens
        self._counts.predicted_tokens_total += usage.completion_tokens
        self._counts.reasoning_tokens_total += usage.reasoning_tokens
        self._counts.drafted_tokens_total += usage.drafted_tokens
        self._counts.accepted_tokens_total += usage.accepted_tokens
        self._remove(sequence)
        thought_end = sequence.governor.reasoning_end(is_over=reason is not FinishReason.ABORT)
        said, end = self._said_tokens(sequence)
        return Finished(
            sequence.request_id,
            reason,
            usage,
            sequence.marks.timings(),
            thought_end,
            sequence.governor.evidence if thought_end else None,
            tuple(said),
            sequence.detokenizer.stop_string,
            end[0] if end else None,
            _drawn(sequence, len(said) + len(end)),
        )

    def _said_tokens(self, sequence: Sequence) -> tuple[list[int], list[int]]:
        """The whole reply, and the token that ended it, if one did."""
        reply = sequence.tokens[sequence.reply_at :]
        return (reply[:-1], reply[-1:]) if reply and self._runner.is_end(reply[-1]) else (reply, [])

    def _remove(self, sequence: Sequence, *, keep: bool = True) -> None:
        self._scheduler.finish(sequence, keep=keep)
        _close(sequence)
        del self._live[sequence.request_id]


def _drawn(sequence: Sequence, n: int) -> tuple[float | None, ...]:
    """Log probabilities of the reply's `n` tokens; those it began with were not drawn."""
    if sequence.logprobs is None:
        return ()
    drawn = sequence.logprobs.drawn
    return (*[None] * (n - len(drawn)), *drawn)


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
        param=getattr(error, "param", None),
    )
