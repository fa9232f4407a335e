"""Looks whether a conversation file is whole, and saves what can be read of one that is not.

For `r1chat doctor`. The damaged file is set aside, never changed.
"""

from __future__ import annotations

import glob
import json
import os
import shlex
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .database import BARRED, BUSY, Database, StoreError, failures
from .records import Conversation
from .rows import CONVERSATION, GROUP, MESSAGE, conversation_row, insert
from .writers import living

# SQLite's own files beside the file; a new one must not find the old one's.
BESIDE = ("-wal", "-shm")
# Of a table with damaged pages, how many row numbers are tried that nothing names.
MANY_ROWS = 1_000_000
# Tables that refer to no other.
APART = ("stars", "defaults")
FOUND = "Found in a damaged file"
HEADS = """
UPDATE conversations
SET head = (SELECT id FROM messages WHERE conversation = conversations.id ORDER BY row DESC LIMIT 1)
WHERE head IS NULL OR head NOT IN (SELECT id FROM messages)
"""
# A group without all of its replies is none, and replies without their group stand alone.
GROUPS = """
DELETE FROM groups
WHERE EXISTS (SELECT 1 FROM json_each(report, '$.replies') WHERE value NOT IN (SELECT id FROM messages))
"""
UNGROUPED = """
UPDATE messages SET details = json_set(details, '$.group', NULL)
WHERE json_extract(details, '$.group') NOT IN (SELECT id FROM groups)
"""


@dataclass(frozen=True)
class Contents:
    """How many of each; `problem` is SQLite's first complaint, "" where the file is whole."""

    conversations: int = 0
    messages: int = 0
    problem: str = ""


def look(path: Path) -> Contents:
    """Reads the whole file, and changes nothing. Takes about a second for each 100 MB.

    Raises StoreError where the file may not be read, or not now: that is no damage.
    """
    with failures(path):
        try:
            with closing(_reading(path)) as connection:
                problem = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
                n_conversations, n_messages = (
                    connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                    for table in ("conversations", "messages")
                )
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "").startswith((*BARRED, *BUSY)):
                raise
            return Contents(problem=str(error))
    return Contents(n_conversations, n_messages, "" if problem == "ok" else problem)


def mend(path: Path) -> tuple[Contents, Path]:
    """Makes a file of what can be read of this one, then sets this one aside for it: how much that was, and where the
    old one lies.

    Whatever stops it before leaves the file where it was; behind that, finish() does what a kill broke off. Raises
    StoreError, also where another process has it open.
    """
    if living(path):
        name = shlex.quote(str(path))
        raise StoreError(f"{path} is open in another r1chat. See in which, and stop that first: fuser -v {name}")
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    fresh = _fresh(path)
    with failures(path):
        try:
            _remove(fresh)  # a kill may have left one
            saved = _saved(path, fresh)
        except BaseException:
            _remove(fresh)
            raise
        path.rename(aside)
        finish(path)
    return saved, aside


def unfinished(path: Path) -> Path | None:
    """Where a damaged file was set aside that has no new one in its place yet."""
    if os.path.exists(path) or not os.path.exists(_fresh(path)):
        return None
    return max(path.parent.glob(f"{glob.escape(path.name)}.damaged-*[0-9]"), default=None)


def finish(path: Path) -> None:
    """Puts the new file in its place, where that is still to be done. To be called before the file is opened."""
    if (aside := unfinished(path)) is None:
        return
    with failures(path):
        for ending in BESIDE:
            beside = Path(f"{path}{ending}")
            if beside.exists():
                beside.rename(Path(f"{aside}{ending}"))
        _fresh(path).rename(path)


def _fresh(path: Path) -> Path:
    return path.with_name(f".{path.name}.mending")


def _saved(path: Path, fresh: Path) -> Contents:
    new = Database(fresh)
    try:
        with closing(_reading(path)) as old, new.write() as connection:
            return _copy(old, connection)
    finally:
        new.close()


def _remove(path: Path) -> None:
    for ending in ("", *BESIDE):
        Path(f"{path}{ending}").unlink(missing_ok=True)


def _reading(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path.resolve().as_uri() + "?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    return connection


def _copy(old: sqlite3.Connection, new: sqlite3.Connection) -> Contents:
    """Messages whose parent is lost begin their conversation anew; those whose conversation is lost get one."""
    conversations, messages = set(), set()
    for row in _rows(old, f"{CONVERSATION}, deleted", "conversations"):
        if _taken(new, "conversations", _readable(row, "settings")):
            conversations.add(row["id"])
    for row in _rows(old, MESSAGE, "messages"):
        name = row["conversation"]
        if name not in conversations:
            if not _taken(new, "conversations", conversation_row(Conversation(id=name, title=FOUND))):
                continue
            conversations.add(name)
        parent = row["parent"] if row["parent"] in messages else None
        if _taken(new, "messages", _readable(row, "details") | {"parent": parent}):
            messages.add(row["id"])
    for row in _rows(old, "message, reasoning, content", "pieces"):
        if row["message"] in messages:
            _taken(new, "pieces", dict(row))
    for row in _rows(old, GROUP, "groups"):
        if row["conversation"] in conversations:
            _taken(new, "groups", _readable(row, "report"))
    for table in APART:
        for row in _rows(old, "*", table):
            _taken(new, table, dict(row))
    for repair in (HEADS, GROUPS, UNGROUPED):
        new.execute(repair)
    return Contents(len(conversations), len(messages))


def _taken(new: sqlite3.Connection, table: str, row: dict[str, Any]) -> bool:
    """Whether the row went in: one with a spoiled value does not, and must not keep out the others."""
    try:
        insert(new, table, row)
    except sqlite3.IntegrityError:
        return False
    return True


def _readable(row: sqlite3.Row, name: str) -> dict[str, Any]:
    """Its values. What lies in `name` is JSON; where that is damaged, all of it is as if nothing had been said."""
    values = dict(row)
    try:
        json.loads(values[name])
    except (TypeError, ValueError):
        values[name] = "{}"
    return values


def _rows(old: sqlite3.Connection, columns: str, table: str) -> Iterator[sqlite3.Row]:
    """What of the table can be read, one row at a time: a damaged page costs no more than what lies on it."""
    try:
        old.execute(f"EXPLAIN SELECT {columns} FROM {table}")
    except sqlite3.Error:
        return
    for number in _numbers(old, table):
        try:
            row = old.execute(f"SELECT {columns} FROM {table} WHERE rowid = ?", (number,)).fetchone()
        except sqlite3.Error:
            continue
        if row is not None:
            yield row


def _numbers(old: sqlite3.Connection, table: str) -> Iterator[int]:
    """Rising numbers of rows: the next that the table names, or simply the next where a damaged page hides it."""
    number = tried = 0
    statement = f"SELECT rowid FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1"
    while tried < MANY_ROWS:
        try:
            found = old.execute(statement, (number,)).fetchone()
        except sqlite3.Error:
            found = (number,)
        if found is None:
            return
        if found[0] <= number:
            tried += 1
        number = max(found[0], number + 1)
        yield number
