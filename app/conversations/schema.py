"""The tables of the conversation file, as the steps that lead to them; `user_version` counts the steps taken.

A step that was released is never edited: what changes comes as one more.
"""

from __future__ import annotations

FIRST = """
CREATE TABLE conversations (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    title TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    pinned INTEGER NOT NULL,
    collects INTEGER NOT NULL,
    head TEXT,
    settings TEXT NOT NULL,
    deleted REAL
) STRICT;
CREATE INDEX conversations_shown ON conversations (owner, pinned, updated) WHERE deleted IS NULL;
CREATE INDEX conversations_deleted ON conversations (deleted) WHERE deleted IS NOT NULL;

-- No cascade from parent to child: SQLite ends a cascade a thousand levels down.
CREATE TABLE messages (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    parent TEXT REFERENCES messages (id) DEFERRABLE INITIALLY DEFERRED,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    content TEXT NOT NULL,
    reasoning TEXT NOT NULL,
    details TEXT NOT NULL,
    writer TEXT
) STRICT;
CREATE INDEX messages_by_parent ON messages (conversation, parent);
CREATE INDEX messages_parents ON messages (parent);
CREATE INDEX messages_live ON messages (state) WHERE state = 'live';

-- What came of a reply since its record was last written as a whole.
CREATE TABLE pieces (
    row INTEGER PRIMARY KEY,
    message TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    reasoning TEXT NOT NULL,
    content TEXT NOT NULL
) STRICT;
CREATE INDEX pieces_by_message ON pieces (message);

CREATE TABLE groups (
    id TEXT PRIMARY KEY,
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    gold TEXT NOT NULL,
    report TEXT NOT NULL
) STRICT;
CREATE INDEX groups_by_conversation ON groups (conversation);
"""


def _index(name: str, table: str, column: str) -> str:
    """Full text of one column, kept by triggers. The text itself stays where it is."""
    forget = f"INSERT INTO {name} ({name}, rowid, {column}) VALUES ('delete', old.row, old.{column});"
    take = f"INSERT INTO {name} (rowid, {column}) VALUES (new.row, new.{column});"
    return f"""
CREATE VIRTUAL TABLE {name} USING fts5 ({column}, content = '{table}', content_rowid = 'row',
    tokenize = "unicode61 remove_diacritics 2");
CREATE TRIGGER {name}_in AFTER INSERT ON {table} BEGIN {take} END;
CREATE TRIGGER {name}_out AFTER DELETE ON {table} BEGIN {forget} END;
CREATE TRIGGER {name}_new AFTER UPDATE OF {column} ON {table} WHEN old.{column} IS NOT new.{column}
BEGIN {forget} {take} END;
"""


SEARCH = (
    _index("found_titles", "conversations", "title")
    + _index("found_answers", "messages", "content")
    + _index("found_thoughts", "messages", "reasoning")
)

# The distil set (app/stars). Nothing refers from it to a chat, so that a star survives it.
STARS = """
CREATE TABLE stars (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    message TEXT NOT NULL,
    conversation TEXT NOT NULL,
    state TEXT NOT NULL,
    text_key TEXT NOT NULL,
    created REAL NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (owner, message)
) STRICT;
CREATE INDEX stars_shown ON stars (owner, state, created);
CREATE INDEX stars_by_text ON stars (owner, text_key);
CREATE INDEX stars_by_conversation ON stars (owner, conversation);
"""

# What new conversations of an owner are asked with.
DEFAULTS = "CREATE TABLE defaults (owner TEXT PRIMARY KEY, settings TEXT NOT NULL) STRICT;"

STEPS: tuple[str, ...] = (FIRST + SEARCH, STARS, DEFAULTS)
