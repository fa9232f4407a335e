"""Who of the replies that wait has to wait for others: asked of the server while any waits, told to nobody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from ...serve.client import Client
from ...serve.errors import R1ChatError
from .live import LiveReply

LOOK_S = 0.5


class Queue:
    """`waiting` gives the replies without a token yet, in the order in which they were asked."""

    def __init__(
        self,
        waiting: Callable[[], Sequence[LiveReply]],
        make_client: Callable[[], Client],
        on_change: Callable[[LiveReply], None],
    ) -> None:
        self._waiting = waiting
        self._make_client = make_client
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """To be called when somebody begins to wait."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        await asyncio.sleep(LOOK_S)
        if not self._waiting():
            return
        async with self._make_client() as client:
            while self._waiting():
                # A server that says nothing of it, or is busy going away, leaves them without a place.
                n_queued = 0
                with contextlib.suppress(R1ChatError):
                    n_queued = int((await client.health()).get("waiting", 0))
                self._place(n_queued)
                await asyncio.sleep(LOOK_S)

    def _place(self, n_queued: int) -> None:
        """The last of those who wait are not served yet; whoever asked first is served first."""
        waiting = self._waiting()
        n_served = max(0, len(waiting) - n_queued)
        for i, live in enumerate(waiting):
            position = i - n_served + 1 if i >= n_served else None
            if position != live.position:
                live.position = position
                self._on_change(live)
