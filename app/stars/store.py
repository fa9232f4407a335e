"""Stars in the conversation file, in a table of their own: nothing refers from it to a chat, so a star survives it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ...serve.errors import NotFoundError
from ..conversations.database import Database
from .records import Star, StarState

_COLUMNS = "SELECT record FROM stars WHERE owner = ?"


class StarStore:
    """Every call is one transaction. What belongs to another owner is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._decode = msgspec.json.Decoder(Star).decode

    def put(self, star: Star, text_key: str) -> None:
        """Keeps a star, in place of the one of its id. `text_key` is equal for turns of the same text."""
        record = msgspec.json.encode(star).decode()
        row = (star.id, star.owner, star.source.message, star.source.conversation, star.state, text_key,
               star.created, record)  # fmt: skip
        with self._database.write() as tables:
            tables.execute(
                "INSERT INTO stars (id, owner, message, conversation, state, text_key, created, record)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " state = excluded.state, text_key = excluded.text_key, record = excluded.record",
                row,
            )

    def remove(self, owner: str, star_id: str) -> None:
        with self._database.write() as tables:
            tables.execute("DELETE FROM stars WHERE owner = ? AND id = ?", (owner, star_id))

    def get(self, owner: str, star_id: str) -> Star:
        """Raises NotFoundError."""
        for star in self._stars(f"{_COLUMNS} AND id = ?", owner, star_id):
            return star
        raise NotFoundError("There is no such turn in the distil set.")

    def of_message(self, owner: str, message: str) -> Star | None:
        return next(self._stars(f"{_COLUMNS} AND message = ?", owner, message), None)

    def all_with(self, owner: str, text_key: str) -> list[Star]:
        return list(self._stars(f"{_COLUMNS} AND text_key = ? ORDER BY created, row", owner, text_key))

    def list(self, owner: str, state: StarState | None = None) -> list[Star]:
        """The newest first."""
        if state is None:
            return list(self._stars(f"{_COLUMNS} ORDER BY created DESC, row DESC", owner))
        return list(self._stars(f"{_COLUMNS} AND state = ? ORDER BY created DESC, row DESC", owner, state))

    def states(self, owner: str, conversation: str) -> dict[str, tuple[str, StarState]]:
        """Message -> id and state of its star."""
        with self._database.read() as tables:
            rows = tables.execute(
                "SELECT message, id, state FROM stars WHERE owner = ? AND conversation = ?", (owner, conversation)
            ).fetchall()
        return {row["message"]: (row["id"], row["state"]) for row in rows}

    def counts(self, owner: str) -> dict[str, int]:
        """State -> stars."""
        with self._database.read() as tables:
            rows = tables.execute(
                "SELECT state, count(*) AS n FROM stars WHERE owner = ? GROUP BY state", (owner,)
            ).fetchall()
        return {"accepted": 0, "waiting": 0, "refused": 0} | {row["state"]: row["n"] for row in rows}

    def _stars(self, query: str, *values: str) -> Iterator[Star]:
        with self._database.read() as tables:
            rows = tables.execute(query, values).fetchall()
        return (self._decode(row["record"]) for row in rows)
