"""What an upstream tells of tokens, read from a socket that says whatever it was given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from r1chat.serve.api.upstream.text import tokens_of
from r1chat.serve.engine.request import Segment
from r1chat.serve.errors import NotSupportedError
from r1chat.serve.upstream.endpoint import Endpoint
from r1chat.serve.upstream.kinds import Kind

pytestmark = pytest.mark.anyio

TEXT = (Segment("a é", False),)


@asynccontextmanager
async def llama_server(said: Any) -> AsyncIterator[Endpoint]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"tokens": said}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        endpoint = Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        endpoint.kind = Kind.LLAMA_SERVER
        try:
            yield endpoint
        finally:
            await endpoint.close()


async def test_pieces_are_texts_or_bytes() -> None:
    async with llama_server([{"id": 5, "piece": "a "}, {"id": 7, "piece": [195]}]) as endpoint:
        answer = await tokens_of(endpoint, "m", TEXT)
    assert (answer.tokens, answer.pieces) == ((5, 7), (b"a ", b"\xc3"))


@pytest.mark.parametrize(
    "said",
    [[5, 7], None, "5", [{"id": 5}], [{"id": "x", "piece": "a"}], [{"id": 5, "piece": 9}], [{"id": 5, "piece": [999]}]],
)
async def test_one_that_tells_no_pieces_lacks_that_and_breaks_nothing(said: Any) -> None:
    async with llama_server(said) as endpoint:
        with pytest.raises(NotSupportedError, match="llama-server"):
            await tokens_of(endpoint, "m", TEXT)
