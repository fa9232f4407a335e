"""Server-sent events: the bytes of one streamed chat completion, and the response that sends them.

Per token only its own text is encoded; everything constant is prepared once per request.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..engine.request import Channel, Finished
from .replies import TimingsBody, UsageBody, wire_finish_reason

T = TypeVar("T")

KEEP_ALIVE_S = 15.0
KEEP_ALIVE = b":\n\n"
DONE = b"data: [DONE]\n\n"

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class ChunkWriter:
    """Bytes of the chunks of one completion, in the OpenAI shape."""

    def __init__(
        self, completion_id: str, created: int, model: str, *, include_usage: bool, deterministic: bool
    ) -> None:
        head = msgspec.json.encode(
            {"id": completion_id, "object": "chat.completion.chunk", "created": created, "model": model}
        )
        self._include_usage = include_usage
        self._head = b"data: " + head[:-1] + b',"choices":['
        self._delta = self._head + b'{"index":0,"delta":'
        usage = b',"usage":null' if include_usage else b""
        self._deterministic = b',"deterministic":' + msgspec.json.encode(deterministic)
        self._after_delta = b',"logprobs":null,"finish_reason":null}]' + usage + b"}\n\n"

    def role(self) -> bytes:
        return self._delta + b'{"role":"assistant","content":null}' + self._after_delta

    def text(self, channel: Channel, text: str) -> bytes:
        """Reasoning goes out under both names that clients look for."""
        encoded = msgspec.json.encode(text)
        if channel == Channel.CONTENT:
            return self._delta + b'{"content":' + encoded + b"}" + self._after_delta
        return self._delta + b'{"reasoning_content":' + encoded + b',"reasoning":' + encoded + b"}" + self._after_delta

    def end(self, finished: Finished) -> bytes:
        """The finishing chunk, the usage chunk where it was asked for, and [DONE]."""
        reason = msgspec.json.encode(wire_finish_reason(finished.reason))
        timings = TimingsBody.of(finished.timings, finished.usage).model_dump_json().encode()
        usage = UsageBody.of(finished.usage).model_dump_json().encode()
        null_usage = b',"usage":null' if self._include_usage else b""
        tail = b',"timings":' + timings + self._deterministic + b"}\n\n"
        last = b"{}" + b',"logprobs":null,"finish_reason":' + reason + b"}]" + null_usage
        frames = self._delta + last + tail
        if self._include_usage:
            frames += self._head + b'],"usage":' + usage + tail
        return frames + DONE

    @staticmethod
    def error(body: bytes) -> bytes:
        """The terminal event of a stream that failed; `body` is one line of JSON."""
        return b"data: " + body + b"\n\n"


class SseResponse(Response):
    """Sends frames until they end or the client leaves, which closes the generator at once.

    `farewell` is sent if the server is shut down before the stream has ended.
    """

    def __init__(self, first: bytes, frames: AsyncGenerator[bytes, None], farewell: bytes) -> None:
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
            await send(_part(self._farewell, more=False))
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
