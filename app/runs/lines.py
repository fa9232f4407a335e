"""A file of lines that another process appends to, read piece by piece: whole lines only, each of them once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# What one look takes at most, so that a file of gigabytes does not hold up whoever asks.
MOST_BYTES = 64 * 1024 * 1024


class Lines:
    """Remembers how far it has read. A file that is another now, or shorter, is read anew: `fresh` says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fresh = False
        self._at = 0
        self._file_id: tuple[int, int] | None = None

    def new(self, most: int = MOST_BYTES) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of each line that is whole by now; a half-written last one comes once it is whole."""
        self.fresh = False
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
            self.fresh = self._at > 0
            self._file_id, self._at = file_id, 0
