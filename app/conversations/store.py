"""The conversations of all owners in one SQLite file: each write is on disk when its call returns.

Any thread may call. A reply that is being written grows by pieces, so that each costs the same however long it is.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ...serve.errors import InvalidRequestError, NotFoundError
from . import search, tree
from .database import Database
from .mending import finish
from .records import Conversation, Group, Message, Settings
from .rows import CONVERSATION, conversation_of, conversation_row, group_row, insert, message_row, stored
from .search import Hit, Where
from .writers import Writer

TITLE_CHARS = 80
# Later than any time, and its negative earlier.
FAR = 2.0**62
UNDO_S = 7 * 24 * 3600
T = TypeVar("T")
CHANGES = frozenset({"title", "pinned", "collects", "head", "settings"})
GROUP_CHANGES = frozenset({"gold", "report"})


def new_id() -> str:
    """A name for a conversation, message or group that nobody can guess."""
    return secrets.token_urlsafe(12)


class ConversationStore:
    """Conversations in the file at `path`. Replies that a dead process left live are interrupted then.

    Every call raises StoreError where the file fails, and NotFoundError for what is not there, is deleted, or
    is not the owner's.
    """

    def __init__(self, path: Path) -> None:
        finish(path)
        self._db = Database(path)
        self._thread = ThreadPoolExecutor(1, "writes")
        with self._db.write() as connection:
            self._writer = Writer(path)
            gone = connection.execute("DELETE FROM conversations WHERE deleted < ?", (time.time() - UNDO_S,)).rowcount
            if gone:
                search.forget_deleted(connection)
        if gone:
            self._db.shed_log()
        self.settle()

    @property
    def database(self) -> Database:
        """The file itself, for what keeps tables of its own in it."""
        return self._db

    def close(self) -> None:
        """Ends it; a reply that is still live will be found interrupted."""
        self._thread.shutdown()
        self._writer.close()
        self._db.close()

    async def on_own_thread(self, write: Callable[..., T], *args: Any) -> T:
        """`write(*args)`, for who writes often: while the file is locked, waiting writes leave the threads that all
        else is done on alone.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, write, *args)

    # conversations

    def create(self, owner: str, settings: Settings | None = None) -> Conversation:
        """An empty one, without a title."""
        now = time.time()
        made = Conversation(id=new_id(), owner=owner, created=now, updated=now, settings=settings or Settings())
        with self._db.write() as connection:
            insert(connection, "conversations", conversation_row(made))
        return made

    def get(self, owner: str, conversation_id: str) -> Conversation:
        with self._db.read() as connection:
            return _conversation(connection, owner, conversation_id)

    def update(self, owner: str, conversation_id: str, **changes: Any) -> Conversation:
        """`changes`: title, pinned, collects, head (a message of it), settings."""
        _check_names(changes, CHANGES)
        with self._db.write() as connection:
            conversation = _conversation(connection, owner, conversation_id)
            if changes.get("head") is not None:
                tree.check_home(connection, changes["head"], conversation_id)
            if "title" in changes:
                changes["title"] = stored(" ".join(str(changes["title"]).split()))[:TITLE_CHARS]
            changed = msgspec.structs.replace(conversation, **changes)
            _set(connection, "conversations", conversation_id, conversation_row(changed), changes)
        return changed

    def delete(self, owner: str, conversation_id: str) -> None:
        """`restore` brings it back for UNDO_S."""
        with self._db.write() as connection:
            _conversation(connection, owner, conversation_id)
            connection.execute("UPDATE conversations SET deleted = ? WHERE id = ?", (time.time(), conversation_id))

    def restore(self, owner: str, conversation_id: str) -> Conversation:
        """As it was; what is not deleted stays."""
        with self._db.write() as connection:
            connection.execute(
                "UPDATE conversations SET deleted = NULL WHERE id = ? AND owner = ?", (conversation_id, owner)
            )
            return _conversation(connection, owner, conversation_id)

    def deleted(self, owner: str, limit: int = 200) -> list[Conversation]:
        """Those that `restore` brings back, the one deleted last first."""
        with self._db.read() as connection:
            rows = connection.execute(
                f"SELECT {CONVERSATION} FROM conversations WHERE owner = ? AND deleted IS NOT NULL"
                " ORDER BY deleted DESC LIMIT ?",
                (owner, limit),
            )
            return [conversation_of(row) for row in rows]

    # messages

    def add(self, message: Message) -> Message:
        """It becomes the head; the first line of the first question becomes the title where there is none."""
        with self._db.write() as connection:
            return self._add(connection, message)

    def _add(self, connection: sqlite3.Connection, message: Message) -> Message:
        self._insert(connection, message)
        title = _first_line(message.content) if message.role == "user" else ""
        connection.execute(
            "UPDATE conversations SET head = ?, updated = ?, title = iif(title = '', ?, title) WHERE id = ?",
            (message.id, time.time(), title, message.conversation),
        )
        return message

    def append(self, message_id: str, reasoning: str, content: str) -> None:
        """What came of a live reply since the last call."""
        with self._db.write() as connection:
            try:
                connection.execute(
                    "INSERT INTO pieces (message, reasoning, content) VALUES (?, ?, ?)",
                    (message_id, stored(reasoning), stored(content)),
                )
            except sqlite3.IntegrityError as error:
                raise NotFoundError(f"There is no message {message_id[:64]}.") from error

    def finish(self, message: Message) -> Message:
        """The whole record takes the place of what was kept so far, whatever its state."""
        with self._db.write() as connection:
            tree.overwrite(connection, message, self._writer.id)
            connection.execute("UPDATE conversations SET updated = ? WHERE id = ?", (time.time(), message.conversation))
        return message

    def reopen(self, message_id: str) -> Message:
        """The reply is live again and grows behind what it has. Raises InvalidRequestError where it is already."""
        with self._db.write() as connection:
            message = tree.message(connection, message_id)
            if message.state == "live":
                raise InvalidRequestError("The reply is being written already.")
            message = msgspec.structs.replace(message, state="live")
            tree.overwrite(connection, message, self._writer.id)
        return message

    def settle(self, message_id: str = "") -> None:
        """Interrupts live replies whose process has ended, and `message_id` if it is this one's. Cheap without any."""
        left = "SELECT 1 FROM messages WHERE state = 'live' AND (writer IS NOT ? OR id = ?)"
        with self._db.read() as connection:
            if connection.execute(left, (self._writer.id, message_id)).fetchone() is None:
                return
        with self._db.write() as connection:
            others, own = self._writer.others(), self._writer.id
            tree.interrupt(connection, lambda name, by: by not in others and (by != own or name == message_id))

    def message(self, owner: str, message_id: str) -> Message:
        with self._db.read() as connection:
            message = tree.message(connection, message_id)
            _conversation(connection, owner, message.conversation)
            return message

    def path(self, owner: str, conversation_id: str, leaf: str | None = None) -> list[Message]:
        """From the first message to `leaf`, or to the head; empty where nothing was said."""
        with self._db.read() as connection:
            head = _conversation(connection, owner, conversation_id).head
            if leaf is not None:
                tree.check_home(connection, leaf, conversation_id)
            return tree.path(connection, leaf or head or "")

    def messages(self, owner: str, conversation_id: str) -> list[Message]:
        """The whole tree, oldest first."""
        with self._db.read() as connection:
            _conversation(connection, owner, conversation_id)
            return tree.messages(connection, conversation_id)

    def whole(self, owner: str, conversation_id: str) -> tuple[Conversation, list[Message], list[Group]]:
        """All of it as it was at one moment, in the order of add_all()."""
        with self._db.read() as connection:
            conversation = _conversation(connection, owner, conversation_id)
            return conversation, tree.messages(connection, conversation_id), tree.groups(connection, conversation_id)

    def siblings(self, message: Message) -> list[str]:
        """The ids of all that answer the same message, itself among them, oldest first."""
        with self._db.read() as connection:
            return tree.children(connection, message.conversation, message.parent)

    def leaf_below(self, message_id: str) -> str:
        """The newest leaf under it, or itself."""
        with self._db.read() as connection:
            return tree.leaf_below(connection, message_id)

    # groups, imports, search

    def add_group(self, group: Group, replies: Iterable[Message] = ()) -> Group:
        """With its replies, all or nothing; the last becomes the head."""
        with self._db.write() as connection:
            insert(connection, "groups", group_row(group))
            for reply in replies:
                self._add(connection, reply)
        return group

    def update_group(self, group_id: str, **changes: Any) -> Group:
        """`changes`: report, gold."""
        _check_names(changes, GROUP_CHANGES)
        with self._db.write() as connection:
            changed = msgspec.structs.replace(tree.group(connection, group_id), **changes)
            _set(connection, "groups", group_id, group_row(changed), changes)
        return changed

    def group(self, owner: str, group_id: str) -> Group:
        with self._db.read() as connection:
            group = tree.group(connection, group_id)
            _conversation(connection, owner, group.conversation)
            return group

    def groups(self, owner: str, conversation_id: str) -> list[Group]:
        """All of the conversation."""
        with self._db.read() as connection:
            _conversation(connection, owner, conversation_id)
            return tree.groups(connection, conversation_id)

    def open_groups(self) -> list[tuple[str, Group]]:
        """Of all owners, those that ended with a server before it was recorded what came of them."""
        with self._db.read() as connection:
            return tree.open_groups(connection)

    def add_all(self, wholes: Iterable[tuple[Conversation, list[Message], list[Group]]]) -> None:
        """All or nothing, as they are; parents stand before what follows them."""
        with self._db.write() as connection:
            for conversation, messages, groups in wholes:
                self._insert_whole(connection, conversation, messages, groups)

    def search(self, owner: str, text: str, where: Where = "answers", limit: int = 50) -> list[Hit]:
        """Whatever is typed: words, the last perhaps only begun. Titles are found with the answers."""
        with self._db.read() as connection:
            return search.find(connection, owner, text, where, limit)

    # Behind every signature that means the type by this name.
    def list(self, owner: str, limit: int = 200, before: float | None = None) -> list[Conversation]:
        """Newest first: the pinned ones, all of them, and `limit` others; with `before` only others, older than that.

        Those changed in the same instant as the last come with it, so that its `updated` leads to the next page.
        """
        shown = f"SELECT {CONVERSATION} FROM conversations WHERE owner = :owner AND deleted IS NULL AND pinned ="
        others = "SELECT updated FROM conversations WHERE owner = :owner AND deleted IS NULL AND pinned = 0"
        until = FAR if before is None else before
        values = {"owner": owner, "until": until, "skip": max(0, limit - 1)}
        with self._db.read() as connection:
            pinned = f"{shown} 1 ORDER BY updated DESC" if before is None else f"{shown} 1 LIMIT 0"
            last = connection.execute(
                f"{others} AND updated < :until ORDER BY updated DESC LIMIT 1 OFFSET :skip", values
            ).fetchone()
            values["since"] = last["updated"] if last else -FAR
            rest = f"{shown} 0 AND updated < :until AND updated >= :since ORDER BY updated DESC"
            return [conversation_of(row) for part in (pinned, rest) for row in connection.execute(part, values)]

    def _insert_whole(
        self,
        connection: sqlite3.Connection,
        conversation: Conversation,
        messages: Sequence[Message],
        groups: Sequence[Group],
    ) -> None:
        try:
            insert(connection, "conversations", conversation_row(conversation))
            for message in messages:
                self._insert(connection, message)
            for group in groups:
                insert(connection, "groups", group_row(group))
        except sqlite3.IntegrityError as error:
            raise InvalidRequestError(f"These messages make no conversation: {error}.") from error
        if conversation.head is not None:
            tree.check_home(connection, conversation.head, conversation.id)

    def _insert(self, connection: sqlite3.Connection, message: Message) -> None:
        if message.parent is not None:
            tree.check_home(connection, message.parent, message.conversation)
        writer = self._writer.id if message.state == "live" else None
        try:
            insert(connection, "messages", message_row(message) | {"writer": writer})
        except sqlite3.IntegrityError as error:
            raise NotFoundError(f"There is no conversation {message.conversation[:64]} to add to.") from error


def _conversation(connection: sqlite3.Connection, owner: str, conversation_id: str) -> Conversation:
    row = connection.execute(
        f"SELECT {CONVERSATION} FROM conversations WHERE id = ? AND owner = ? AND deleted IS NULL",
        (conversation_id, owner),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"There is no conversation {conversation_id[:64]}.")
    return conversation_of(row)


def _set(connection: sqlite3.Connection, table: str, row_id: str, row: dict[str, Any], names: dict[str, Any]) -> None:
    if names:
        columns = ", ".join(f"{name} = :{name}" for name in names)
        connection.execute(f"UPDATE {table} SET {columns} WHERE id = :id", row | {"id": row_id})


def _check_names(changes: dict[str, Any], known: frozenset[str]) -> None:
    if strange := changes.keys() - known:
        raise InvalidRequestError(f"{min(strange)[:64]} cannot be changed.", param=min(strange)[:64])


def _first_line(text: str) -> str:
    line = stored(next((" ".join(line.split()) for line in text.splitlines() if line.strip()), ""))
    return line if len(line) <= TITLE_CHARS else f"{line[: TITLE_CHARS - 1].rstrip()}…"
