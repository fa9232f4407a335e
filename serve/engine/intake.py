"""What is asked becomes a sequence: tokens, limits, and the parts that draw, draft, govern and read its text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..errors import ContextLengthError, InvalidRequestError
from ..reasoning import OPEN_TAG
from .begun import Beginning, begin
from .closing_run import read_closing_run
from .constraint import Grammars
from .detokenizer import Detokenizer
from .governor import Force, Governor, ReasoningPlan
from .logprobs import MAX_TOP, LogprobQueue
from .model_runner import ModelRunner
from .request import NO_BIAS, GenerateRequest, PrepareRequest, Priority, Segment
from .sequence import Sequence
from .speculation import Speculator

# Tokens that tell how a text ends.
_TAIL = 8

SpeculatorFactory = Callable[[list[int]], Speculator | None]


class Intake:
    """For one runner. `make_speculator` gives a request of those prompt tokens what drafts for it, or nothing."""

    def __init__(self, runner: ModelRunner, make_speculator: SpeculatorFactory | None) -> None:
        self._runner = runner
        self._make_speculator = make_speculator or (lambda prompt: None)
        self._closing_run = read_closing_run(runner)
        opening = runner.tokenize(OPEN_TAG, special=True)
        self._opening = opening[0] if len(opening) == 1 else None
        self.grammars = Grammars(runner)

    def tokenize(self, prompt: tuple[Segment, ...]) -> list[int]:
        """Safe from any thread. Message text never becomes special tokens."""
        return [token for segment in prompt for token in self._runner.tokenize(segment.text, special=segment.special)]

    def beginning(self, request: GenerateRequest) -> Beginning:
        """What the reply begins with, mostly nothing, and what binds it, which may take seconds. Safe from any thread.
        Raises InvalidRequestError.
        """
        detokenizer = Detokenizer(
            reasoning_open=request.reasoning_open,
            stop=request.params.stop,
            quotes_tags=request.grammar is not None,
        )
        constraint = self.grammars.constraint(request.grammar) if request.grammar else None
        if request.begun is None:
            return Beginning([], detokenizer, constraint=constraint)
        begun = begin(request.begun, detokenizer, self._runner, self._closing_run)
        return replace(begun, constraint=constraint)

    def sequence(self, request: GenerateRequest, prompt: list[int], beginning: Beginning) -> Sequence:
        """Raises ContextLengthError, InvalidRequestError."""
        tokens = [*prompt, *beginning.tokens]
        self._check(request, tokens)
        n_ctx, max_tokens = self._runner.info.n_ctx, request.params.max_tokens
        sequence = Sequence(
            request_id=request.request_id,
            tokens=tokens,
            max_tokens=n_ctx if max_tokens is None else min(n_ctx, len(tokens) + max_tokens),
            reply_at=len(prompt),
            detokenizer=beginning.detokenizer,
            echo=beginning.echo,
            priority=request.priority,
            cache_scope=_cache_scope(request),
            deterministic=request.deterministic,
            speculator=self._make_speculator(tokens),
        )
        self._constrain(sequence, request, beginning)
        self._govern(sequence, request)
        sequence.sampler = self._runner.make_sampler(request.params, sequence.tokens)
        return sequence

    def prepared(self, request: PrepareRequest, tokens: list[int]) -> Sequence | None:
        """None for what does not fit."""
        if not 0 < len(tokens) < self._runner.info.n_ctx:
            return None
        return Sequence(
            request_id=request.request_id,
            tokens=list(tokens),
            max_tokens=len(tokens),
            priority=Priority.BACKGROUND,
            cache_scope=_cache_scope(request),
            deterministic=request.deterministic,
            only_prepares=True,
            replaces=request.replaces,
        )

    def _check(self, request: GenerateRequest, tokens: list[int]) -> None:
        n_ctx = self._runner.info.n_ctx
        if not tokens:
            raise InvalidRequestError("The prompt is empty.", param="messages")
        if len(tokens) >= n_ctx:
            raise ContextLengthError(len(tokens), n_ctx)
        if request.params.max_tokens is not None and request.params.max_tokens < 1:
            raise InvalidRequestError("max_tokens must be at least 1.", param="max_tokens")
        if not 0 <= (request.params.top_logprobs or 0) <= MAX_TOP:
            raise InvalidRequestError(f"top_logprobs must be between 0 and {MAX_TOP}.", param="top_logprobs")

    def _constrain(self, sequence: Sequence, request: GenerateRequest, beginning: Beginning) -> None:
        """What is no thought is bound from its first token on, what there is of it already among it. A model whose
        template leaves it to it may begin with a thought.
        """
        thinks = sequence.detokenizer.state == "reasoning"
        if constraint := beginning.constraint:
            sequence.constraint = constraint
            if sequence.detokenizer.state == "start" and not sequence.tokens[sequence.reply_at :]:
                constraint.opening = None if request.params.reasoning_budget == 0 else self._opening
            if not thinks and constraint.opening is None:
                constraint.bind(beginning.answer)
        if request.params.top_logprobs is not None:
            sequence.logprobs = LogprobQueue(request.params.top_logprobs, in_thought=thinks)

    def _govern(self, sequence: Sequence, request: GenerateRequest) -> None:
        """A thought that must not even begin, or go on, is closed by the prompt."""
        params, n_ctx = request.params, self._runner.info.n_ctx
        plan = ReasoningPlan(
            max_new=sequence.n_left,
            budget=params.reasoning_budget,
            grace=params.reasoning_grace,
            closes_cleanly=sequence.constraint is not None,
            lets_be=not params.governed,
        )
        written = b"".join(map(self._runner.piece, sequence.tokens[sequence.reply_at :][-_TAIL:]))
        governor = Governor(plan, self._closing_run, sequence.detokenizer, written.decode(errors="replace"))
        sequence.governor = governor
        verdict = governor.verdict(sequence.n_left)
        if isinstance(verdict, Force):
            for token in verdict.tokens:
                echo = request.begun is not None and request.begun.echo
                sequence.echo += sequence.detokenizer.take_over(self._runner.piece(token), echo=echo)
                governor.accept(token)
            sequence.tokens += verdict.tokens
            sequence.n_prompt = len(sequence.tokens)
            sequence.max_tokens = min(n_ctx, sequence.max_tokens + len(verdict.tokens))
            if sequence.n_prompt >= n_ctx:
                raise ContextLengthError(sequence.n_prompt, n_ctx)
            verdict = governor.verdict(sequence.n_left)
        sequence.bias = NO_BIAS if isinstance(verdict, Force) else verdict.bias


def _cache_scope(request: GenerateRequest | PrepareRequest) -> str:
    """Tokens that other requests left were rounded in their company: deterministic ones share among themselves."""
    return f"{request.cache_scope}\0deterministic" if request.deterministic else request.cache_scope
