"""A model on its way from the hub: one Download carries it, resumes it, and is what terminal and page look at.

huggingface_hub 2.4 throws a file away that was cut off, so the bytes are fetched here: into a part that
outlives the process, continued by Range, and named in the cache only when size and digest are right.
`run` blocks its thread; `snapshot` and `cancel` may be called from any other.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from ...errors import ModelNotFoundError, R1ChatError
from ..sizes import human
from . import cache
from .cache import Cached
from .client import Hub, HubFile, Listing, TransferError
from .ids import HubId
from .part_file import PartFile
from .variants import Variant, choose, variants

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
State = Literal["asking", "waiting", "checking", "fetching", "done", "failed", "cancelled"]
RATE_WINDOW_S = 5.0
LOCK_WAIT_S = 0.5
MAX_TRIES = 5
MAX_WAIT_S = 30.0
DISK_MARGIN = 1.1


class DownloadCancelledError(R1ChatError):
    """Somebody stopped the download; what had arrived is kept for the next one."""


@dataclass(frozen=True)
class Snapshot:
    """A download at one moment: bytes, bytes per second, seconds left; None where nobody knows yet."""

    name: str
    state: State
    file: str
    bytes_done: int
    bytes_total: int | None
    rate: float | None
    eta_s: float | None
    error: str | None = None


class Download:
    """One model from the hub into the cache. `retry_s` is the first pause after a failure, doubled after each."""

    def __init__(self, wanted: HubId, *, name: str | None = None, retry_s: float = 1.0) -> None:
        # Typed again by whoever reads how to go on, which an address with & in it would not survive.
        self.name = name if name and shlex.quote(name) == name else str(wanted)
        self._wanted = wanted
        self._retry_s = retry_s
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._state: State = "asking"
        self._file = ""
        self._here: dict[str, int] = {}
        self._total: int | None = None
        self._error: str | None = None
        self._marks: deque[tuple[float, int]] = deque()

    def snapshot(self) -> Snapshot:
        """Where it stands."""
        with self._lock:
            done, rate = sum(self._here.values()), self._rate()
            left = None if self._total is None or not rate else max(0, self._total - done) / rate
            return Snapshot(self.name, self._state, self._file, done, self._total, rate, left, self._error)

    def cancel(self) -> None:
        """Stops soon; what has arrived stays for the next time."""
        self._cancelled.set()

    def run(self) -> Cached:
        """Fetches what is missing. Raises ModelNotFoundError in one line, or DownloadCancelledError."""
        try:
            found = self._run()
        except BaseException as error:
            state: State = "cancelled" if isinstance(error, (DownloadCancelledError, KeyboardInterrupt)) else "failed"
            with self._lock:
                self._state, self._error = state, str(error)
            raise
        with self._lock:
            self._state = "done"
        return found

    def _run(self) -> Cached:
        try:
            with Hub() as hub:
                listing = self._patiently(lambda: hub.listing(self._wanted))
                found = variants((file.name, file.size) for file in listing.files)
                variant = choose(self._wanted.repo, found, self._wanted.quant)
                files = [file for name in variant.files for file in listing.files if file.name == name]
                self._prepare(listing, files)
                for file in files:
                    if not _is_there(listing, file):
                        self._fetch_alone(hub, listing, file)
                cache.note_revision(listing.repo, self._wanted.revision or "main", listing.commit)
        except TransferError as error:
            raise ModelNotFoundError(self._unreachable(error)) from error
        except OSError as error:
            raise ModelNotFoundError(_disk_trouble(error, self.name)) from error
        snapshot = cache.repo_folder(listing.repo) / "snapshots" / listing.commit
        return Cached(listing.repo, listing.commit, variant, snapshot)

    def _unreachable(self, error: TransferError) -> str:
        if self._total is None and cache.find(self._wanted):
            return (
                f"The hub cannot be reached ({error}) to look for a newer {self.name}. "
                f"The one that is here runs: r1chat run {self.name}"
            )
        if self._total is None:
            return (
                f"{self.name} is not in the cache and the hub cannot be reached ({error}). "
                "The bundled model needs no network: r1chat run demo"
            )
        return f"The download broke off ({error}). What has arrived is kept; continue: r1chat pull {self.name}"

    def _prepare(self, listing: Listing, files: list[HubFile]) -> None:
        """Counts what is here already, and refuses what the disk cannot hold before a byte of it is asked for."""
        with self._lock:
            self._here = {file.name: _bytes_here(listing, file) for file in files}
            self._total = sum(file.size for file in files)
        needed = self._total - sum(self._here.values())
        if needed <= 0:
            return
        folder = cache.cache_folder()
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if not os.access(existing, os.W_OK):
            raise ModelNotFoundError(
                f"The cache {folder} cannot be written. Choose another: HF_HOME=/a/folder r1chat pull {self.name}"
            )
        if free < needed * DISK_MARGIN:
            raise ModelNotFoundError(
                f"{self.name} needs {human(needed * DISK_MARGIN)} and {existing} has {human(free)} free. "
                f"Make room, or choose another disk: HF_HOME=/some/folder r1chat pull {self.name}"
            )

    def _fetch_alone(self, hub: Hub, listing: Listing, file: HubFile) -> None:
        """One file, while nobody else fetches the same one."""
        from filelock import Timeout
        from huggingface_hub.utils import WeakFileLock

        lock = cache.lock_path(listing.repo, file.digest)
        lock.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                with WeakFileLock(lock, timeout=LOCK_WAIT_S):
                    if _has_size(cache.blob_path(listing.repo, file.digest), file.size):
                        # another tool has fetched it since we stopped
                        cache.part_path(listing.repo, file.digest).unlink(missing_ok=True)
                    else:
                        self._fetch(hub, listing, file)
                    self._put_in_place(listing, file)
                    self._note(file, file.size)
                    return
            except Timeout:
                self._enter("waiting", file)

    def _fetch(self, hub: Hub, listing: Listing, file: HubFile) -> None:
        """Fills the file's part up and proves it."""
        self._enter("checking", file)
        path = cache.part_path(listing.repo, file.digest)
        with PartFile(path, file.size, file.digest, self._check_cancelled) as part:
            self._enter("fetching", file)
            self._note(file, part.size)
            while part.size < file.size:
                self._patiently(lambda: self._stream(hub, listing, file, part))
            if part.is_right():
                return
        part.path.unlink()
        raise ModelNotFoundError(
            f"{file.name} arrived damaged: its checksum is not the hub's. It was thrown away; "
            f"fetch it anew: r1chat pull {self.name}"
        )

    def _put_in_place(self, listing: Listing, file: HubFile) -> None:
        try:
            cache.put_in_place(listing.repo, listing.commit, file.name, file.digest)
        except FileNotFoundError as error:
            raise ModelNotFoundError(
                f"{file.name} was deleted while it arrived. Fetch it anew: r1chat pull {self.name}"
            ) from error

    def _stream(self, hub: Hub, listing: Listing, file: HubFile, part: PartFile) -> None:
        """One answer of the hub, to its end or as far as it gets. Raises TransferError."""
        with hub.open(self._wanted, listing, file, part.size) as response:
            self._check_extent(response, file, part.size)
            if response.status_code == 200:
                # This server knows no Range, or nothing was here yet.
                part.restart()
                self._enter("fetching", file)
            for chunk in response.iter_bytes():
                if part.size + len(chunk) > file.size:
                    raise self._wrong_size(file, f"more than {human(file.size)}")
                part.write(chunk)
                self._note(file, part.size)
                self._check_cancelled()
        if part.size < file.size:
            raise TransferError("the connection was cut off")

    def _check_extent(self, response: httpx2.Response, file: HubFile, start: int) -> None:
        """Refuses bytes of another place or another length than those asked for."""
        said = response.headers.get("content-range") or response.headers.get("content-length")
        right = f"bytes {start}-{file.size - 1}/{file.size}" if response.status_code == 206 else str(file.size)
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        if response.status_code == 416 or encoded or said not in (None, right):
            raise self._wrong_size(file, f"{said[:60] if said else 'compressed bytes'} instead of {right}")

    def _wrong_size(self, file: HubFile, told: str) -> ModelNotFoundError:
        return ModelNotFoundError(
            f"The hub's answer for {file.name} has the wrong size ({told}). Try again later: r1chat pull {self.name}"
        )

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """Repeats what fails to get through, with growing pauses; bytes that arrive renew the patience."""
        failures = 0
        while True:
            before = sum(self._here.values())
            try:
                return attempt()
            except TransferError as error:
                failures = 1 if sum(self._here.values()) > before else failures + 1
                if failures >= MAX_TRIES or (error.unreachable and self._total is None):
                    raise
                pause = error.after_s if error.after_s is not None else self._retry_s * 2 ** (failures - 1)
                self._cancelled.wait(min(pause, MAX_WAIT_S))
                self._check_cancelled()

    def _enter(self, state: State, file: HubFile) -> None:
        self._check_cancelled()
        with self._lock:
            self._state, self._file = state, file.name
            self._marks.clear()

    def _note(self, file: HubFile, size: int) -> None:
        """How much of the file is here now."""
        with self._lock:
            self._here[file.name] = size
            now = time.monotonic()
            self._marks.append((now, sum(self._here.values())))
            while now - self._marks[0][0] > RATE_WINDOW_S:
                self._marks.popleft()

    def _rate(self) -> float | None:
        if len(self._marks) < 2:
            return None
        (start, first), (end, last) = self._marks[0], self._marks[-1]
        # Measured to now, so that a stalled download slows down while somebody looks.
        return (last - first) / max(time.monotonic() - start, end - start, 1e-3)

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise DownloadCancelledError(f"{self.name} was stopped. Continue: r1chat pull {self.name}")


def available(wanted: HubId) -> tuple[str, list[Variant]]:
    """The commit that the hub has of a model, and the models in it. Raises ModelNotFoundError."""
    try:
        with Hub() as hub:
            listing = hub.listing(wanted)
    except TransferError as error:
        raise ModelNotFoundError(
            f"{wanted} is not here and the hub cannot be reached ({error}). What is here: r1chat list"
        ) from error
    return listing.commit, variants((file.name, file.size) for file in listing.files)


def _is_there(listing: Listing, file: HubFile) -> bool:
    return _has_size(cache.repo_folder(listing.repo) / "snapshots" / listing.commit / file.name, file.size)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _bytes_here(listing: Listing, file: HubFile) -> int:
    part = cache.part_path(listing.repo, file.digest)
    if _is_there(listing, file) or _has_size(cache.blob_path(listing.repo, file.digest), file.size):
        return file.size
    return min(part.stat().st_size, file.size) if part.is_file() else 0


def _disk_trouble(error: OSError, name: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full. What has arrived is kept; make room, then continue: r1chat pull {name}"
    return f"The cache cannot be written ({error}). Choose another: HF_HOME=/a/folder r1chat pull {name}"
