"""Where a reply's events come from: a question, or a reply that goes on from what there is of it.

A source gets the client and yields what is new only; what was kept is in the record already.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from ...serve.client import ApiError, Client, ContentDelta, Done, ReasoningDelta
from ..conversations.records import Message, Settings
from .live import Event
from .prompts import Into, begun, params, prompt

Source = Callable[[Client], AsyncGenerator[Event, None]]

# The rest of how it was asked is as the server has it.
FORK_FIELDS = frozenset({"temperature", "top_p", "seed", "max_completion_tokens", "reasoning_budget_tokens"})


@dataclass(frozen=True, slots=True)
class Place:
    """Behind `at` of the reply `reply_id`, which the server may still keep; `text` comes first there."""

    reply_id: str
    choice: int
    at: dict[str, int] | Literal["think_end"]
    text: str = ""


def asked(branch: Sequence[Message], settings: Settings) -> Source:
    """A reply to the question that ends `branch`."""

    async def source(client: Client) -> AsyncGenerator[Event, None]:
        async with aclosing(client.stream(prompt(branch, settings), **params(settings))) as events:
            async for event in events:
                yield event

    return source


def going_on(
    branch: Sequence[Message], settings: Settings, reply: Message, into: Into, place: Place | None = None
) -> Source:
    """The rest of `reply`, a record of what it begins with, to the question that ends `branch`.

    With its own tokens where the server still keeps what stands at `place`, else with its text: the same words.
    """

    async def source(client: Client) -> AsyncGenerator[Event, None]:
        if place is not None:
            try:
                async with aclosing(_forked(client, place, settings, reply)) as events:
                    async for event in events:
                        yield event
                return
            except ApiError as error:
                # Not kept any more, or not to be forked there; once it has begun, it fails with another status.
                if error.status not in (400, 404):
                    raise
        messages = [*prompt(branch, settings), begun(reply, into)]
        async with aclosing(client.stream(messages, continue_final_message=into, **params(settings))) as events:
            async for event in events:
                yield event

    return source


async def _forked(client: Client, place: Place, settings: Settings, reply: Message) -> AsyncGenerator[Event, None]:
    """The server sends what it kept once more; it is left out here."""
    known = {ReasoningDelta: len(reply.reasoning), ContentDelta: len(reply.content)}
    wanted = {name: value for name, value in params(settings).items() if name in FORK_FIELDS}
    async with aclosing(client.fork(place.reply_id, place.at, place.text, choice=place.choice, **wanted)) as events:
        async for event in events:
            if isinstance(event, Done):
                yield event
                continue
            n_known = known[type(event)]
            known[type(event)] = max(0, n_known - len(event.text))
            if new := event.text[n_known:]:
                yield replace(event, text=new)
