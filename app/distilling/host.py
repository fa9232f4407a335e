"""What a run borrows from the app: models behind /v1, and a place in the model list."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..terminal import printable

if TYPE_CHECKING:
    from ...distill.host import Host, Served
    from ...distill.rows import Teacher
    from ...serve.models.catalog import ModelEntry


def make_host(teacher_key: str | None) -> Host:
    """On this machine: models run in children of this process while they are asked."""
    from ...distill.host import Host

    return Host(serve=serve, register=register, say=say, teacher_key=teacher_key)


@asynccontextmanager
async def serve(
    model: str | Path, *, adapter: Path | None = None, at_once: int | None = None, context: int | None = None
) -> AsyncIterator[Served]:
    """`model` is a GGUF's path or the name of a model that is here; `at_once` requests of up to
    `context` tokens are computed side by side.

    Raises ModelNotFoundError, ModelLoadError.
    """
    from ...distill.host import Served
    from ...serve.engine.config import EngineConfig
    from ...serve.models.catalog import ModelEntry, resolve
    from ...serve.models.specs import LoadOptions
    from ..local_server import local_server

    options = LoadOptions(engine=EngineConfig(n_seq_max=at_once, n_ctx=context)) if at_once else None
    entry = ModelEntry(model.stem, model) if isinstance(model, Path) else resolve(model)
    if adapter is not None:
        entry = replace(entry, adapter=adapter)
    async with local_server(entry, options) as url:
        yield Served(url, entry.id, describe(entry))


def describe(entry: ModelEntry) -> Teacher:
    """Who writes what this model writes, down to the bytes of its file."""
    from ...distill.rows import Teacher
    from ...serve.files import sha256_of
    from ...serve.models.gguf.info import read_info

    if entry.path.is_dir():
        return Teacher(name=entry.id)
    quant, digest = read_info(entry.path).file_type, sha256_of(entry.path)
    return Teacher(name=entry.id, quant=quant, sha256=digest, licence=licence_of(entry.id))


def licence_of(model: str) -> str | None:
    """Of a model by its id; None where it is not known."""
    from ...serve.models.catalog import DEMO, hub_id
    from ...serve.models.r1_models import R1_MODELS, alias_of

    if model == DEMO:
        return "MIT"
    wanted = hub_id(model)
    known = R1_MODELS.get(alias_of(wanted.repo) or "") if wanted else None
    return known.licence if known else None


def say(text: str) -> None:
    """One line on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


def register(path: Path, name: str, card: dict[str, Any]) -> Path:
    from ...serve.models.students import register_student

    return register_student(path, name, card)
