"""A file that arrives in pieces, perhaps over several runs, and the digest of what is there so far."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_BLOCK = 1 << 20


class PartFile:
    """The part at `path` of a file of `size` bytes; `digest` is its SHA-256, or git's SHA-1 for small files.

    Opened, it first reads what an earlier run left, and calls `between` between its blocks, which may raise; writes go
    to its end.
    """

    def __init__(self, path: Path, size: int, digest: str, between: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self.size = 0
        self._whole_size = size
        self._digest = digest
        self._between = between
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self._hash = self._new_hash()

    def __enter__(self) -> PartFile:
        try:
            self._read_what_is_there()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def restart(self) -> None:
        """Forgets everything."""
        self._file.truncate(0)
        self.size, self._hash = 0, self._new_hash()

    def is_right(self) -> bool:
        """Whether these are the bytes that were promised, now safe on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self.size == self._whole_size and self._hash.hexdigest() == self._digest

    def _read_what_is_there(self) -> None:
        if os.fstat(self._file.fileno()).st_size > self._whole_size:
            # Too long for its file: worth nothing.
            self._file.truncate(0)
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            self._hash.update(block)
            self.size += len(block)
            self._between()

    def _new_hash(self) -> hashlib._Hash:
        if len(self._digest) == 64:
            return hashlib.sha256()
        # Git's name for a file's content.
        return hashlib.sha1(b"blob %d\0" % self._whole_size, usedforsecurity=False)
