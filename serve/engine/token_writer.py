"""Writes a sequence on: tokens drawn, or put there by its governor, and the text that became certain by them.

Knows the runner and the cache, on the engine's thread; who computes and who is told is the engine's.
"""

from __future__ import annotations

from itertools import zip_longest
from time import perf_counter

import numpy as np

from ..errors import InvalidRequestError, NonFiniteLogitsError
from .detokenizer import TextDelta
from .governor import Force
from .kv_cache import KVCache
from .model_runner import ModelRunner
from .request import NO_BIAS, Channel, Event, FinishReason, ThoughtEnded, TokenLogprob, TokenOutput
from .sequence import MAX_ROWS_AT_ONCE, Sequence


class TokenWriter:
    """What it writes may be the end of the sequence, which then has an `outcome`; nothing is written behind it."""

    def __init__(self, runner: ModelRunner, cache: KVCache) -> None:
        self._runner = runner
        self._cache = cache

    def draw(self, sequence: Sequence, rows: range, draft: list[int]) -> list[Event]:
        """Draws a token from each row for as long as the draft had guessed the one before it.

        Every token is drawn as it would be without a draft, so a draft changes nothing but the speed.
        """
        events: list[Event] = []
        n_known, n_accepted = len(sequence.tokens), 0
        for row, guess in zip_longest(rows, draft):
            try:
                events += self._advance(sequence, row)
            except (NonFiniteLogitsError, InvalidRequestError) as error:
                sequence.outcome = error
            as_guessed = len(sequence.tokens) == n_known + n_accepted + 1 and sequence.tokens[-1] == guess
            if not as_guessed or sequence.outcome:
                break
            n_accepted += 1
        if draft:
            sequence.n_drafted += len(draft)
            sequence.n_accepted += n_accepted
            self._cache.truncate(sequence, n_known + n_accepted)
        return events

    def govern(self, sequence: Sequence) -> list[Event]:
        """Asks the governor how the next token comes about, and carries it out if that is by force."""
        assert sequence.governor
        verdict = sequence.governor.verdict(sequence.n_left)
        if isinstance(verdict, Force):
            return self._put(sequence, verdict)
        sequence.bias = verdict.bias
        return []

    def echo(self, sequence: Sequence) -> list[Event]:
        """What is said before anything is drawn."""
        return _outputs(sequence, sequence.echo) if sequence.echo else []

    def end(self, sequence: Sequence, reason: FinishReason) -> list[Event]:
        """The sequence is over: what was held back is plain text."""
        held_back = sequence.detokenizer.finish()
        # a stop string may have been in it
        sequence.outcome = FinishReason.STOP if sequence.detokenizer.stopped else reason
        return _outputs(sequence, held_back)

    def _advance(self, sequence: Sequence, row: int) -> list[Event]:
        """Draws the request's next token, or puts others there, and says what became certain by it."""
        assert sequence.sampler and sequence.governor
        token = sequence.sampler.sample(row, sequence.bias, _allowed(sequence))
        if not sequence.marks.first_token:
            sequence.marks.first_token = perf_counter()
        piece, is_end = self._runner.piece(token), self._runner.is_end(token)
        if force := sequence.governor.review(piece, is_end=is_end, n_left=sequence.n_left):
            sequence.sampler.retract(token)
            return self._put(sequence, force)
        logprob = self._logprob(sequence, row, token)
        events = self._append(sequence, token, piece, logprob, is_end=is_end)
        if not sequence.outcome:
            events += self.govern(sequence)
        return events if sequence.outcome else events + self._constrain(sequence)

    def _constrain(self, sequence: Sequence) -> list[Event]:
        """Of an answer with a given form: its end, or tokens in whose places no others may come."""
        constraint = sequence.constraint
        if constraint is None or not constraint.bound:
            return []
        # what is put there has no log probability
        forced = [] if sequence.logprobs else constraint.forced(MAX_ROWS_AT_ONCE - 1)
        events = self._put(sequence, Force(forced)) if forced else []
        if constraint.done and not sequence.outcome:
            events += self.end(sequence, FinishReason.STOP)
        return events

    def _logprob(self, sequence: Sequence, row: int, token: int) -> TokenLogprob | None:
        if sequence.logprobs is None:
            return None
        assert sequence.sampler
        logprob, top = sequence.sampler.rank(row, token, sequence.logprobs.n_top)
        likeliest = tuple(TokenLogprob(each, self._runner.piece(each), value) for each, value in top)
        return TokenLogprob(token, self._runner.piece(token), logprob, likeliest)

    def _put(self, sequence: Sequence, force: Force) -> list[Event]:
        """Tokens that nobody drew; they are computed together, in the next step."""
        assert sequence.sampler and sequence.governor
        if force.n_dropped:
            for token in sequence.tokens[-force.n_dropped :]:
                sequence.sampler.retract(token)
            del sequence.tokens[-force.n_dropped :]
            if sequence.logprobs:
                sequence.logprobs.drop(force.n_dropped)
        # a draft may lie where they go
        self._cache.truncate(sequence, len(sequence.tokens) - 1)
        events: list[Event] = []
        for token in force.tokens:
            sequence.sampler.accept(token)
            events += self._append(sequence, token, self._runner.piece(token))
            if sequence.outcome:
                return events
        verdict = sequence.governor.verdict(sequence.n_left)
        sequence.bias = NO_BIAS if isinstance(verdict, Force) else verdict.bias
        return events

    def _append(
        self, sequence: Sequence, token: int, piece: bytes, logprob: TokenLogprob | None = None, *, is_end: bool = False
    ) -> list[Event]:
        """One token more, and with it perhaps the end."""
        assert sequence.governor
        sequence.tokens.append(token)
        if sequence.logprobs:
            sequence.logprobs.note(logprob)
        if is_end:
            return self.end(sequence, FinishReason.STOP)
        detokenizer = sequence.detokenizer
        deltas = [] if _begins_thought(sequence, token) else detokenizer.feed(piece)
        sequence.governor.accept(token)
        if sequence.constraint and sequence.constraint.bound:
            sequence.constraint.accept(token)
        if sequence.logprobs:
            sequence.logprobs.feed(detokenizer.text, logprob)
        events = _outputs(sequence, deltas)
        if detokenizer.in_answer and not sequence.marks.answer:
            sequence.marks.answer = perf_counter()
        if detokenizer.stopped:
            sequence.outcome = FinishReason.STOP
        elif sequence.is_full:
            events += self.end(sequence, FinishReason.LENGTH)
        return events


