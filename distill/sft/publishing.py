"""Trained weights come to their place in a run."""

from __future__ import annotations

import shutil
from pathlib import Path

from ...serve.files import put_in_place
from ..run_folder import RunFolder
from ..students import Method
from .formats import write_format


def publish(method: Method, base: Path, result: Path, folder: RunFolder) -> None:
    """Brings `result` there, a whole student with the tokeniser and template of `base`, in which it was trained."""
    if method == "full":
        write_format(base, result)
    folder.trained.unlink(missing_ok=True)  # from here on it would speak of another student
    for place in (folder.student, folder.adapter):
        shutil.rmtree(place, ignore_errors=True)
    put_in_place(result, folder.student if method == "full" else folder.adapter)
