"""Many thoughts, one answer: samples a question several times in one batch and returns what most come to.

Self-consistency, Wang et al. 2022 (arXiv 2203.11171), which R1's authors call consensus. What still runs
when the outcome is certain is stopped; see ballot.Ballot.decided.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Annotated

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from ...answers.ballot import Ballot, Option, ThoughtReport, VoteReport
from ...answers.extraction import Extract, comparable, extract
from ...answers.math_judge import JudgeSession, MathJudge
from ...engine.request import Accepted, Channel, Finished, FinishReason, ThoughtEnded, TokenOutput, Usage
from ...errors import EngineStoppedError, InvalidRequestError
from ..ask import Ask
from ..kept import KeptReplies
from ..outputs import Output, Outputs
from ..replies import summed, wire_finish_reason
from ..served import Backend
from .shown import VoteThought

MAX_THOUGHTS = 64
__all__ = ["Vote", "VoteReport", "vote"]


class Vote(BaseModel):
    """`n` thoughts vote, each with what `extract` finds in its answer: the last \\boxed{}, the last number, or
    the JSON that the answer is. With `stream_thoughts` a stream tells of all of them while they run.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    n: Annotated[int, Field(ge=2, le=MAX_THOUGHTS)] = 8
    extract: Extract = "boxed"
    stream_thoughts: bool = False


@dataclass(slots=True)
class _Thought:
    """One of the thoughts: what came of it, in order, so that the winner's can be passed on as it came."""

    events: list[TokenOutput | ThoughtEnded] = field(default_factory=list)
    finished: Finished | None = None
    answer: str | None = None

    def text(self, channel: Channel) -> str:
        return "".join(e.text for e in self.events if isinstance(e, TokenOutput) and e.channel is channel)


async def vote(
    backend: Backend, ask: Ask, completion_id: str, how: Vote, judge: MathJudge, *, streamed: bool
) -> Outputs:
    """A VoteReport after each thought that finishes, until it is decided; then the winning reply as choice 0, a
    VoteReport with all thoughts, and a Finished whose usage sums them up: the prompt once, every token that was
    generated, by thoughts that were stopped too. Before that, VoteThoughts as they come where a stream is to have
    them.

    Each thought is a reply of its own to control, and to fork under its index. Thoughts that are cut off by
    a limit have no vote. Raises what Backend.start does, and InvalidRequestError where a vote makes no sense.
    """
    if ask.n != 1:
        raise InvalidRequestError("A vote answers with one reply; ask for n thoughts within vote.", "n")
    if ask.params.temperature == 0:
        raise InvalidRequestError("Without a temperature all thoughts of a vote would be the same.", "temperature")
    outputs = await backend.start(replace(ask, n=how.n), completion_id, streamed=streamed)
    voting = _Voting(how, lambda: backend.stop(completion_id), shows=streamed and how.stream_thoughts)
    return _shown(voting.follow(outputs, judge), backend.kept, completion_id)


async def _shown(outputs: Outputs, kept: KeptReplies, completion_id: str) -> Outputs:
    """A fork that names no thought means the winner's."""
    async with aclosing(outputs):
        async for output in outputs:
            if isinstance(output.event, VoteReport) and output.event.choice is not None:
                kept.show(completion_id, output.event.choice)
            yield output


