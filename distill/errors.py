"""Errors of a run."""

from __future__ import annotations

import shlex
from pathlib import Path

from ..serve.errors import R1ChatError


class DistillError(R1ChatError):
    """A run cannot start or go on; the text ends with what mends it."""


def of_run(text: str, root: Path) -> str:
    """The text; a command of distill that it ends with says of which run it is."""
    return with_options(text, f"--run-dir {quoted(root)}")


def with_options(text: str, which: str) -> str:
    """The text; a command of distill that it ends with gets these options, unless it says by itself what it is for."""
    _, command, options = text.rpartition("r1chat distill ")
    said = any(option in options for option in ("--run-dir", "--recipe", "--student", "--help"))
    return text if said or not command else f"{text} {which}"


def quoted(path: Path) -> str:
    """As a shell takes it, for the command that an error ends with."""
    return shlex.quote(str(path))
