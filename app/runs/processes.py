"""The processes that work on runs: begun in sessions of their own, so that they outlive the server, and stopped as
Ctrl-C would. Whether one works in a folder, its lock tells.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from ...serve.files import replace_file

LOG = "log.txt"
BEGUN = "begun.json"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What the page writes beside a run that it begins: who asked for it, and the process that does it. `owner` is
    None where no page did, and the run is everybody's; `stopped`: somebody had it stopped since.
    """

    owner: str | None = None
    pid: int = 0
    started: float = 0.0
    traces: str = ""
    stopped: bool = False


class Processes:
    """Knows those that it began, and by their command line those of an earlier server."""

    def __init__(self) -> None:
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def begin(self, root: Path, owner: str, traces: str, options: list[str]) -> None:
        """Has `r1chat distill` work in the folder; what it says goes to its log."""
        record = Begun(owner=owner, started=time.time(), traces=traces)
        # Before it begins: a run without a record is everybody's.
        _write(root, record)
        with (root / LOG).open("ab") as log:
            child = subprocess.Popen(
                [*command(), "distill", "--run-dir", str(root), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children[root] = child
        _write(root, msgspec.structs.replace(record, pid=child.pid))

    def works(self, root: Path) -> bool:
        """Whether a process works in the folder, or will as soon as it has loaded."""
        return self._pid(root) is not None or is_locked(root)

    def stop(self, root: Path) -> bool:
        """Asks the process to end; False where it is none of the page's."""
        pid = self._pid(root)
        if pid is None:
            return False
        _write(root, msgspec.structs.replace(begun(root), stopped=True))
        with suppress(ProcessLookupError):  # it has just ended
            if hasattr(os, "killpg"):
                # the whole session, as a terminal would
                os.killpg(pid, signal.SIGINT)
            else:
                os.kill(pid, signal.SIGTERM)
        return True

    def _pid(self, root: Path) -> int | None:
        child = self._children.get(root)
        if child is not None:
            return child.pid if child.poll() is None else None
        pid = begun(root).pid
        return pid if pid and _works_on(pid, root) else None


def begun(root: Path) -> Begun:
    """The record of a run that the page began; an empty one of any other."""
    try:
        return msgspec.json.decode((root / BEGUN).read_bytes(), type=Begun)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Begun()


def _write(root: Path, record: Begun) -> None:
    with replace_file(root / BEGUN) as aside:
        aside.write_bytes(msgspec.json.encode(record))


# To see whether a lock is free is to take it: of two that look at once one would find the other's.
_looking = threading.Lock()


def is_locked(root: Path) -> bool:
    """Whether some process holds the lock of app/commands/distill.py, which it does for as long as it lives."""
    lock = root / ".lock"
    if not lock.is_file():
        return False
    try:
        with _looking, FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def command() -> list[str]:
    """This r1chat."""
    return [sys.executable, "-m", "r1chat.app"]


def _works_on(pid: int, root: Path) -> bool:
    """Whether the process was begun for this run, whose folder may begin as another's does."""
    arguments = Path(f"/proc/{pid}/cmdline")
    with suppress(OSError):
        if sys.platform == "linux":
            return str(root) in arguments.read_text(encoding="utf-8", errors="replace").split("\0")
        told = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return f" {root} " in f"{told.stdout.strip()} "
    return False