class _Voting:
    """One vote while its thoughts come in. `stop` ends those that still run; with `shows` all are told of."""

    def __init__(self, how: Vote, stop: Callable[[], None], *, shows: bool = False) -> None:
        self._how = how
        self._stop = stop
        self._shows = shows
        self._ballot = Ballot(how.n)
        self._thoughts = [_Thought() for _ in range(how.n)]
        self._keys: dict[str, Fraction | str] = {}
        self._in_turn = asyncio.Lock()
        self._counted: deque[VoteThought | VoteReport] = deque()

    async def follow(self, outputs: Outputs, judge: MathJudge) -> Outputs:
        accepted = False
        counts: list[asyncio.Task[None]] = []
        async with judge.session() as session:
            try:
                async with aclosing(outputs):
                    async for index, event in outputs:
                        if isinstance(event, (TokenOutput, ThoughtEnded)):
                            self._thoughts[index].events.append(event)
                            if self._shows:
                                yield Output(0, VoteThought(index, event))
                        elif isinstance(event, Finished):
                            # apart: a comparison may take a child's start, and the others think on
                            counts.append(asyncio.create_task(self._count(index, event, session)))
                            await asyncio.sleep(0)  # most need none, and are counted now
                        elif isinstance(event, Accepted) and not accepted:
                            accepted = True
                            yield Output(0, event)
                        for told in self._told_now():
                            yield told
                for count in counts:
                    await count
                    for told in self._told_now():
                        yield told
            finally:
                for count in counts:
                    count.cancel()
                await asyncio.gather(*counts, return_exceptions=True)
        for output in self._outcome():
            yield output

    def _told_now(self) -> Iterator[Output]:
        """What is to be told of the thoughts that were counted since."""
        while self._counted:
            yield Output(0, self._counted.popleft())

    async def _count(self, index: int, finished: Finished, session: JudgeSession) -> None:
        """Each in its turn, the first to end first; what is to be told of it waits for follow()."""
        async with self._in_turn:
            report = await self._stands(index, finished, session)
        if self._shows:
            self._counted.append(VoteThought(index, _told(index, self._thoughts[index]).without_texts()))
        if report:
            self._counted.append(report)

    async def _stands(self, index: int, finished: Finished, session: JudgeSession) -> VoteReport | None:
        """How the vote stands now, unless it was decided before. Only what came to its own end has a vote."""
        thought = self._thoughts[index]
        thought.finished = finished
        if finished.reason is FinishReason.ABORT:
            return None
        decided_before = self._ballot.decided
        if finished.reason is FinishReason.STOP:
            thought.answer = extract(thought.text(Channel.CONTENT), self._how.extract)
        if thought.answer is None:
            self._ballot.abstain(index)
        else:
            self._ballot.vote(index, thought.answer, await self._option(thought.answer, session))
        if decided_before:
            return None
        if self._ballot.decided:
            self._stop()
        return self._ballot.report()

    async def _option(self, answer: str, session: JudgeSession) -> Option | None:
        """The option that `answer` is for; None where nobody has given it before."""
        mine = self._key(answer)
        for option in self._ballot.options:
            if self._key(option.answer) == mine:
                return option
        for option in self._ballot.options:
            if self._may_be_equal(mine, self._key(option.answer)) and await session.equal(option.answer, answer):
                return option
        return None

    def _key(self, answer: str) -> Fraction | str:
        if answer not in self._keys:
            self._keys[answer] = comparable(answer, self._how.extract)
        return self._keys[answer]

    def _may_be_equal(self, one: Fraction | str, other: Fraction | str) -> bool:
        """Different keys may be one formula; plain numbers and JSON are what they are."""
        return self._how.extract == "boxed" and not (isinstance(one, Fraction) and isinstance(other, Fraction))

    def _outcome(self) -> Iterator[Output]:
        """The winner's reply as it came, all that is to say of the vote, and the end of it."""
        report = self._ballot.report()
        finished = [thought.finished for thought in self._thoughts if thought.finished]
        choice = report.tally[0].choices[0] if report.tally else 0
        winner = self._thoughts[choice]
        if winner.finished is None:
            raise EngineStoppedError("The engine ended a thought without a last word.")
        for event in winner.events:
            yield Output(0, event)
        report.choice = choice
        report.thoughts = [_told(i, thought) for i, thought in enumerate(self._thoughts)]
        report.n_stopped = sum(thought.finish_reason == "stopped" for thought in report.thoughts)
        yield Output(0, report)
        usage, timings = summed(finished)
        yield Output(0, msgspec.structs.replace(winner.finished, usage=usage, timings=timings))


def _told(index: int, thought: _Thought) -> ThoughtReport:
    finished = thought.finished
    usage = finished.usage if finished else Usage()
    reason = finished.reason if finished else FinishReason.ABORT
    return ThoughtReport(
        index=index,
        answer=thought.answer,
        finish_reason="stopped" if reason is FinishReason.ABORT else wire_finish_reason(reason),
        reasoning=thought.text(Channel.REASONING) or None,
        content=thought.text(Channel.CONTENT),
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )
