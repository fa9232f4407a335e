"""kill -9 of a real server while it answers: what was acknowledged is there afterwards, and the file is whole.

R1CHAT_TEST_KILLS sets how often; a kill costs a start of the server.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from served import Served, served

KILLS = int(os.environ.get("R1CHAT_TEST_KILLS", "1"))
# From the question to the kill, or from the first text, by turns: before the first token, or anywhere in what follows.
KILL_AFTER_S = (0.0, 2.0)
# Pieces are saved every 0.3 s; a busy machine is late, its disk above all.
MAX_LOST_S = 10.0


@dataclass
class Reply:
    """What a client saw of one reply, and when each part of it came."""

    id: str
    conversation: str
    parts: list[tuple[float, str]] = field(default_factory=list)
    ended: dict[str, Any] | None = None

    def seen(self, until: float = float("inf")) -> str:
        return "".join(text for when, text in self.parts if when <= until)


class Person:
    """Asks one server after the other, and remembers everything that was acknowledged."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        self.replies: dict[str, Reply] = {}
        self.titles: dict[str, str] = {}

    def use(self, server: Served, number: int, rng: random.Random) -> float:
        """A short reply to its end and a long one; when the server was killed in the midst of it."""
        with httpx2.Client(base_url=server.url(), timeout=30, trust_env=False) as client:
            short = self._ask(client, f"short {number}", None, max_tokens=8)
            self._follow(client, short)
            self._rename(client, short.conversation, f"renamed {number}")
            long = self._ask(client, f"long {number}", rng.choice([None, short.conversation]), max_tokens=200_000)
            killer = threading.Timer(rng.uniform(*KILL_AFTER_S), server.process.kill)
            if number % 2:
                killer.start()
            # The stream breaks off; a reply that came to its own end before is followed by another.
            with suppress(httpx2.TransportError):
                while True:
                    self._follow(client, long, killer)
                    assert killer.ident is not None, "no text was shown"
                    long = self._ask(client, f"long {number}", None, max_tokens=200_000)
            killer.join()
            return time.monotonic()

    def _ask(self, client: httpx2.Client, text: str, conversation: str | None, *, max_tokens: int) -> Reply:
        body = {"conversation": conversation, "text": text, "settings": {"max_tokens": max_tokens}}
        asked = client.post("/page/ask", json=body).raise_for_status().json()
        self.messages[asked["question"]["id"]] = text
        reply = Reply(asked["reply"]["id"], asked["conversation"]["id"])
        self.replies[reply.id] = reply
        return reply

    def _rename(self, client: httpx2.Client, conversation: str, title: str) -> None:
        client.patch(f"/page/conversations/{conversation}", json={"title": title}).raise_for_status()
        self.titles[conversation] = title

    def _follow(self, client: httpx2.Client, reply: Reply, killer: threading.Timer | None = None) -> None:
        with client.stream("GET", f"/page/conversations/{reply.conversation}/events") as response:
            for event in _events(response):
                for text in _texts_of(event, reply.id):
                    reply.parts.append((time.monotonic(), text))
                    if text and killer is not None and killer.ident is None:
                        killer.start()
                if event["type"] == "message" and event["message"]["id"] == reply.id:
                    reply.ended = event["message"]
                    return
                if event["type"] == "open" and event["path"][-1]["state"] != "live":
                    reply.ended = event["path"][-1]
                    return


def _events(response: httpx2.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def _texts_of(event: dict[str, Any], reply_id: str) -> Iterator[str]:
    if event["type"] == "open" and event["path"][-1]["id"] == reply_id:
        yield event["path"][-1].get("reasoning", "")
    if event["type"] == "deltas":
        yield from (delta.get("reasoning", "") for delta in event["replies"] if delta["id"] == reply_id)


def integrity(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        for index in ("found_titles", "found_answers", "found_thoughts"):
            connection.execute(f"INSERT INTO {index} ({index}) VALUES ('integrity-check')")
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def check_all_is_there(server: Served, person: Person) -> None:
    with httpx2.Client(base_url=server.url(), timeout=30, trust_env=False) as client:
        for message_id, text in person.messages.items():
            assert client.get(f"/page/messages/{message_id}").json()["content"] == text
        for reply in person.replies.values():
            kept = client.get(f"/page/messages/{reply.id}").json()
            # one that was saved as ended may not have been told of as such
            ends = (reply.ended["state"],) if reply.ended else ("interrupted", "done")
            assert kept["state"] in ends, reply.id
            # Saved and shown are ahead of each other by turns.
            assert kept["reasoning"].startswith(reply.seen()) or reply.seen().startswith(kept["reasoning"])
        for conversation, title in person.titles.items():
            assert client.get(f"/page/conversations/{conversation}").json()["conversation"]["title"] == title


def _group_ends(group: int) -> bool:
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_after_kill_9_in_mid_answer_everything_acknowledged_is_there(endless_model: Path, tmp_path: Path) -> None:
    rng, person, path = random.Random(9), Person(), tmp_path / "conversations.sqlite"
    lost: list[float] = []
    for number in range(KILLS + 1):
        arguments = ["serve", "--model", str(endless_model), "--data", str(tmp_path), "--ctx", "32768"]
        with served(*arguments, "--threads", "1") as server:
            check_all_is_there(server, person)
            if number == KILLS:
                break
            killed = person.use(server, number, rng)
            server.process.wait()
            assert _group_ends(server.process.pid), "the engine outlives its server"
        assert integrity(path) == "ok"
        lost.append(_lost_s(path, list(person.replies.values())[-1], killed))
    assert sum(reply.ended is None and bool(reply.seen()) for reply in person.replies.values()) > KILLS // 3
    print(f"{KILLS} kills, {len(person.messages)} questions; seconds of text lost: at most {max(lost):.2f}")
    assert max(lost) <= MAX_LOST_S


def _lost_s(path: Path, reply: Reply, killed: float) -> float:
    """How long before the kill the last text was shown that was not saved."""
    if reply.ended is not None:
        return 0.0  # its pieces have been joined
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT reasoning FROM pieces WHERE message = ? ORDER BY row", (reply.id,)).fetchall()
    n_saved, n_shown = sum(len(row[0]) for row in rows), 0
    for when, text in reply.parts:
        n_shown += len(text)
        if n_shown > n_saved:
            return killed - when
    return 0.0
