"""One vote that several replies read: it ends with the last reader, also where one never began to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from r1chat.app.jobs.shared_vote import SharedVote
from r1chat.serve.client import Client


class Endless:
    """A server whose vote says nothing and does not end by itself."""

    def __init__(self) -> None:
        self.is_closed = False

    async def vote(self, *_: Any, **__: Any) -> AsyncGenerator[Any, None]:
        try:
            await asyncio.Event().wait()
            yield
        finally:
            self.is_closed = True

    async def aclose(self) -> None:
        pass


def test_a_vote_is_ended_when_its_readers_are_stopped_though_one_never_began() -> None:
    async def scenario() -> bool:
        server = Endless()
        shared = SharedVote(cast(Client, server), [], 3, {}, lambda _: None)
        readers = [asyncio.create_task(read(shared, index)) for index in (1, 2)]
        await asyncio.sleep(0.01)
        shared.left(0)  # stopped while it waited for the server
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        for index in range(3):
            shared.left(index)  # each reply's end says so again
        await asyncio.wait_for(shared.over(), 5)
        return server.is_closed

    assert asyncio.run(scenario())


async def read(shared: SharedVote, index: int) -> None:
    async with aclosing(shared.source(index)(cast(Client, None))) as events:
        async for _ in events:
            pass
