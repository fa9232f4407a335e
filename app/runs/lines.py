"""A file of lines that another process appends to, read piece by piece: whole lines only, each of them once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

# What one look takes at most, so that a file of gigabytes does not hold up whoever asks.
MOST_BYTES = 64 * 1024 * 1024


class Lines:
    """Remembers how far it has read. Calls `forget` before a file that is another now, or shorter, is read anew."""

    def __init__(self, path: Path, forget: Callable[[], None]) -> None:
        self.path = path
        self._forget = forget
        self._at = 0
        self._file_id: tuple[int, int] | None = None

    def new(self, most: int = MOST_BYTES) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of each line that is whole by now; a half-written last one comes once it is whole."""
        try:
            file = self.path.open("rb")
        except OSError:
            return
        with file:
            self._look_at(os.fstat(file.fileno()))
            file.seek(self._at)
            left = most
            for line in file:
                if not line.endswith(b"\n") or left <= 0:
                    return
                begin = self._at
                self._at += len(line)
                left -= len(line)
                yield begin, line

    def _look_at(self, stat: os.stat_result) -> None:
        file_id = (stat.st_dev, stat.st_ino)
        if file_id != self._file_id or stat.st_size < self._at:
            if self._at:
                self._forget()
            self._file_id, self._at = file_id, 0
