"""What is imported while the engine loads: it comes back, fails as itself, and holds up nobody who leaves."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from r1chat.app.local_server import beside, managed
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.models.catalog import resolve
from r1chat.serve.models.residents.manager import Limits
from r1chat.serve.models.specs import LoadOptions


def test_what_is_made_comes_back_or_is_raised() -> None:
    assert asyncio.run(beside(lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        asyncio.run(beside(lambda: 1 // 0))


def test_who_leaves_does_not_wait_for_what_is_being_made() -> None:
    made = threading.Event()

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(beside(lambda: made.wait(120)), 0.05)

    began = time.monotonic()
    asyncio.run(leave())
    assert time.monotonic() - began < 60
    made.set()


def test_what_bounds_memory_bounds_the_conversations_in_it_too() -> None:
    bundled, bound = resolve("demo"), 1 << 30
    manager, _ = managed(bundled, LoadOptions(), Limits(memory_bytes=bound))
    spec = manager.default.spec
    assert spec.config.host_cache_bytes == (bound - spec.n_bytes) // 8
    named = LoadOptions(engine=EngineConfig(host_cache_bytes=5))
    assert managed(bundled, named, Limits(memory_bytes=bound))[0].default.spec.config.host_cache_bytes == 5
    assert managed(bundled, LoadOptions(), Limits())[0].default.spec.config.host_cache_bytes is None
