"""Errors of a run."""

from __future__ import annotations

import shlex
from pathlib import Path

from ..serve.errors import R1ChatError


class DistillError(R1ChatError):
    """A run cannot start or go on; the text ends with what mends it."""


def quoted(path: Path) -> str:
    """As a shell takes it, for the command that an error ends with."""
    return shlex.quote(str(path))
