"""Writing files and folders so that a reader, or a crash, finds the old one or the new one, never half."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hex; "" where there is no file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to; after the block it is flushed to disk and takes its place."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        flush(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def put_in_place(written: Path, place: Path) -> None:
    """Renames a folder. Whoever writes weights does not flush them, so that a crash could leave the name and lose what
    is in it.
    """
    for path in (*written.rglob("*"), written):
        flush(path)
    written.rename(place)
    flush(place.parent)


def flush(path: Path) -> None:
    """What was written to a file reaches the disk, or the names in a folder do, where one can be opened for that."""
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
