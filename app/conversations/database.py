"""The conversation file as SQLite sees it: how it is opened, brought up to date, written and read, and what fails.

One connection writes and one reads, each under a lock, so that any thread may call. Knows no conversation.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...serve.errors import R1ChatError
from .schema import STEPS

# Longer than any transaction of another r1chat on the same file, but for the import of a large one.
BUSY_S = 10.0
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
BARRED = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")
BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


class StoreError(R1ChatError):
    """The conversation file cannot be opened, read or written. The text ends with what to do."""


class StoreBusyError(StoreError):
    """Another program writes into it for long; it may be tried again."""


class Database:
    """The file at `path`, made where there is none. Raises StoreError; a file of a newer version stays as it is."""

    def __init__(self, path: Path, steps: tuple[str, ...] = STEPS) -> None:
        self.path = path
        self._steps = steps
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        with failures(self.path):
            _make_file(path)
            self._writer = self._connect()
            try:
                self._check_version()
                self._prepare()
                self._reader = self._connect()
            except BaseException:
                self._writer.close()
                raise

    def close(self) -> None:
        """Waits for what runs."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on disk when the block has ended; nothing of it if the block raises."""
        with failures(self.path), self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            yield from _ended(self._writer)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One state of the file for the whole block."""
        with failures(self.path), self._read_lock:
            self._reader.execute("BEGIN")
            yield from _ended(self._reader)

    def shed_log(self) -> None:
        """Writes the log into the file and empties it, where nobody reads just now: it, too, holds what was deleted."""
        with failures(self.path), self._write_lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _check_version(self) -> None:
        """Before anything is written."""
        self._writer.execute("BEGIN")  # one look: another process may be making the tables just now
        for connection in _ended(self._writer):
            version = _version(connection)
            has_tables = connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
        name = shlex.quote(str(self.path))
        if version > len(self._steps):
            raise StoreError(
                f"{name} was written by a newer r1chat and is left as it is. "
                "Install that one, or keep conversations elsewhere: r1chat ui --data OTHER_FOLDER"
            )
        if version == 0 and has_tables:
            raise StoreError(f"{name} holds no conversations of r1chat. Move it away: mv {name} {name}.other")

    def _prepare(self) -> None:
        self._writer.execute("PRAGMA journal_mode = WAL")
        # In WAL mode only FULL has each commit on disk before it is acknowledged.
        self._writer.execute("PRAGMA synchronous = FULL")
        # What is deleted is overwritten, not only let go.
        self._writer.execute("PRAGMA secure_delete = ON")
        if _version(self._writer) == len(self._steps):
            return
        # Several statements at once end an open transaction in sqlite3's own executescript.
        self._writer.execute("BEGIN IMMEDIATE")
        for connection in _ended(self._writer):
            # Read again: another process may have been first.
            for number in range(_version(connection), len(self._steps)):
                for statement in _statements(self._steps[number]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number + 1}")


@contextmanager
def failures(path: Path) -> Iterator[None]:
    """What fails in its block about the file at `path` is a StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        kind = StoreBusyError if getattr(error, "sqlite_errorname", "").startswith(BUSY) else StoreError
        raise kind(_sentence(path, error)) from error
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(
            f"Conversations cannot be kept in {path}: {reason}. Name another folder: --data FOLDER"
        ) from error


def _ended(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    except BaseException:
        # SQLite has ended it by itself where the disk is full.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    try:
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make_file(path: Path) -> None:
    """For its owner's eyes only, as are the files that SQLite lays beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """Triggers hold semicolons, so SQLite itself says where a statement ends."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n;"):
                yield statement
            statement = ""


def _sentence(path: Path, error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorname", "")
    name, folder = shlex.quote(str(path)), shlex.quote(str(path.parent))
    if code.startswith(DAMAGED):
        return f"{name} is damaged. Save what can be read of it: r1chat doctor --mend --data {folder}"
    if code.startswith("SQLITE_FULL"):
        return f"The disk is full, so the conversation was not kept. See what is free: df -h {folder}"
    if code.startswith(BARRED):
        return f"{name} cannot be written. Make it yours: chmod -R u+rwX {folder}"
    if code.startswith(BUSY):
        return f"{name} is in use by another program for too long. See which: fuser -v {name}"
    return f"{name} cannot be used: {error}. Look closer: r1chat doctor"
