"""The file of a model that is being served: whether somebody wrote into it since it was loaded."""

from __future__ import annotations

import os
from pathlib import Path


class ModelFile:
    """Its weights are read from the disk as they are needed, so what is written into it changes the model.

    A file put in its place by renaming does not: the old one lives on until the model is unloaded. `path` may be
    None or a folder, which is never changed.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path if path is not None and path.is_file() else None
        self._loaded = self._look()

    def is_changed(self) -> bool:
        now = self._look()
        if now is None or self._loaded is None or now.st_ino != self._loaded.st_ino:
            return False
        return (now.st_size, now.st_mtime_ns) != (self._loaded.st_size, self._loaded.st_mtime_ns)

    def _look(self) -> os.stat_result | None:
        try:
            return self._path.stat() if self._path else None
        except OSError:
            return None
