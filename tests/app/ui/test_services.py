"""What the page stands on, begun and ended."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

from r1chat.app.ui.services import PageServices


def test_an_end_that_waits_for_a_transaction_does_not_stop_the_event_loop(tmp_path: Path) -> None:
    services = PageServices(tmp_path, lambda: "http://127.0.0.1:9", label="page")
    begun = threading.Event()

    def write() -> None:
        with services.store.database.write():
            begun.set()
            time.sleep(1)

    async def scenario() -> int:
        n_turns = 0
        async with services.running():
            writing = asyncio.create_task(asyncio.to_thread(write))
            await asyncio.to_thread(begun.wait)

            async def turn() -> None:
                nonlocal n_turns
                while not writing.done():
                    await asyncio.sleep(0.01)
                    n_turns += 1

            turning = asyncio.create_task(turn())
        await turning
        return n_turns

    assert asyncio.run(scenario()) > 20
