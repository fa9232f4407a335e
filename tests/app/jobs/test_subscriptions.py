"""Readers of a conversation: each gets everything once, in order, whole before the end, however slowly it reads."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec

from r1chat.app.conversations.records import Message
from r1chat.app.jobs.events import Delta, Event, Gone, MessageChanged
from r1chat.app.jobs.live import LiveReply
from r1chat.app.jobs.subscriptions import Subscription
from r1chat.serve.client import ReasoningDelta

LIVE = Message(id="r", conversation="c", parent="q", role="assistant", state="live")


async def read(subscription: Subscription) -> list[Event]:
    """Until it is gone; what messages hold is followed, as it must be."""
    seen: list[Event] = []
    async with aclosing(subscription.events()) as events:
        async for event in events:
            if isinstance(event, MessageChanged):
                subscription.follow(event.message)
            seen.append(event)
            await asyncio.sleep(0)
    return seen


def text_of(events: list[Event]) -> str:
    return "".join(part.reasoning for event in events if isinstance(event, tuple) for part in event)


def test_what_came_between_the_last_look_and_the_end_comes_before_the_end() -> None:
    async def scenario() -> list[Event]:
        reply = LiveReply(LIVE)
        subscription = Subscription("c", {"r": reply}.get)
        assert subscription.follow(LIVE).reasoning == ""
        reading = asyncio.create_task(read(subscription))
        reply.take(ReasoningDelta("one ", "id"))
        subscription.touch()
        await asyncio.sleep(0.01)
        for word in ("two ", "three"):
            reply.take(ReasoningDelta(word, "id"))
        subscription.touch()
        subscription.tell(MessageChanged(msgspec.structs.replace(LIVE, state="done")))
        subscription.tell(Gone())
        return await reading

    events = asyncio.run(scenario())
    assert text_of(events) == "one two three"
    assert [type(event) for event in events[-2:]] == [MessageChanged, Gone]


def test_what_it_was_opened_with_is_not_told_again() -> None:
    async def scenario() -> list[Event]:
        reply = LiveReply(LIVE)
        reply.take(ReasoningDelta("seen ", "id"))
        subscription = Subscription("c", {"r": reply}.get)
        assert subscription.follow(LIVE).reasoning == "seen "
        reply.take(ReasoningDelta("new", "id"))
        subscription.tell(Gone())
        return await read(subscription)

    events = asyncio.run(scenario())
    assert text_of(events) == "new"


def test_a_slow_reader_gets_more_at_a_time_and_nothing_twice() -> None:
    async def scenario() -> tuple[int, str]:
        reply = LiveReply(LIVE)
        subscription = Subscription("c", {"r": reply}.get)
        subscription.follow(LIVE)
        got: list[Delta] = []
        async with aclosing(subscription.events()) as events:
            for n in range(300):
                reply.take(ReasoningDelta(f"{n} ", "id"))
                subscription.touch()
                if n % 100 == 99:
                    event = await anext(events)
                    assert isinstance(event, tuple)
                    got += event
        return len(got), "".join(delta.reasoning for delta in got)

    n_events, text = asyncio.run(scenario())
    assert n_events == 3 and text == "".join(f"{n} " for n in range(300))
