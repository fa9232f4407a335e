"""Puts a finished GGUF among the models that are served by their names, with a card that says where it is from."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

from ..errors import InvalidRequestError, ModelNotFoundError
from ..files import replace_file
from .catalog import DEMO, read_card, student_path


def register_student(path: Path, name: str, card: dict[str, Any]) -> Path:
    """Links `path` (copies it, from another disk) as the model `name`; where it lies then.

    What came from the same `source` (of the card) before is replaced. Raises InvalidRequestError where the name is
    taken, ModelNotFoundError where it is none.
    """
    check_is_free(name, card.get("source"))
    target = student_path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(target) as aside:
        _link(path, aside)
        # Without its card the new file would be taken for one that was put there by hand, so the card goes first.
        with replace_file(target.with_suffix(".json")) as aside_card:
            aside_card.write_text(json.dumps({"name": name, **card}, indent=1, ensure_ascii=False), encoding="utf-8")
    return target


def check_is_free(name: str, source: str | None) -> None:
    """Whether a model of this name may come from `source`. Raises what register_student() does."""
    target = student_path(name)
    there = read_card(target) or {}
    taken = target.exists() and (there.get("source") is None or there.get("source") != source)
    if name == DEMO or taken:
        raise InvalidRequestError(
            f"There is a model called {name} already, and it is not from here. "
            f"Delete that one (r1chat rm {name}), or choose another name: r1chat distill --name NAME"
        )


def came_from(name: str, source: str) -> bool:
    """Whether the model of this name is here, and from there."""
    try:
        target = student_path(name)
    except ModelNotFoundError:
        return False
    return target.is_file() and (read_card(target) or {}).get("source") == source


def _link(source: Path, aside: Path) -> None:
    """A second name of the same file: it outlives the folder of the run, and takes no disk."""
    aside.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), aside)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES):
            raise
        shutil.copyfile(source, aside)
