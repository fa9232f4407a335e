"""Looks whether the conversations that are kept here are whole, for `r1chat doctor`, and mends those that are not."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ..serve.models.sizes import human
from .conversations.database import StoreError
from .conversations.mending import finish, look, mend, unfinished
from .errors import CommandError
from .health import Check


def conversation_check(path: Path) -> Check:
    """Reads the file and changes nothing."""
    help_ = f"r1chat doctor --mend --data {shlex.quote(str(path.parent))}"
    if aside := unfinished(path):
        return Check("chats", "broken", f"mending {path} was broken off; the damaged file is kept as {aside}", help_)
    if not os.path.exists(path):
        return Check("chats", "ok", f"none are kept yet in {path.parent}")
    try:
        found = look(path)
    except StoreError as error:
        return Check("chats", "broken", str(error))
    if found.problem:
        return Check("chats", "broken", f"{path} is damaged: {found.problem.splitlines()[-1]}", help_)
    text = f"{found.conversations} with {found.messages} messages, {human(path.stat().st_size)}, in {path}"
    return Check("chats", "ok", text, data={"path": str(path), "conversations": found.conversations})


def mended(path: Path) -> str:
    """What was done, for a person. Raises CommandError where there is no file, StoreError while it is in use."""
    finish(path)
    if not os.path.exists(path):
        raise CommandError(f"There is no {path} to mend. See what is kept where: r1chat doctor")
    found = look(path)
    if not found.problem:
        return f"{path} is whole: {found.conversations} conversations. Nothing was changed."
    saved, aside = mend(path)
    return (
        f"{saved.conversations} conversations with {saved.messages} messages were saved into {path}. "
        f"The damaged file is kept as {aside}"
    )