def _allowed(sequence: Sequence) -> np.ndarray | None:
    """What the answer's form leaves for the next token, once there is an answer."""
    constraint = sequence.constraint
    if constraint is None:
        return None
    state = sequence.detokenizer.state
    if not constraint.bound and state == "content":
        constraint.bind()
    return constraint.allowed() if constraint.bound or state == "start" else None


def _begins_thought(sequence: Sequence, token: int) -> bool:
    """Whether the reply's first token, which may open a thought or begin the answer, has opened one."""
    constraint = sequence.constraint
    if constraint is None or constraint.bound or sequence.detokenizer.state != "start":
        return False
    if token != constraint.opening:
        constraint.bind()
        return False
    sequence.detokenizer.begin_thought()
    return True


def _outputs(sequence: Sequence, deltas: list[TextDelta]) -> list[Event]:
    """With the news that the thought has ended behind the last of its text, once that is known."""
    n_thought = max((i for i, delta in enumerate(deltas, 1) if delta.channel is Channel.REASONING), default=0)
    queue = sequence.logprobs
    outputs: list[Event] = [
        TokenOutput(sequence.request_id, d.channel, d.text, d.tokens, queue.take(d.channel, d.text) if queue else ())
        for d in deltas
    ]
    return [*outputs[:n_thought], *_thought_ended(sequence), *outputs[n_thought:]]


def _thought_ended(sequence: Sequence) -> list[Event]:
    """Said once."""
    assert sequence.governor
    end = sequence.governor.reasoning_end(is_over=bool(sequence.outcome))
    if end is None or sequence.said_thought_ended:
        return []
    sequence.said_thought_ended = True
    return [ThoughtEnded(sequence.request_id, end, sequence.usage().reasoning_tokens, sequence.governor.evidence)]
