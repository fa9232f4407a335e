"""Thousands of conversations cost no more than a few: counted in SQLite's own steps, not in seconds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from r1chat.app.conversations.records import Conversation, Message
from r1chat.app.conversations.rows import conversation_row, insert, message_row
from r1chat.app.conversations.store import ConversationStore

FEW, MANY = 60, 3000
TURNS = 3
STEP = 10
PLANNED = ("SELECT", "WITH", "UPDATE", "DELETE")

Use = Callable[[ConversationStore], object]


def filled(path: Path, n: int) -> ConversationStore:
    """`n` conversations c0, c1 ... of an owner, with a thought in each reply; the last has a live reply."""
    store = ConversationStore(path)
    with store._db.write() as connection:
        for c in range(n):
            kept = Conversation(id=f"c{c}", owner="o", title=f"title {c}", updated=float(c), pinned=c == 0)
            insert(connection, "conversations", conversation_row(kept))
            for m in range(2 * TURNS):
                _insert_message(connection, c, m)
            connection.execute("UPDATE conversations SET head = ? WHERE id = ?", (f"c{c}-{2 * TURNS - 1}", f"c{c}"))
    store.reopen(f"c5-{2 * TURNS - 1}")
    return store


def _insert_message(connection: sqlite3.Connection, c: int, m: int) -> None:
    message = Message(
        id=f"c{c}-{m}",
        conversation=f"c{c}",
        parent=f"c{c}-{m - 1}" if m else None,
        role="assistant" if m % 2 else "user",
        content=f"word about {c} and {m}",
        reasoning=f"wait, {c}" if m % 2 else "",
    )
    insert(connection, "messages", message_row(message))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ConversationStore, ConversationStore]]:
    folder = tmp_path_factory.mktemp("scale")
    few, many = filled(folder / "few.sqlite", FEW), filled(folder / "many.sqlite", MANY)
    yield few, many
    few.close()
    many.close()


@contextmanager
def counted(store: ConversationStore) -> Iterator[list[int]]:
    """How many steps SQLite's machine took, on both connections."""
    steps = [0]

    def count() -> int:
        steps[0] += STEP
        return 0

    for connection in (store._db._reader, store._db._writer):
        connection.set_progress_handler(count, STEP)
    yield steps
    for connection in (store._db._reader, store._db._writer):
        connection.set_progress_handler(None, 0)


USES: dict[str, Use] = {
    "list": lambda store: store.list("o", 30),
    "next page": lambda store: store.list("o", 30, before=40.0),
    "get": lambda store: store.get("o", "c7"),
    "path": lambda store: store.path("o", "c7"),
    "path to a leaf": lambda store: store.path("o", "c7", "c7-3"),
    "message": lambda store: store.message("o", "c7-3"),
    "tree": lambda store: store.messages("o", "c7"),
    "siblings": lambda store: store.siblings(store.message("o", "c7-3")),
    "first messages": lambda store: store.siblings(store.message("o", "c7-0")),
    "leaf below": lambda store: store.leaf_below("c7-0"),
    "groups": lambda store: store.groups("o", "c7"),
    "append": lambda store: store.append("c5-5", "a ", "b"),
    "rename": lambda store: store.update("o", "c7", title="renamed"),
    "finish": lambda store: store.finish(msgspec.structs.replace(store.message("o", "c9-5"), content="another")),
    "search": lambda store: store.search("o", "word", limit=20),
    "search in thoughts": lambda store: store.search("o", "wait", "thoughts", limit=20),
    "delete": lambda store: store.delete("o", "c8"),
    "restore": lambda store: store.restore("o", "c8"),
}


@pytest.mark.parametrize("name", USES)
def test_fifty_times_as_many_conversations_cost_the_same_steps(
    stores: tuple[ConversationStore, ConversationStore], name: str
) -> None:
    costs = []
    for store in stores:
        with counted(store) as steps:
            USES[name](store)
        costs.append(steps[0])
    # The trees of an index have one level more.
    assert costs[1] <= 1.25 * costs[0] + 100


@pytest.mark.parametrize("name", sorted(USES.keys() - {"append"}))
def test_every_query_goes_through_an_index(stores: tuple[ConversationStore, ConversationStore], name: str) -> None:
    store = stores[0]
    connections = store._db._reader, store._db._writer
    asked: list[str] = []
    for connection in connections:
        connection.set_trace_callback(asked.append)
    USES[name](store)
    for connection in connections:
        connection.set_trace_callback(None)
    plans = [_plan(store, statement) for statement in asked if statement.split()[0] in PLANNED]
    assert plans
    for line in (line for plan in plans for line in plan):
        is_of_an_index = "VIRTUAL TABLE INDEX" in line or line in ("SCAN up", "SCAN down", "SCAN CONSTANT ROW")
        assert is_of_an_index or not line.startswith("SCAN"), plans


def _plan(store: ConversationStore, statement: str) -> list[str]:
    return [str(row["detail"]) for row in store._db._reader.execute(f"EXPLAIN QUERY PLAN {statement}")]


def test_a_piece_of_a_long_reply_costs_what_one_of_a_short_one_does(tmp_path: Path) -> None:
    store = filled(tmp_path / "c.sqlite", 6)
    costs = []
    for n in range(400):
        with counted(store) as steps:
            store.append("c5-5", f"piece {n} " * 20, "")
        costs.append(steps[0])
    assert max(costs) <= costs[0] + 50
    assert store.message("o", "c5-5").reasoning.count("piece 399") == 20
    store.close()
