"""Token runs that had to leave the cache: their state in host memory, and on disk while no engine runs.

Knows neither llama.cpp nor requests; a state is bytes. Used on the engine's thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import logging
import os
import re
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..files import flush, replace_file, sha256_of
from .host_memory import available_memory
from .model_file import parts_of

logger = logging.getLogger(__name__)

MEMORY_SHARE = 8
# All are looked at for each new prompt, which takes some milliseconds with so many.
MAX_ENTRIES = 512
_MAGIC = b"r1prompt1\n"
_HEAD = struct.Struct("<32sII")
_SUFFIX = ".prompt"
_KEY_FOLDER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """The state of one sequence that held `tokens`; `state` is uint8. `spare`: it makes room for any other."""

    tokens: list[int]
    scope: str
    state: np.ndarray
    spare: bool = False
    ids: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", np.array(self.tokens, np.int32))

    def n_common(self, ids: np.ndarray) -> int:
        """How many leading tokens are those of `ids`."""
        shorter = min(len(ids), len(self.ids))
        different = self.ids[:shorter] != ids[:shorter]
        first = int(different.argmax()) if shorter else 0
        return first if shorter and different[first] else shorter


class HostCache:
    """At most `max_bytes` of states, and MAX_ENTRIES. When they are too many, spare ones go, then those put there
    longest ago.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._n_spare = self._n_spare_bytes = 0
        self._entries: list[Entry] = []  # spare ones first, least recently used first

    @property
    def n_entries(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """All but the spare ones, least recently used first: the order in which they may be put again."""
        return (entry for entry in self._entries if not entry.spare)

    def put(self, tokens: list[int], scope: str, state: np.ndarray, *, spare: bool = False) -> bool:
        """False: too large, or spare and all room taken by what is not. What an entry of that scope holds already is
        not kept twice.
        """
        if not tokens or state.nbytes > self.max_bytes:
            return False
        new = Entry(list(tokens), scope, state, spare)
        related = [entry for entry in self._entries if entry.scope == scope]
        for entry in related:
            if entry.n_common(new.ids) == len(new.ids):
                self.take(entry)
                self._insert(entry if spare else replace(entry, spare=False))
                return True
        for entry in [entry for entry in related if entry.n_common(new.ids) == len(entry.ids)]:
            new = replace(new, spare=new.spare and entry.spare)
            self.take(entry)
        if new.spare and not self.has_room(state.nbytes):
            return False
        while self.n_bytes + state.nbytes > self.max_bytes or len(self._entries) >= MAX_ENTRIES:
            self.take(self._entries[0])
        self._insert(new)
        return True

    def _insert(self, entry: Entry) -> None:
        """As the one used last of its kind."""
        self._entries.insert(self._n_spare if entry.spare else len(self._entries), entry)
        self._count(entry, 1)

    def _count(self, entry: Entry, sign: int) -> None:
        self.n_bytes += sign * entry.state.nbytes
        self._n_spare += sign * entry.spare
        self._n_spare_bytes += sign * entry.spare * entry.state.nbytes

    def longest(self, tokens: list[int], scope: str) -> tuple[Entry | None, int]:
        """The entry with the longest common beginning, of equals the smallest, and the length of that; None and 0 if
        none has any.
        """
        best: tuple[Entry | None, int] = (None, 0)
        ids = np.array(tokens, np.int32) if self._entries else np.empty(0, np.int32)
        for entry in self._entries:
            if entry.scope != scope:
                continue
            n_common = entry.n_common(ids)
            if n_common > best[1] or (best[0] and n_common == best[1] and len(entry.ids) < len(best[0].ids)):
                best = (entry, n_common)
        return best

    def has_room(self, n_bytes: int) -> bool:
        """So many more fit without dropping anything that is not spare."""
        n_kept = len(self._entries) - self._n_spare
        return self.n_bytes - self._n_spare_bytes + n_bytes <= self.max_bytes and n_kept < MAX_ENTRIES

    def take(self, entry: Entry) -> np.ndarray:
        """The state; the entry leaves."""
        self._entries.remove(entry)
        self._count(entry, -1)
        return entry.state


def default_max_bytes() -> int:
    """A share of what memory is available now."""
    return available_memory() // MEMORY_SHARE


def cache_key(model_path: Path, kind: str = "f16", adapter: Path | None = None) -> str:
    """Names states that may be restored: those of the same weights (a file's, or a folder's of safetensors, with the
    same adapter), library and kind of cache, as 64 hex digits.
    """
    is_folder = model_path.is_dir()
    files = sorted(model_path.glob("*.safetensors")) if is_folder else parts_of(model_path)
    files += [adapter] if adapter else []
    versions = map(importlib.metadata.version, ("torch", "transformers") if is_folder else ("llama-cpp-python",))
    return hashlib.sha256(" ".join([*map(sha256_of, files), *versions, kind]).encode()).hexdigest()


def save_entries(folder: Path, key: str, entries: Iterable[Entry]) -> None:
    """Makes `entries` (least recently used first) all that lies in `folder`: what is there under other keys,
    or was given up, is deleted. Raises OSError where the disk refuses; what was written by then stays valid, and is
    that of the conversations that were used last.
    """
    home = folder / key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = {home / f"{_name(entry)}{_SUFFIX}": entry for entry in entries}
    # first, so that there is room for the others
    for other in [each for each in folder.iterdir() if _KEY_FOLDER.fullmatch(each.name) and each.is_dir()]:
        _delete_files(other, {path.name for path in paths} if other == home else set())
    if not paths:
        return
    home.mkdir(mode=0o700, exist_ok=True)
    home.chmod(0o700)
    began = time.time_ns()
    for age, (path, entry) in enumerate(reversed(paths.items())):
        if not path.exists():
            _write_aside(path, entry)
        # the clock of a file system is too coarse to keep the order
        os.utime(path, ns=(began - age, began - age))
    flush(home)


def load_entries(folder: Path, key: str, max_bytes: int) -> Iterator[tuple[list[int], str, np.ndarray]]:
    """(tokens, scope, state) of the most recently used entries that fit `max_bytes`, the oldest of them first.

    A file that is damaged is deleted.
    """
    files = sorted(_told((folder / key).glob(f"*{_SUFFIX}")))
    n_bytes, first = 0, len(files)
    while first and n_bytes + files[first - 1][1] <= max_bytes:
        first -= 1
        n_bytes += files[first][1]
    for _, _, path in files[first:]:
        try:
            yield _read(path)
        except (OSError, ValueError, struct.error) as error:
            logger.warning("prompt cache: %s is damaged and is deleted (%s)", path.name, error)
            path.unlink(missing_ok=True)


def _told(paths: Iterable[Path]) -> Iterator[tuple[int, int, Path]]:
    """When each was used last, and its bytes; another server may delete what was just listed."""
    for path in paths:
        with contextlib.suppress(OSError):
            told = path.stat()
            yield told.st_mtime_ns, told.st_size, path


def _name(entry: Entry) -> str:
    """By its tokens: the same run, saved again, finds its file there."""
    return hashlib.sha256(entry.scope.encode() + b"\0" + entry.ids.tobytes()).hexdigest()[:32]


def _write_aside(path: Path, entry: Entry) -> None:
    """Complete under its name, or not there at all."""
    scope = entry.scope.encode()
    parts: list[bytes | memoryview] = [scope, entry.ids.data, np.ascontiguousarray(entry.state).data]
    with replace_file(path) as aside:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(_MAGIC + _HEAD.pack(_digest(parts), len(scope), len(entry.ids)))
            for part in parts:
                file.write(part)


def _read(path: Path) -> tuple[list[int], str, np.ndarray]:
    """Raises ValueError or struct.error for anything but what was written."""
    data = np.fromfile(path, np.uint8)
    start = len(_MAGIC) + _HEAD.size
    head = data[:start].tobytes()
    if not head.startswith(_MAGIC):
        raise ValueError("not of this form")
    digest, n_scope, n_tokens = _HEAD.unpack(head[len(_MAGIC) :])
    if _digest([data[start:].data]) != digest:
        raise ValueError("wrong checksum")
    ids_at, state_at = start + n_scope, start + n_scope + 4 * n_tokens
    ids = np.frombuffer(data[ids_at:state_at].tobytes(), np.int32)
    return ids.tolist(), data[start:ids_at].tobytes().decode(), data[state_at:]


def _digest(parts: Iterable[bytes | memoryview]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def _delete_files(folder: Path, kept: set[str]) -> None:
    """Ours, half-written ones too, and the folder once it is empty."""
    for path in folder.glob(f"*{_SUFFIX}*"):
        if path.name not in kept:
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
