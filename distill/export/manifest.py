"""Which GGUFs of a run are finished, and what each was made of, so that one that still fits is not made again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...serve.files import replace_file, sha256_of

Record = dict[str, Any]


class Manifest:
    """files.json beside the files. `source` is a hash of all that decides what a file holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "files.json"
        self._records: dict[str, Record] = _read(self._path)

    def path(self, name: str) -> Path:
        return self._folder / f"{name}.gguf"

    def find(self, name: str, source: str) -> Record | None:
        """What is noted of a file, if it is there, whole, and made of `source`."""
        record, path = self._records.get(name), self.path(name)
        if record is None or record["source"] != source or not path.is_file():
            return None
        fits = path.stat().st_size == record["bytes"] and sha256_of(path) == record["sha256"]
        return record if fits else None

    def put(self, made: Path, name: str, source: str, *, quant: str, parity: Record, lossless: Record) -> Record:
        """Moves a finished file into its place and notes it: `parity` is its own, `lossless` that of the unrounded."""
        record = {
            "path": str(self.path(name).relative_to(self._folder.parent)),
            "quant": quant,
            "bytes": made.stat().st_size,
            "sha256": sha256_of(made),
            "source": source,
            "parity": parity,
            "lossless": lossless,
        }
        made.replace(self.path(name))
        self._records[name] = record
        with replace_file(self._path) as aside:
            aside.write_text(json.dumps(self._records, indent=1, ensure_ascii=False), encoding="utf-8")
        return record

    def sweep(self, wanted: Iterable[str]) -> None:
        """Deletes files of other settings, and what a killed run left half made."""
        kept = {self._path.name, *(self.path(name).name for name in wanted)}
        for path in self._folder.iterdir():
            if path.is_file() and path.name not in kept and (path.suffix == ".gguf" or path.name.startswith(".")):
                path.unlink()
        self._records = {name: record for name, record in self._records.items() if self.path(name).name in kept}


def _read(path: Path) -> dict[str, Record]:
    """Nothing is known of files whose notes are damaged: they are made again."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
