"""The file of a model, or its several, and whether somebody wrote into one that is being served."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

# The end of the stem of a model's file that is one of several: its number and how many there are.
SPLIT = re.compile(r"-(\d{5})-of-(\d{5})$")


def parts_of(path: Path) -> list[Path]:
    """The files of the GGUF whose first is `path`; most have no other."""
    split = SPLIT.search(path.stem)
    if split is None or int(split[1]) != 1:
        return [path]
    return sorted(path.parent.glob(f"{glob.escape(path.stem[: split.start()])}-*-of-{split[2]}.gguf"))


class ModelFile:
    """Its weights are read from the disk as they are needed, so what is written into it changes the model.

    A file put in its place by renaming does not: the old one lives on until the model is unloaded. `path` may be
    None or a folder, which is never changed.
    """

    def __init__(self, path: Path | None) -> None:
        # os.path, which takes a disk that has gone for no file; Path.is_file() raises
        parts = parts_of(path) if path is not None and os.path.isfile(path) else []
        self._loaded = {part: _look(part) for part in parts}

    def is_changed(self) -> bool:
        return any(_is_other(loaded, _look(part)) for part, loaded in self._loaded.items())


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _is_other(loaded: os.stat_result | None, now: os.stat_result | None) -> bool:
    """The same file with other content."""
    if now is None or loaded is None or now.st_ino != loaded.st_ino:
        return False
    return (now.st_size, now.st_mtime_ns) != (loaded.st_size, loaded.st_mtime_ns)
