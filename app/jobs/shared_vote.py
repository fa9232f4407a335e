"""One vote of /v1 that several replies read, each the part that is its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from ...serve.client import Client, ContentDelta, Done, ReasoningDelta
from ...serve.vote_events import VoteDelta, VoteEvent, VoteStanding, VoteThinkingEnded, VoteThoughtDone
from .live import Event
from .sources import Source


class SharedVote:
    """Begins with its first reader, and is broken off when all have gone and not all have read to their end.

    `on_report` is told how the vote stands.
    """

    def __init__(
        self,
        client: Client,
        messages: list[dict[str, Any]],
        n: int,
        params: dict[str, Any],
        on_report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._client = client
        self._messages = messages
        self._params = params
        self._on_report = on_report
        self._parts: list[asyncio.Queue[Event | Exception | None]] = [asyncio.Queue() for _ in range(n)]
        self._reading: asyncio.Task[None] | None = None
        self._left: set[int] = set()
        self._is_cut = False
        self._ends: dict[int, str] = {}
        self._id = ""

    def source(self, index: int) -> Source:
        """What thought `index` says."""

        async def source(_: Client) -> AsyncGenerator[Event, None]:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            is_whole = False
            try:
                while (event := await self._parts[index].get()) is not None:
                    if isinstance(event, Exception):
                        raise event
                    yield event
                is_whole = True
            finally:
                self.left(index, is_whole=is_whole)

        return source

    async def over(self) -> None:
        """Waits for the last word of the vote, which comes behind all thoughts, and frees its client."""
        if self._reading is not None:
            await asyncio.wait({self._reading})
        await self._client.aclose()

    def left(self, index: int, *, is_whole: bool = False) -> None:
        """Nobody reads thought `index` any more, or ever will. When all are left, and one early, the vote ends."""
        if index in self._left:
            return
        self._left.add(index)
        self._is_cut = self._is_cut or not is_whole
        if len(self._left) == len(self._parts) and self._is_cut and self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        last: Exception | None = None
        try:
            async with aclosing(self._client.vote(self._messages, len(self._parts), **self._params)) as events:
                async for event in events:
                    if not isinstance(event, Done):
                        self._pass_on(event)
        except Exception as error:  # whoever reads it knows what to make of it
            last = error
        for part in self._parts:
            part.put_nowait(last)

    def _pass_on(self, event: VoteEvent) -> None:
        if isinstance(event, VoteStanding):
            self._on_report(event.report)
        elif isinstance(event, VoteThinkingEnded):
            self._ends[event.index] = event.reasoning_end
        elif isinstance(event, VoteThoughtDone):
            part = self._parts[event.index]
            part.put_nowait(self._done(event))
            part.put_nowait(None)
        else:
            self._pass_text(event)

    def _pass_text(self, delta: VoteDelta) -> None:
        self._id = delta.id or self._id
        if delta.reasoning:
            self._parts[delta.index].put_nowait(ReasoningDelta(delta.reasoning, self._id))
        if delta.content:
            self._parts[delta.index].put_nowait(ContentDelta(delta.content, self._id, self._ends.get(delta.index)))

    def _done(self, end: VoteThoughtDone) -> Done:
        details = {"reasoning_tokens": end.reasoning_tokens}
        usage = {"completion_tokens": end.completion_tokens, "completion_tokens_details": details}
        return Done(end.finish_reason, usage, {}, self._id, self._ends.get(end.index))
