"""A reply's job, on the real store: it ends exactly once and leaves what it had, whatever goes wrong."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from r1chat.app.conversations import database
from r1chat.app.conversations.database import StoreError
from r1chat.app.conversations.records import Message
from r1chat.app.conversations.store import ConversationStore
from r1chat.app.jobs.asker import Asker
from r1chat.app.jobs.events import MessageChanged
from r1chat.app.jobs.live import Event
from r1chat.app.jobs.registry import JobRegistry
from r1chat.app.jobs.reply import SAVE_S
from r1chat.app.ui.views import opened
from r1chat.serve.client import Client, ReasoningDelta
from r1chat.serve.errors import InvalidRequestError


@pytest.fixture
def store(tmp_path: Path) -> ConversationStore:
    return ConversationStore(tmp_path / "conversations.sqlite")


def begun(store: ConversationStore) -> Message:
    conversation = store.create("")
    about: dict[str, Any] = {"conversation": conversation.id, "model": "demo"}
    store.add(Message(id="q", parent=None, role="user", content="?", **about))
    return store.add(Message(id="r", parent="q", role="assistant", state="live", **about))


def registry(store: ConversationStore) -> JobRegistry:
    """Nothing listens there; the sources below ask nobody."""
    return JobRegistry(store, lambda owner, model: Client("http://127.0.0.1:9"))


async def endless(client: Client) -> AsyncGenerator[Event, None]:
    n = 0
    while True:
        yield ReasoningDelta(f"{n} ", "id")
        n += 1
        await asyncio.sleep(0.01)


async def broken(client: Client) -> AsyncGenerator[Event, None]:
    yield ReasoningDelta("so far ", "id")
    raise RuntimeError("a secret of the inside")


async def ended(jobs: JobRegistry, message: Message) -> Message:
    """The record that watchers are told of."""
    with jobs.subscribed(message.conversation) as subscription:
        async for event in subscription.events():
            if isinstance(event, MessageChanged) and event.message.state != "live":
                return event.message
    raise AssertionError("nobody was told")


def test_pieces_are_on_disk_while_it_is_written_and_whole_at_its_end(store: ConversationStore) -> None:
    async def scenario() -> tuple[str, str]:
        jobs, message = registry(store), begun(store)
        jobs.start("", message, endless)
        async with asyncio.timeout(60):
            while not (early := store.message("", "r")).reasoning:
                await asyncio.sleep(0.01)
        assert early.state == "live"
        await jobs.stop("r")
        late = store.message("", "r")
        assert late.state == "stopped" and jobs.n_live == 0
        assert await jobs.stop("r") is False
        return early.reasoning, late.reasoning

    early, late = asyncio.run(scenario())
    assert early and late.startswith(early)
    assert late == "".join(f"{n} " for n in range(late.count(" ")))


def test_a_fault_of_ours_is_a_failed_reply_that_tells_nothing_of_the_inside(store: ConversationStore) -> None:
    async def scenario() -> Message:
        jobs, message = registry(store), begun(store)
        jobs.start("", message, broken)
        return await ended(jobs, message)

    left = asyncio.run(scenario())
    assert (left.state, left.reasoning) == ("failed", "so far ")
    assert "log" in left.error and "secret" not in left.error
    assert store.message("", "r") == left


def test_a_reply_that_cannot_be_saved_ends_and_says_so(store: ConversationStore, tmp_path: Path) -> None:
    async def scenario() -> Message:
        jobs, message = registry(store), begun(store)
        with sqlite3.connect(tmp_path / "conversations.sqlite") as other:
            other.execute("DROP TABLE pieces")
        jobs.start("", message, broken)
        return await ended(jobs, message)

    left = asyncio.run(scenario())
    assert left.state == "failed" and "could not be saved" in left.error and left.reasoning == "so far "


async def short(client: Client) -> AsyncGenerator[Event, None]:
    yield ReasoningDelta("all of it", "id")


def test_a_reply_that_ends_while_another_process_writes_for_long_is_saved_behind_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.2)
    store = ConversationStore(tmp_path / "conversations.sqlite")

    async def scenario() -> Message:
        jobs, message = registry(store), begun(store)
        other = sqlite3.connect(tmp_path / "conversations.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        jobs.start("", message, short)
        ending = asyncio.create_task(ended(jobs, message))
        await asyncio.sleep(1)
        other.execute("COMMIT")
        return await ending

    left = asyncio.run(scenario())
    assert (left.state, left.error) == ("done", "") and store.message("", "r") == left
    store.close()


def test_pieces_that_wait_for_a_locked_file_take_no_thread_from_others(
    store: ConversationStore, tmp_path: Path
) -> None:
    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        jobs, message = registry(store), begun(store)
        other = sqlite3.connect(tmp_path / "conversations.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        jobs.start("", message, endless)
        await asyncio.sleep(2 * SAVE_S)
        async with asyncio.timeout(2):
            await asyncio.to_thread(str)
        other.execute("COMMIT")
        await jobs.stop_all()

    asyncio.run(scenario())


@pytest.mark.parametrize("then", ["ask", "go_on", "stop"])
def test_one_that_could_not_be_saved_at_its_end_bars_nothing_once_there_is_room(
    store: ConversationStore, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    def full(message: Message) -> Message:
        raise StoreError("The disk is full.")

    async def scenario() -> None:
        jobs, message = registry(store), begun(store)
        with monkeypatch.context() as patched:
            patched.setattr(store, "finish", full)
            jobs.start("", message, broken)
            assert "could not be saved" in (await ended(jobs, message)).error
        assert store.message("", "r").state == "live"
        asker = Asker(store, jobs)
        if then == "ask":
            assert (await asker.ask("", message.conversation, "And then?")).question.parent == "r"
        elif then == "go_on":
            assert (await asker.go_on("", "r")).state == "live"
        else:
            assert await jobs.stop_or_settle("", "r") is False
        await jobs.stop_all()

    asyncio.run(scenario())
    assert store.message("", "r").state == "interrupted"


def test_one_that_could_not_be_saved_at_its_end_is_opened_as_ended_and_one_that_has_not_begun_is_not(
    store: ConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(message: Message) -> Message:
        raise StoreError("The disk is full.")

    async def scenario() -> None:
        jobs, message = registry(store), begun(store)
        assert opened(jobs, "", message.conversation).path[-1].state == "live"
        monkeypatch.setattr(store, "finish", full)
        jobs.start("", message, broken)
        await ended(jobs, message)
        shown = opened(jobs, "", message.conversation).path[-1]
        assert (shown.state, shown.error) == ("failed", "The end of this reply could not be saved.")

    asyncio.run(scenario())


def test_what_runs_when_the_server_ends_is_interrupted_and_nothing_starts_then(store: ConversationStore) -> None:
    async def scenario() -> None:
        jobs, message = registry(store), begun(store)
        jobs.start("", message, endless)
        with pytest.raises(InvalidRequestError, match="already"):
            jobs.start("", message, endless)
        live = jobs.live("r")
        assert live is not None
        async with asyncio.timeout(60):
            while not live.reasoning:
                await asyncio.sleep(0.01)
        await jobs.stop_all()
        with pytest.raises(InvalidRequestError, match="shutting down"):
            jobs.start("", message, endless)

    asyncio.run(scenario())
    left = store.message("", "r")
    assert left.state == "interrupted" and left.reasoning.startswith("0 ")
