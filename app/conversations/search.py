"""Full-text search in titles, questions and answers or, apart from them, in thoughts."""

from __future__ import annotations

import re
import sqlite3
from typing import Literal

import msgspec

from .records import Role
from .rows import stored

Where = Literal["answers", "thoughts"]
# More words than that say no more, and SQLite parses a query by recursion.
MAX_WORDS = 24
# SQLite takes patterns up to 50 kB.
MAX_LIKE = 1000
# In snippets, round what was found. A text that holds them itself shows a word too many as found.
START, END = "\x02", "\x03"
SNIPPET_WORDS = 16

# Scripts without spaces: the index takes a whole line of them for one word, so texts are read one by one.
NO_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff]")
AROUND = 40

# CROSS JOIN keeps the order: the index first, newest first, and no further than `limit` hits.
MESSAGES = """
SELECT c.id AS conversation, c.title, m.id AS message, m.role, c.updated,
       snippet({index}, 0, ?2, ?3, '…', ?4) AS snippet
FROM {index} AS f CROSS JOIN messages AS m ON m.row = f.rowid CROSS JOIN conversations AS c ON c.id = m.conversation
WHERE {index} MATCH ?1 AND c.owner = ?5 AND c.deleted IS NULL ORDER BY f.rowid DESC LIMIT ?6
"""
TITLES = """
SELECT c.id AS conversation, c.title, NULL AS message, NULL AS role, c.updated,
       snippet(found_titles, 0, ?2, ?3, '…', ?4) AS snippet
FROM found_titles AS f CROSS JOIN conversations AS c ON c.row = f.rowid
WHERE found_titles MATCH ?1 AND c.owner = ?5 AND c.deleted IS NULL ORDER BY f.rowid DESC LIMIT ?6
"""


READ_MESSAGES = """
SELECT c.id AS conversation, c.title, m.id AS message, m.role, c.updated, m.{column} AS snippet
FROM messages AS m CROSS JOIN conversations AS c ON c.id = m.conversation
WHERE c.owner = ?1 AND c.deleted IS NULL AND {tests} ORDER BY m.row DESC LIMIT ?2
"""
READ_TITLES = """
SELECT id AS conversation, title, NULL AS message, NULL AS role, updated, title AS snippet
FROM conversations AS m WHERE owner = ?1 AND deleted IS NULL AND {tests} ORDER BY row DESC LIMIT ?2
"""


INDEXES = ("found_titles", "found_answers", "found_thoughts")


def forget_deleted(connection: sqlite3.Connection) -> None:
    """Merges the indexes: until then they hold the words of texts that are no more."""
    for index in INDEXES:
        connection.execute(f"INSERT INTO {index} ({index}) VALUES ('optimize')")


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """`message` is None where the title was found. The snippet's pieces say which of them were looked for."""

    conversation: str
    title: str
    message: str | None
    role: Role | None
    snippet: list[tuple[str, bool]]
    updated: float


def find(connection: sqlite3.Connection, owner: str, text: str, where: Where, limit: int) -> list[Hit]:
    """Newest first, titles before messages."""
    words = _words(text)
    if not words:
        return []
    if NO_SPACES.search(text):
        return _read(connection, owner, words, where, limit)
    values = (_query(words), START, END, SNIPPET_WORDS, owner)
    if where == "thoughts":
        statements = [MESSAGES.format(index="found_thoughts")]
    else:
        statements = [TITLES, MESSAGES.format(index="found_answers")]
    hits: list[Hit] = []
    for statement in statements:
        rows = connection.execute(statement, (*values, limit - len(hits)))
        hits += [Hit(**dict(row) | {"snippet": _pieces(row["snippet"])}) for row in rows]
    return hits


def _words(text: str) -> list[str]:
    """Those with a letter or digit."""
    words = stored(text).replace('"', " ").replace("\0", " ").split()
    return [word for word in words if any(map(str.isalnum, word))][:MAX_WORDS]


def _query(words: list[str]) -> str:
    """What all must be there, the last word perhaps only begun. Quoted, nothing of it is an operator of FTS5."""
    return " ".join(f'"{word}"' for word in words) + "*"


def _pieces(snippet: str) -> list[tuple[str, bool]]:
    pieces = []
    for number, part in enumerate(snippet.split(START)):
        found, _, rest = part.rpartition(END) if number else ("", "", part)
        pieces += [(found, True), (rest, False)]
    return [piece for piece in pieces if piece[0]]


def _read(connection: sqlite3.Connection, owner: str, words: list[str], where: Where, limit: int) -> list[Hit]:
    """Without the index."""
    parts = (
        [(READ_MESSAGES, "reasoning")] if where == "thoughts" else [(READ_TITLES, "title"), (READ_MESSAGES, "content")]
    )
    patterns = ["%" + re.sub(r"([\\%_])", r"\\\1", word[:MAX_LIKE]) + "%" for word in words]
    hits: list[Hit] = []
    for statement, column in parts:
        tests = " AND ".join(f"m.{column} LIKE ?{number} ESCAPE '\\'" for number in range(3, 3 + len(patterns)))
        rows = connection.execute(statement.format(column=column, tests=tests), (owner, limit - len(hits), *patterns))
        hits += [Hit(**dict(row) | {"snippet": _cut_out(row["snippet"], words)}) for row in rows]
    return hits


def _cut_out(text: str, words: list[str]) -> list[tuple[str, bool]]:
    """What stands around the first word found."""
    found = re.compile("(" + "|".join(map(re.escape, words)) + ")", re.IGNORECASE)
    first = found.search(text)
    at = first.start() if first else 0
    start, end = max(0, at - AROUND), at + 2 * AROUND
    cut = ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
    return [(piece, number % 2 == 1) for number, piece in enumerate(found.split(cut)) if piece]
