"""Messages as a tree in the conversation file: what SQL knows of them, within somebody else's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from ...serve.errors import NotFoundError
from .records import Group, Message
from .rows import GROUP, MESSAGE, group_of, message_of, message_row

PATH = f"""
WITH RECURSIVE up (step, at) AS (
    SELECT 0, ?1 UNION ALL SELECT step + 1, m.parent FROM up JOIN messages AS m ON m.id = at WHERE m.parent IS NOT NULL
) SELECT {MESSAGE} FROM up CROSS JOIN messages ON id = at ORDER BY step DESC
"""
# Nothing is older than what it follows, so the newest of all below is a leaf.
BELOW = """
WITH RECURSIVE down (row, id) AS (
    SELECT row, id FROM messages WHERE id = ?1
    UNION ALL SELECT m.row, m.id FROM down JOIN messages AS m ON m.parent = down.id
) SELECT id FROM down ORDER BY row DESC LIMIT 1
"""


def message(connection: sqlite3.Connection, message_id: str) -> Message:
    """Raises NotFoundError."""
    row = connection.execute(f"SELECT {MESSAGE} FROM messages WHERE id = ?", (message_id,)).fetchone()
    if row is None:
        raise _no_message(message_id)
    return _whole(connection, row)


def path(connection: sqlite3.Connection, leaf: str) -> list[Message]:
    """Root first; empty where there is no such leaf."""
    return [_whole(connection, row) for row in connection.execute(PATH, (leaf,)).fetchall()]


def messages(connection: sqlite3.Connection, conversation_id: str) -> list[Message]:
    """Oldest first."""
    rows = connection.execute(f"SELECT {MESSAGE} FROM messages WHERE conversation = ? ORDER BY row", (conversation_id,))
    return [_whole(connection, row) for row in rows.fetchall()]


def children(connection: sqlite3.Connection, conversation_id: str, parent: str | None) -> list[str]:
    """Ids, oldest first; of a conversation's first messages with None."""
    rows = connection.execute(
        "SELECT id FROM messages WHERE conversation = ? AND parent IS ? ORDER BY row", (conversation_id, parent)
    )
    return [row["id"] for row in rows]


def leaf_below(connection: sqlite3.Connection, message_id: str) -> str:
    """Raises NotFoundError."""
    row = connection.execute(BELOW, (message_id,)).fetchone()
    if row is None:
        raise _no_message(message_id)
    return str(row["id"])


def group(connection: sqlite3.Connection, group_id: str) -> Group:
    """Raises NotFoundError."""
    row = connection.execute(f"SELECT {GROUP} FROM groups WHERE id = ?", (group_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"There is no group {group_id[:64]}.")
    return group_of(row)


def groups(connection: sqlite3.Connection, conversation_id: str) -> list[Group]:
    """Oldest first."""
    rows = connection.execute(f"SELECT {GROUP} FROM groups WHERE conversation = ? ORDER BY rowid", (conversation_id,))
    return [group_of(row) for row in rows]


def open_groups(connection: sqlite3.Connection) -> list[tuple[str, Group]]:
    """Owner and group where it is not recorded what its replies came to, and none of them is live."""
    columns = ", ".join(f"g.{name}" for name in GROUP.split(", "))
    rows = connection.execute(
        f"SELECT c.owner, {columns} FROM groups AS g JOIN conversations AS c ON c.id = g.conversation"
        " WHERE c.deleted IS NULL AND json_extract(g.report, '$.over') IS NOT TRUE AND NOT EXISTS"
        " (SELECT 1 FROM messages AS m WHERE m.state = 'live' AND m.conversation = g.conversation)"
    )
    return [(fields.pop("owner"), group_of(fields)) for fields in map(dict, rows)]


def check_home(connection: sqlite3.Connection, message_id: str, conversation_id: str) -> None:
    """Raises NotFoundError where the message is not of the conversation."""
    row = connection.execute("SELECT conversation FROM messages WHERE id = ?", (message_id,)).fetchone()
    if row is None or row["conversation"] != conversation_id:
        raise _no_message(message_id)


def overwrite(connection: sqlite3.Connection, message: Message, writer: str) -> None:
    """The whole record, and no pieces any more. Raises NotFoundError."""
    row = message_row(message) | {"writer": writer if message.state == "live" else None}
    columns = ", ".join(f"{name} = :{name}" for name in row)
    if not connection.execute(f"UPDATE messages SET {columns} WHERE id = :id", row).rowcount:
        raise _no_message(message.id)
    connection.execute("DELETE FROM pieces WHERE message = ?", (message.id,))


def interrupt(connection: sqlite3.Connection, is_left: Callable[[str, str | None], bool]) -> None:
    """Joins the pieces of live replies that are left, by their id and writer; they will not go on by themselves."""
    live = f"SELECT {MESSAGE}, writer FROM messages WHERE state = 'live'"
    for row in connection.execute(live).fetchall():
        if is_left(row["id"], row["writer"]):
            left = _whole(connection, row)
            overwrite(connection, msgspec.structs.replace(left, state="interrupted"), "")


def _whole(connection: sqlite3.Connection, row: sqlite3.Row) -> Message:
    """With what came since the record was written."""
    found = message_of(row)
    if found.state != "live":
        return found
    pieces = connection.execute(
        "SELECT reasoning, content FROM pieces WHERE message = ? ORDER BY row", (found.id,)
    ).fetchall()
    return msgspec.structs.replace(
        found,
        reasoning=found.reasoning + "".join(piece["reasoning"] for piece in pieces),
        content=found.content + "".join(piece["content"] for piece in pieces),
    )


def _no_message(message_id: str) -> NotFoundError:
    return NotFoundError(f"There is no message {message_id[:64]}.")
