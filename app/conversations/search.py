"""Full-text search in titles, questions and answers or, apart from them, in thoughts."""

from __future__ import annotations

import sqlite3
from typing import Literal

import msgspec

from .records import Role
from .rows import stored

Where = Literal["answers", "thoughts"]
# More words than that say no more, and SQLite parses a query by recursion.
MAX_WORDS = 24
# In snippets, round what was found. A text that holds them itself shows a word too many as found.
START, END = "\x02", "\x03"
SNIPPET_WORDS = 16

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
    query = _query(text)
    if not query:
        return []
    values = (query, START, END, SNIPPET_WORDS, owner)
    if where == "thoughts":
        statements = [MESSAGES.format(index="found_thoughts")]
    else:
        statements = [TITLES, MESSAGES.format(index="found_answers")]
    hits: list[Hit] = []
    for statement in statements:
        hits += [_hit(row) for row in connection.execute(statement, (*values, limit - len(hits)))]
    return hits


def _query(text: str) -> str:
    """What all must be there, the last word perhaps only begun. Quoted, nothing of it is an operator of FTS5."""
    words = [word for word in stored(text).replace('"', " ").replace("\0", " ").split() if any(map(str.isalnum, word))]
    return " ".join(f'"{word}"' for word in words[:MAX_WORDS]) + ("*" if words else "")


def _hit(row: sqlite3.Row) -> Hit:
    return Hit(**dict(row) | {"snippet": _pieces(row["snippet"])})


def _pieces(snippet: str) -> list[tuple[str, bool]]:
    pieces = []
    for number, part in enumerate(snippet.split(START)):
        found, _, rest = part.rpartition(END) if number else ("", "", part)
        pieces += [(found, True), (rest, False)]
    return [piece for piece in pieces if piece[0]]
