"""Which downloads were begun and have not arrived, in a small file that a kill leaves whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from filelock import FileLock

from ...serve.files import replace_file

LOCK_S = 10.0

logger = logging.getLogger(__name__)


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """`ended` is empty while it runs: read from the file, that means that its server has gone."""

    id: str
    owner: str
    model: str
    began: float
    ended: Literal["", "stopped", "failed", "done"] = ""
    error: str | None = None
    bytes_done: int = 0
    bytes_total: int | None = None

    @classmethod
    def new(cls, pull_id: str, owner: str, model: str) -> Begun:
        return cls(id=pull_id, owner=owner, model=model, began=time.time())


class Ledger:
    """The file at `path`; it and its folder need not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Begun]:
        """An empty list where there is none, or none that can be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Begun])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            logger.warning("%s cannot be read, so no unfinished download is known (%s)", self._path, error)
            return []

    def update(self, changed: Mapping[str, Begun | None]) -> None:
        """Writes these down by their ids, None off; others may be another server's, and stay as they are. A disk that
        is full loses the note, never the download.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_suffix(".lock"), timeout=LOCK_S), replace_file(self._path) as aside:
                begun = {**{one.id: one for one in self.read()}, **changed}
                aside.write_bytes(msgspec.json.encode([one for one in begun.values() if one]))
        except OSError as error:
            logger.warning("%s cannot be written (%s)", self._path, error)
