"""Server-sent events: the response that sends them, and what ends when its client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")

KEEP_ALIVE_S = 15.0
KEEP_ALIVE = b":\n\n"

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class SseResponse(Response):
    """Sends frames until they end or the client leaves, which closes the generator at once.

    What `farewell` gives is sent if the server is shut down before the stream has ended.
    """

    def __init__(self, first: bytes, frames: AsyncGenerator[bytes, None], farewell: Callable[[], bytes]) -> None:
        self.background = None
        self._first = first
        self._frames = frames
        self._farewell = farewell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writer = asyncio.create_task(self._write(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({writer, gone}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _cancel(writer)
            await send(_part(self._farewell(), more=False))
            raise
        finally:
            await _cancel(writer, gone)
            await self._frames.aclose()
        if not writer.cancelled():
            # The transport closing under a write is the client leaving, too.
            with contextlib.suppress(OSError):
                writer.result()

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        beat = asyncio.create_task(self._keep_alive(send))
        try:
            await self._send_frame(send, self._first)
            async for frame in self._frames:
                await self._send_frame(send, frame)
        finally:
            await _cancel(beat)
        await send(_part(b"", more=False))

    async def _send_frame(self, send: Send, frame: bytes) -> None:
        self._sent_at = time.monotonic()
        await send(_part(frame, more=True))

    async def _keep_alive(self, send: Send) -> None:
        """Proxies cut connections that stay silent, and a long prompt is silent for long."""
        self._sent_at = time.monotonic()
        while True:
            silent_s = time.monotonic() - self._sent_at
            if silent_s >= KEEP_ALIVE_S:
                await self._send_frame(send, KEEP_ALIVE)
                silent_s = 0.0
            await asyncio.sleep(KEEP_ALIVE_S - silent_s)


async def until_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Awaits `work`, and cancels it when the client leaves. Raises ClientDisconnect then."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        await _cancel(task, gone)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancels and waits; results and errors stay with their tasks."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _part(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}
