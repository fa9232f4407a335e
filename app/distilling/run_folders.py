"""The folder of a run as the command line uses it: who works in it, and with which options it was begun."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from ...distill.run_folder import RunFolder


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Two at work in one folder would write the same files. Who was killed leaves no lock behind."""
    from filelock import FileLock, Timeout

    try:
        root.mkdir(parents=True, exist_ok=True)
        # not at once: the page looks for a moment whether somebody has it
        lock = FileLock(root / ".lock", timeout=1)
        lock.acquire()
    except Timeout as error:
        raise UsageError(
            f"Another r1chat is at work in {root}. Once it has ended: r1chat distill --run-dir {shlex.quote(str(root))}"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{root} cannot be the folder of a run ({error.strerror}). Choose another: r1chat distill --run-dir DIR"
        ) from error
    try:
        yield
    finally:
        lock.release()


def stored_options(root: Path) -> dict[str, Any]:
    """The options this folder's run was begun with."""
    record = root / "run.json"
    if not os.path.isfile(record):
        return {}
    try:
        return dict(json.loads(record.read_text(encoding="utf-8")).get("options", {}))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        again = f"r1chat distill --student NAME --run-dir {shlex.quote(f'{root}-2')}"
        raise UsageError(f"{record} cannot be read ({error}). Begin anew: {again}") from error


def store_options(folder: RunFolder, options: dict[str, Any]) -> None:
    record = folder.read_json(folder.record)
    folder.write_json(folder.record, {**record, "options": options})
