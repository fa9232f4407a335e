"""What commands that make a model of a name have in common: the name, the disk, an end that leaves nothing half."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import CommandError, Status, UsageError


def new_path(name: str, *, force: bool) -> Path:
    """Where the model of this name will lie. Raises UsageError for a name that is none, or is taken."""
    from ..serve.models.catalog import DEMO, student_path

    # A dot in front hides a file, and an ending makes a name a path.
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}", name) or name.lower().endswith(".gguf") or name == DEMO:
        raise UsageError(
            f"{name[:100]!r} cannot be a model's name: letters, digits, dots, dashes and underscores, up to 96, not "
            f"`{DEMO}` and not ending in .gguf. For example: --as my-model"
        )
    path = student_path(name)
    if os.path.exists(path) and not force:
        raise UsageError(f"There is a model called {name} already ({path}). To replace it, add: --force")
    return path


def check_disk(folder: Path, needed: int, elsewhere: str = "export R1CHAT_MODELS=/some/folder") -> None:
    """Raises CommandError where `needed` bytes would not fit beside what the folder holds."""
    from ..serve.models.sizes import human

    there = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    free = shutil.disk_usage(there).free
    if free < needed:
        raise CommandError(
            f"This takes up to {human(needed)} of disk and {there} has {human(free)} free. "
            f"Make room, or choose another disk: {elsewhere}"
        )


@contextmanager
def whole_or_nothing(folder: Path) -> Iterator[None]:
    """Ctrl-C, a service manager's stop and a full disk all end the block cleanly, with a word on it."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise CommandError("Stopped; nothing was kept. What there is: r1chat list", Status.STOPPED) from None
    except OSError as error:
        reason = error.strerror or error
        raise CommandError(
            f"{reason}; nothing was kept. See how much room there is: df -h {shlex.quote(str(folder))}"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt
