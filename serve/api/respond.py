"""Outputs onto the wire: whole, or streamed as they come, by whatever writer speaks the client's dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from fastapi import Request
from starlette.responses import Response

from ..errors import EngineStoppedError
from .outputs import Output, Outputs, Reply, collect
from .sse import SseResponse, until_disconnect
from .wire_errors import body_of, json_response, request_id_of


class Writer(Protocol):
    """The bytes of one answer in one dialect; a stream's frames are complete server-sent events."""

    def head(self) -> bytes:
        """What comes first, once the engine has taken the request in."""
        ...

    def frame(self, output: Output) -> bytes:
        """One event; empty where the dialect has nothing to say."""
        ...

    def tail(self) -> bytes:
        """What comes last, behind the Finished of every reply."""
        ...

    def error(self, body: bytes) -> bytes:
        """The last frame of a stream that failed; `body` is the error's JSON in one line."""
        ...

    def whole(self, replies: list[Reply]) -> bytes:
        """The JSON body of the answer that is not streamed."""
        ...


async def respond(request: Request, outputs: Outputs, writer: Writer, *, stream: bool) -> Response:
    """What fails before the first event is raised, and so becomes a real HTTP error; so is ClientDisconnect."""
    if not stream:
        replies = await until_disconnect(request, collect(outputs))
        return json_response(await asyncio.to_thread(writer.whole, replies), 200, {})
    frames = _frames(outputs, writer, request_id_of(request))
    first = await until_disconnect(request, anext(frames))
    goodbye = body_of(EngineStoppedError("The server is shutting down."), request_id_of(request))
    return SseResponse(first, frames, lambda: writer.error(goodbye))


async def _frames(outputs: Outputs, writer: Writer, request_id: str) -> AsyncGenerator[bytes, None]:
    """Ends in exactly one terminal frame: the writer's tail or its error."""
    async with aclosing(outputs):
        first = await anext(outputs)
        try:
            yield writer.head()
            if frame := writer.frame(first):
                yield frame
            async for output in outputs:
                if frame := writer.frame(output):
                    yield frame
            # with log probabilities it may be megabytes, which others would wait for
            yield await asyncio.to_thread(writer.tail)
        except Exception as error:
            yield writer.error(body_of(error, request_id))
