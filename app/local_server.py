"""The API for one command: on a free loopback port for as long as a block runs, with no page.

Imports what the engine's process needs to begin, and no more: the server's own imports take as long as a small model's
load, so the two happen side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from threading import Thread
from typing import TypeVar

from ..serve.models.catalog import ModelEntry
from ..serve.models.fit.machine import look
from ..serve.models.residents.manager import Limits, ModelManager
from ..serve.models.residents.resident import ModelSpec
from ..serve.models.specs import LoadOptions, find_spec, spec_of

T = TypeVar("T")


def managed(entry: ModelEntry, options: LoadOptions, limits: Limits) -> tuple[ModelManager, str]:
    """Nothing is loaded yet; with a sentence about what the model takes. Raises ModelLoadError.

    What was asked for the default model holds for the others, too, where their engine knows it. Each is planned as if
    it were alone: those that are idle make room, and its context does not depend on who else is loaded.
    """
    machine = look()
    if limits.memory_bytes is not None:
        machine = replace(machine, ram_available=min(machine.ram_available, limits.memory_bytes))

    def find(name: str) -> ModelSpec | None:
        spec = find_spec(name, options, machine)
        return spec and within(spec, limits)

    spec, sentence = spec_of(entry, options, machine)
    return ModelManager(within(spec, limits), find, limits, machine), sentence


def within(spec: ModelSpec, limits: Limits) -> ModelSpec:
    """Where memory is bounded, what conversations take of it is, too: an eighth of what the model leaves, as always."""
    if limits.memory_bytes is None or spec.config.host_cache_bytes is not None:
        return spec
    left = max(0, limits.memory_bytes - spec.n_bytes)
    return replace(spec, config=replace(spec.config, host_cache_bytes=left // 8))


@asynccontextmanager
async def local_server(entry: ModelEntry, options: LoadOptions | None = None) -> AsyncIterator[str]:
    """Its URL. Raises ModelLoadError."""
    manager, _ = managed(entry, options or LoadOptions(), Limits(max_models=1))
    loading = asyncio.create_task(manager.start())
    try:
        serve = await beside(_imported)
        await loading
        async with serve(manager) as url:
            yield url
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await manager.stop()


async def beside(make: Callable[[], T]) -> T:
    """What `make` returns or raises, from a thread that Ctrl-C does not wait for: an import takes seconds."""
    made: Future[T] = Future()
    made.set_running_or_notify_cancel()

    def run() -> None:
        try:
            made.set_result(make())
        except BaseException as error:
            made.set_exception(error)

    Thread(target=run, name="import", daemon=True).start()
    return await asyncio.wrap_future(made)


def _imported() -> Callable[[ModelManager], AbstractAsyncContextManager[str]]:
    from .server import serve_on_loopback

    return serve_on_loopback
