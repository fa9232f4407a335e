"""What is imported while the engine loads: it comes back, fails as itself, and holds up nobody who leaves."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from r1chat.app.local_server import beside


def test_what_is_made_comes_back_or_is_raised() -> None:
    assert asyncio.run(beside(lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        asyncio.run(beside(lambda: 1 // 0))


def test_who_leaves_does_not_wait_for_what_is_being_made() -> None:
    made = threading.Event()

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(beside(lambda: made.wait(30)), 0.05)

    began = time.monotonic()
    asyncio.run(leave())
    assert time.monotonic() - began < 15
    made.set()
