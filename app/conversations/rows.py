"""Records to rows of the conversation file and back."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from .records import Conversation, Group, Message, Settings

CONVERSATION = "id, owner, title, created, updated, pinned, collects, head, settings"
MESSAGE = "id, conversation, parent, role, state, content, reasoning, details"
GROUP = "id, conversation, kind, gold, report"
# Fields of a message that have columns of their own; the others lie together in `details`.
COLUMNS = frozenset(MESSAGE.split(", ")) - {"details"}


def stored(text: str) -> str:
    """The text as SQLite takes it: half a surrogate pair has no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def conversation_row(conversation: Conversation) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(conversation),
        "title": stored(conversation.title),
        "settings": msgspec.json.encode(conversation.settings).decode(),
    }


def conversation_of(row: sqlite3.Row) -> Conversation:
    fields = dict(row) | {"pinned": bool(row["pinned"]), "collects": bool(row["collects"])}
    return Conversation(**fields | {"settings": msgspec.json.decode(row["settings"], type=Settings)})


def message_row(message: Message) -> dict[str, Any]:
    """Of a live message `writer` is missing yet."""
    fields = msgspec.structs.asdict(message)
    details = {name: value for name, value in fields.items() if name not in COLUMNS}
    return {name: fields[name] for name in COLUMNS} | {
        "content": stored(message.content),
        "reasoning": stored(message.reasoning),
        "details": msgspec.json.encode(details).decode(),
    }


def message_of(row: sqlite3.Row) -> Message:
    fields = dict(row)
    return msgspec.convert(msgspec.json.decode(fields.pop("details")) | fields, Message)


def group_row(group: Group) -> dict[str, Any]:
    fields = msgspec.structs.asdict(group)
    return fields | {"gold": stored(group.gold), "report": msgspec.json.encode(group.report).decode()}


def group_of(row: sqlite3.Row | dict[str, Any]) -> Group:
    return msgspec.convert(dict(row) | {"report": msgspec.json.decode(row["report"])}, Group)


def insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    """The names are this package's own, the values are bound."""
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)
