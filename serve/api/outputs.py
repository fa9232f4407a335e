"""What the replies to one Ask are made of, wherever they are computed: events as they come, and each reply whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple

from ..answers.ballot import VoteReport
from ..engine.request import Accepted, Channel, Finished, ThoughtEnded, TokenLogprob, TokenOutput
from ..errors import EngineStoppedError
from .voting.shown import VoteThought


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the `call`-th tool call of a reply; `id` and `name` come with its first piece."""

    call: int
    arguments: str
    id: str | None = None
    name: str | None = None


class Output(NamedTuple):
    """An event of the `choice`-th reply to an Ask. Each reply ends with its Finished."""

    choice: int
    event: Accepted | TokenOutput | ThoughtEnded | ToolCallDelta | VoteReport | VoteThought | Finished


Outputs = AsyncGenerator[Output, None]


@dataclass(slots=True)
class ToolCall:
    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Reply:
    """One reply as a whole."""

    finished: Finished
    reasoning: str = ""
    content: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    reasoning_logprobs: list[TokenLogprob] = field(default_factory=list)
    content_logprobs: list[TokenLogprob] = field(default_factory=list)
    vote: VoteReport | None = None


async def merged(parts: Sequence[Outputs]) -> Outputs:
    """The events of all parts as they come. The first error ends all of them."""
    queue: asyncio.Queue[Output | BaseException | None] = asyncio.Queue()

    async def drain(part: Outputs) -> None:
        try:
            async with aclosing(part):
                async for output in part:
                    queue.put_nowait(output)
            queue.put_nowait(None)
        except Exception as error:
            queue.put_nowait(error)

    tasks = [asyncio.create_task(drain(part)) for part in parts]
    try:
        n_open = len(tasks)
        while n_open:
            item = await queue.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                n_open -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def collect(outputs: Outputs) -> list[Reply]:
    """All replies, whole, in order."""
    texts: dict[tuple[int, Channel], list[str]] = {}
    logprobs: dict[tuple[int, Channel], list[TokenLogprob]] = {}
    calls: dict[int, list[_Call]] = {}
    finished: dict[int, Finished] = {}
    votes: dict[int, VoteReport] = {}
    async with aclosing(outputs):
        async for index, event in outputs:
            if isinstance(event, TokenOutput):
                texts.setdefault((index, event.channel), []).append(event.text)
                logprobs.setdefault((index, event.channel), []).extend(event.logprobs)
            elif isinstance(event, ToolCallDelta):
                _add_call(calls.setdefault(index, []), event)
            elif isinstance(event, VoteReport):
                votes[index] = event
            elif isinstance(event, Finished):
                finished[index] = event
    if not finished:
        raise EngineStoppedError("The engine ended the request without a last word.")
    return [
        Reply(
            finished[index],
            "".join(texts.get((index, Channel.REASONING), ())),
            "".join(texts.get((index, Channel.CONTENT), ())),
            [call.whole() for call in calls.get(index, [])],
            logprobs.get((index, Channel.REASONING), []),
            logprobs.get((index, Channel.CONTENT), []),
            votes.get(index),
        )
        for index in sorted(finished)
    ]


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    arguments: list[str]

    def whole(self) -> ToolCall:
        return ToolCall(self.id, self.name, "".join(self.arguments))


def _add_call(calls: list[_Call], delta: ToolCallDelta) -> None:
    if delta.call == len(calls):
        calls.append(_Call(delta.id or "", delta.name or "", []))
    calls[delta.call].arguments.append(delta.arguments)
