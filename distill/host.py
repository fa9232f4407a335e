"""What distill borrows from whoever starts it, because it reaches models over HTTP only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .rows import Teacher


@dataclass(frozen=True)
class Served:
    """A model behind /v1: the URL's base, the id to ask it by, and who it is."""

    url: str
    model: str
    teacher: Teacher


@dataclass(frozen=True)
class Host:
    """`serve` puts a GGUF (a path, or the name of a model that is here) behind /v1 while its block runs, and may be
    given a LoRA adapter's GGUF (`adapter`) and how many requests, of how many tokens, are
    computed side by side (`at_once`, `context`). `register`
    puts a finished GGUF (moved or linked) into the model list under a name, with its card, and gives its place. `say`
    shows a person one line. `teacher_key` is the API key for a teacher that is a URL.
    """

    serve: Callable[..., AbstractAsyncContextManager[Served]]
    register: Callable[[Path, str, dict[str, Any]], Path]
    say: Callable[[str], None]
    teacher_key: str | None = None
