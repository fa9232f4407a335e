"""What an owner's new conversations are asked with, in a table of its own beside the conversations."""

from __future__ import annotations

import msgspec

from .database import Database
from .records import Settings


def default_settings(database: Database, owner: str) -> Settings:
    """What the owner chose; the records' own defaults where nothing was, or what was is of another version."""
    with database.read() as connection:
        row = connection.execute("SELECT settings FROM defaults WHERE owner = ?", (owner,)).fetchone()
    try:
        return Settings() if row is None else msgspec.json.decode(row["settings"], type=Settings)
    except msgspec.ValidationError:
        return Settings()


def keep_default(database: Database, owner: str, settings: Settings) -> Settings:
    """From now on; what is there already stays as it is."""
    text = msgspec.json.encode(settings).decode()
    with database.write() as connection:
        connection.execute("INSERT OR REPLACE INTO defaults (owner, settings) VALUES (?, ?)", (owner, text))
    return settings
