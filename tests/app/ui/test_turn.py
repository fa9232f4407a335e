"""A turn always ends, keeps what came, and says what happened; a conversation sends only what belongs there."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from r1chat.app.ui.conversation import Conversation
from r1chat.app.ui.page import Asker
from r1chat.app.ui.turn import Event, Turn
from r1chat.serve.client import Client, ContentDelta, Done, ReasoningDelta

DONE = Done("stop", {"completion_tokens_details": {"reasoning_tokens": 40}}, {"reasoning_ms": 200.0}, "chatcmpl-1")


async def script(*events: Event | float) -> AsyncGenerator[Event, None]:
    """Events in order; a number is a pause in seconds."""
    for event in events:
        if isinstance(event, float):
            await asyncio.sleep(event)
        else:
            yield event


async def played(turn: Turn, events: AsyncGenerator[Event, None]) -> list[dict[str, Any]]:
    return [snapshot async for snapshot in turn.play(events)]


def play(*events: Event | float) -> dict[str, Any]:
    return asyncio.run(played(Turn("why?"), script(*events)))[-1]


def test_header_takes_the_servers_counts_over_its_own() -> None:
    last = play(ReasoningDelta("a b c"), ContentDelta("d"), DONE)
    assert last["state"] == "done"
    assert last["header"] == "Thought 200 ms · 40 tok · 200 tok/s"
    assert (last["trace"], last["answer"]) == ("a b c", "d")


def test_long_thoughts_are_timed_in_minutes() -> None:
    slow = Done("stop", DONE.usage, {"reasoning_ms": 119_700.0}, "")
    assert play(ReasoningDelta("a"), slow)["header"].startswith("Thought 2 min 0 s · 40 tok")


def test_an_answer_without_a_thought_has_no_header() -> None:
    assert play(ContentDelta("d"), Done("stop", {}, {}, ""))["header"] == ""


@pytest.mark.parametrize(
    ("events", "note"),
    [
        ((ReasoningDelta("a"), Done("length", {}, {}, "")), "Cut off: the reply reached its token limit."),
        ((ReasoningDelta("a"), Done("stop", {}, {}, "")), "The model ended without an answer."),
        ((ContentDelta("a"), Done("stop", {}, {}, "")), ""),
    ],
)
def test_an_unusual_end_is_explained(events: tuple[Event, ...], note: str) -> None:
    assert play(*events)["note"] == note


def test_snapshots_only_add_while_the_turn_is_live() -> None:
    deltas = [event for n in range(30) for event in (ReasoningDelta(f"{n} "), 0.01)]
    answers = [event for n in range(30) for event in (ContentDelta(f"{n}\n\n"), 0.01)]
    shown = asyncio.run(played(Turn("why?"), script(*deltas, *answers, DONE)))
    assert 3 < len(shown) < 15, "about ten looks a second, not one per token"
    for before, after in itertools.pairwise(shown):
        assert after["trace"].startswith(before["trace"])
        assert after["html"].startswith(before["html"]) or after["state"] == "done"


@pytest.mark.parametrize(
    ("events", "header", "note"),
    [
        ((ReasoningDelta("so far"), 60.0), "Stopped after", ""),
        ((ReasoningDelta("so far"), ContentDelta("half"), 60.0), "Thought", "Stopped after"),
        ((60.0,), "", "Stopped after"),
    ],
)
def test_stop_ends_at_once_and_keeps_the_text(events: tuple[Event | float, ...], header: str, note: str) -> None:
    async def stopped() -> dict[str, Any]:
        turn = Turn("why?")
        asyncio.get_running_loop().call_later(0.05, turn.stop)
        return (await asyncio.wait_for(played(turn, script(*events)), timeout=5))[-1]

    last = asyncio.run(stopped())
    assert last["state"] == "stopped"
    assert last["header"].startswith(header) and last["note"].startswith(note)
    assert (last["trace"], last["answer"]) == (
        "so far" if header else "",
        "half" if header == "Thought" else "",
    )


def test_leaving_early_closes_the_request() -> None:
    closed = []

    async def endless() -> AsyncGenerator[Event, None]:
        try:
            while True:
                yield ReasoningDelta("x")
                await asyncio.sleep(0.01)
        finally:
            closed.append(True)

    async def leave() -> None:
        snapshots = Turn("why?").play(endless())
        await anext(snapshots)
        await snapshots.aclose()
        assert closed == [True]

    asyncio.run(leave())


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"

    async def ask_nobody() -> dict[str, Any]:
        async with Client(url) as client:
            return (await played(Turn("why?"), client.stream([{"role": "user", "content": "why?"}])))[-1]

    last = asyncio.run(ask_nobody())
    assert last["state"] == "failed"
    assert url in last["error"]


def test_a_bug_is_logged_and_still_ends_the_turn(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> AsyncGenerator[Event, None]:
        yield ReasoningDelta("x")
        raise ZeroDivisionError

    last = asyncio.run(played(Turn("why?"), broken()))[-1]
    assert (last["state"], last["trace"]) == ("failed", "x")
    assert last["error"]
    assert "ZeroDivisionError" in caplog.text


def test_a_second_question_waits_for_the_first_reply() -> None:
    async def updates(conversation: Conversation) -> list[Any]:
        return [update async for update in Asker("http://127.0.0.1:1", None).ask("two?", conversation)]

    conversation = Conversation()
    first, _ = conversation.ask("one?")
    assert asyncio.run(updates(conversation)) == []
    asyncio.run(played(first, script(DONE)))
    assert len(asyncio.run(updates(conversation))) > 1


def test_old_thoughts_and_unanswered_questions_are_not_sent_again() -> None:
    conversation = Conversation()
    first, messages = conversation.ask("one?")
    assert messages == [{"role": "user", "content": "one?"}]
    asyncio.run(played(first, script(ReasoningDelta("secret"), ContentDelta("1"), DONE)))
    conversation.ask("never answered?")
    _, messages = conversation.ask("two?")
    assert messages == [
        {"role": "user", "content": "one?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "two?"},
    ]
