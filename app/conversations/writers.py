"""Which of the processes that write into one conversation file still live.

Each holds a locked file beside it. The system lets go of the lock however the process ends, so a reply whose
writer holds no lock was left unfinished.
"""

from __future__ import annotations

import glob
import secrets
from pathlib import Path

from filelock import FileLock, Timeout


class Writer:
    """This process's place among the writers of the file at `path`; `id` stands beside the replies it writes.

    To be made, and `others` to be asked, by one process at a time: within a write transaction.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.id = secrets.token_hex(8)
        # Whichever thread closes.
        self._lock = FileLock(f"{path}-writer-{self.id}", timeout=0, thread_local=False)
        self._lock.acquire()

    def close(self) -> None:
        """Gives the place up."""
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def others(self) -> set[str]:
        """The ids of the other writers that live; what the dead left of theirs is removed."""
        return living(self._path, but=self.id)


def living(path: Path, but: str = "") -> set[str]:
    """The ids of the writers of the file at `path` that live, without `but`; what the dead left is removed."""
    by_id = {file.name.rpartition("-")[2]: file for file in path.parent.glob(f"{glob.escape(path.name)}-writer-*")}
    return {writer for writer, file in by_id.items() if writer != but and _is_held(file)}


def _is_held(file: Path) -> bool:
    try:
        with FileLock(file, timeout=0):
            file.unlink(missing_ok=True)
    except Timeout:
        return True
    return False
