"""Downloads of models as jobs of the server: they go on without a page, a few at once, and are offered to go on
after a restart. Only a person begins one. All methods may be called on any thread.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from ...serve.errors import InvalidRequestError, NotFoundError, QueueFullError, R1ChatError
from ...serve.models.catalog import hub_id
from ...serve.models.hub import cache
from ...serve.models.hub.downloads import Download
from ...serve.models.hub.ids import HubId
from .pull_ledger import Begun, Ledger

logger = logging.getLogger(__name__)

AT_ONCE = 2
MAX_PULLS = 20
NOTE_EVERY_S = 1.0
FAREWELL_S = 2.0
State = Literal[
    "queued", "asking", "waiting", "checking", "fetching", "stopping", "done", "stopped", "failed", "interrupted"
]
RUNNING: tuple[State, ...] = ("asking", "waiting", "checking", "fetching")
LIVE: frozenset[State] = frozenset({"queued", *RUNNING, "stopping"})


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """A download at one moment, for the page. Bytes, bytes per second, seconds; null where nobody knows yet.

    "waiting": somebody else fetches the same file. "interrupted": the server ended meanwhile.
    """

    id: str
    model: str
    state: State
    live: bool
    began: float
    file: str = ""
    bytes_done: int = 0
    bytes_total: int | None = None
    rate: float | None = None
    eta_s: float | None = None
    error: str | None = None


@dataclass(eq=False)
class _Job:
    """`download` is there from the moment that it runs; what was known before or after is in `begun`."""

    begun: Begun
    wanted: HubId
    state: State = "queued"
    download: Download | None = None
    thread: threading.Thread | None = field(default=None, repr=False)
    is_stopping: bool = False


class Pulls:
    """`path` is where they are remembered. An owner sees and stops only what they began."""

    def __init__(self, path: Path, *, at_once: int = AT_ONCE, retry_s: float = 1.0) -> None:
        self._ledger = Ledger(path)
        self._at_once = at_once
        self._retry_s = retry_s
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._noter: threading.Thread | None = None
        self._jobs: dict[str, _Job] = {}
        for begun in self._ledger.read():
            if wanted := hub_id(begun.model):
                kept = begun.bytes_done if cache.has_parts(wanted.repo) else 0
                begun = msgspec.structs.replace(begun, bytes_done=kept)
                self._jobs[begun.id] = _Job(begun, wanted, begun.ended or "interrupted")

    def of(self, owner: str) -> list[Pull]:
        """The owner's, the newest last."""
        with self._lock:
            return [self._shown(job) for job in self._jobs.values() if job.begun.owner == owner]

    def repos(self) -> set[str]:
        """Repositories of all downloads that are not done, whosever they are."""
        with self._lock:
            return {job.wanted.repo for job in self._jobs.values() if job.state != "done"}

    def begin(self, owner: str, model: str) -> Pull:
        """Begins a download, or goes on with the one there is of that model. Raises InvalidRequestError."""
        wanted = hub_id(model)
        if wanted is None:
            raise InvalidRequestError(
                f"{model[:100]!r} is no model of the hub; a name is r1:7b or user/repo:QUANT. Try: r1chat pull r1:1.5b",
                "model",
            )
        with self._lock:
            for job in self._jobs.values():
                if (job.begun.owner, job.wanted) == (owner, wanted):
                    return self._enqueue(job)
            self._refuse_too_many()
            job = _Job(Begun.new(secrets.token_hex(8), owner, model), wanted)
            self._jobs[job.begun.id] = job
            return self._enqueue(job)

    def go_on(self, owner: str, pull_id: str) -> Pull:
        """Takes up one that has ended where it ended. Raises NotFoundError."""
        with self._lock:
            return self._enqueue(self._find(owner, pull_id))

    def stop(self, owner: str, pull_id: str) -> Pull:
        """Ends it soon; what has arrived stays. Raises NotFoundError."""
        with self._lock:
            job = self._find(owner, pull_id)
            if job.state == "queued":
                self._end(job, "stopped", None)
            elif job.download and job.state == "fetching":
                job.is_stopping = True
                job.download.cancel()
            return self._shown(job)

    def forget(self, owner: str, pull_id: str) -> int:
        """Takes it off the list, and what has arrived of it off the disk; bytes freed. Raises NotFoundError, and
        InvalidRequestError while it runs.
        """
        with self._lock:
            job = self._find(owner, pull_id)
            if job.state in LIVE:
                raise InvalidRequestError(f"{job.begun.model} is being fetched. Stop it first.", "id")
            del self._jobs[pull_id]
            self._save(job)
            shares_repo = any(other.wanted.repo == job.wanted.repo for other in self._jobs.values())
        if job.state == "done" or shares_repo or cache.is_fetching(job.wanted.repo):
            return 0
        return cache.remove_parts(job.wanted.repo)

    def close(self) -> None:
        """Ends all; they are offered to go on by the next server. Harmless and quick once it was called."""
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            running = [job for job in self._jobs.values() if job.thread]
            for job in running:
                if job.download:
                    job.download.cancel()
            threads = [job.thread for job in running if job.thread]
        deadline = time.monotonic() + FAREWELL_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        # It forgets itself when it ends.
        if noter := self._noter:
            noter.join()

    def _find(self, owner: str, pull_id: str) -> _Job:
        job = self._jobs.get(pull_id)
        if job is None or job.begun.owner != owner:
            raise NotFoundError(f"There is no download {pull_id[:40]!r} of yours.")
        return job

    def _refuse_too_many(self) -> None:
        done = [pull_id for pull_id, job in self._jobs.items() if job.state == "done"]
        for pull_id in done[: max(0, len(self._jobs) - MAX_PULLS + 1)]:
            del self._jobs[pull_id]
        if len(self._jobs) >= MAX_PULLS:
            raise QueueFullError(f"{MAX_PULLS} downloads are begun already; let some end, or remove them.")

    def _enqueue(self, job: _Job) -> Pull:
        if job.state not in LIVE and not self._closing.is_set():
            job.state, job.download, job.is_stopping = "queued", None, False
            job.begun = msgspec.structs.replace(job.begun, ended="", error=None)
        if job.thread is None:
            self._save(job)
            self._start_next()
        return self._shown(job)

    def _start_next(self) -> None:
        n_running = sum(job.thread is not None for job in self._jobs.values())
        for job in self._jobs.values():
            if job.state == "queued" and n_running < self._at_once and not self._closing.is_set():
                job.download = Download(job.wanted, name=job.begun.model, retry_s=self._retry_s)
                job.state = "fetching"
                job.thread = threading.Thread(target=self._run, args=(job, job.download), name="pull", daemon=True)
                job.thread.start()
                n_running += 1
        if n_running and self._noter is None:
            self._noter = threading.Thread(target=self._note, name="pull-notes", daemon=True)
            self._noter.start()

    def _run(self, job: _Job, download: Download) -> None:
        state, error = _outcome(download)
        with self._lock:
            job.thread = None
            self._end(job, "interrupted" if state == "stopped" and not job.is_stopping else state, error)
            self._start_next()

    def _end(self, job: _Job, state: State, error: str | None) -> None:
        now = job.download.snapshot() if job.download else None
        job.state, job.is_stopping = state, False
        job.begun = msgspec.structs.replace(
            job.begun,
            ended="" if state == "interrupted" else state,
            error=error,
            bytes_done=now.bytes_done if now else job.begun.bytes_done,
            bytes_total=now.bytes_total if now and now.bytes_total is not None else job.begun.bytes_total,
        )
        self._save(job)

    def _note(self) -> None:
        """Writes down how far they are, so that a server that is killed leaves it behind."""
        while not self._closing.wait(NOTE_EVERY_S):
            with self._lock:
                running = [job for job in self._jobs.values() if job.thread and job.download]
                for job in running:
                    assert job.download is not None
                    now = job.download.snapshot()
                    if now.bytes_total is not None:
                        job.begun = msgspec.structs.replace(
                            job.begun, bytes_done=now.bytes_done, bytes_total=now.bytes_total
                        )
                if not running:
                    self._noter = None
                    return
                self._save(*running)

    def _save(self, *changed: _Job) -> None:
        kept = {job.begun.id for job in self._jobs.values() if job.state != "done"}
        self._ledger.update({job.begun.id: job.begun if job.begun.id in kept else None for job in changed})

    def _shown(self, job: _Job) -> Pull:
        begun = job.begun
        if job.download is None or job.state not in LIVE:
            return Pull(
                id=begun.id,
                model=begun.model,
                state=job.state,
                live=job.state in LIVE,
                began=begun.began,
                bytes_done=begun.bytes_done,
                bytes_total=begun.bytes_total,
                error=begun.error,
            )
        now = job.download.snapshot()
        # What its thread says while it runs; its last word comes when the thread has ended.
        said: list[State] = [state for state in RUNNING if state == now.state and not job.is_stopping]
        return Pull(
            id=begun.id,
            model=begun.model,
            state=said[0] if said else "stopping",
            live=True,
            began=begun.began,
            file=now.file,
            bytes_done=now.bytes_done,
            bytes_total=now.bytes_total,
            rate=now.rate,
            eta_s=now.eta_s,
        )


def _outcome(download: Download) -> tuple[State, str | None]:
    try:
        download.run()
        return "done", None
    except R1ChatError as error:
        return ("stopped", None) if download.snapshot().state == "cancelled" else ("failed", str(error))
    except Exception:
        logger.exception("the download of %s failed", download.name)
        return "failed", f"The download failed in a way nobody foresaw. Try: r1chat pull {download.name}"
