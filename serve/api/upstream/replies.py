"""Replies that other servers are writing now: what is heard of each, and how word gets to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Literal

from ...engine.request import Accepted, Finished
from ...errors import NotFoundError, NotSupportedError
from ...upstream.endpoint import Endpoint
from ...upstream.failures import Failure
from ...upstream.kinds import Kind
from ...upstream.pool import Pool, Taken
from .reader import ReplyReader, UpstreamEvent

# Chunks that may wait for a client that reads slowly; then the upstream is made to wait.
MAX_WAITING = 256
CONTROL = "/v1/chat/completions/control"


class UpstreamReply:
    """One reply. `body_for` says what to ask of an upstream, `reader_for` how to read what it sends; `endpoint` is the
    one that has it now.
    """

    def __init__(
        self,
        pool: Pool,
        model: str,
        path: str,
        body_for: Callable[[Endpoint], dict[str, Any]],
        reader_for: Callable[[Endpoint], ReplyReader],
    ) -> None:
        self._pool = pool
        self._model = model
        self._path = path
        self._body_for = body_for
        self._reader_for = reader_for
        self.endpoint: Endpoint | None = None
        self._reader: ReplyReader | None = None
        self._queue: asyncio.Queue[UpstreamEvent | Accepted | Exception | None] = asyncio.Queue(MAX_WAITING)
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False

    async def events(self, request_id: str) -> AsyncGenerator[UpstreamEvent | Accepted, None]:
        """All there is of it. Closing ends the connection to the upstream at once. Raises R1ChatErrors."""
        if self._queue.empty():
            self._task = asyncio.create_task(self._fill(request_id))
        try:
            while (event := await self._queue.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
            if self._is_stopped:
                yield (self._reader or ReplyReader(request_id)).aborted()
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    def stop(self) -> None:
        """Ends it: its last event is a Finished with FinishReason.ABORT."""
        if self._task is None or not self._task.done():
            self._is_stopped = True
            self._end_with(None)

    def fail(self, error: Exception) -> None:
        """Ends it with this error."""
        if self._task is None or not self._task.done():
            self._end_with(error)

    def _end_with(self, last: Exception | None) -> None:
        """What waits to be told is forgotten."""
        if self._task is not None:
            self._task.cancel()
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(last)

    async def control(self, action: Literal["answer_now", "think_more"]) -> bool:
        """False where it has ended, or its upstream has not named it yet. Raises NotSupportedError."""
        if self.endpoint is None or self._reader is None or not self._reader.id:
            return False
        word = _word(self.endpoint.kind, action)
        try:
            answer = await self.endpoint.ask("POST", CONTROL, {"id": self._reader.id, "action": word})
        except Failure as failure:
            if isinstance(failure.error, NotFoundError):
                return False
            raise failure.error from failure
        return answer.get("success") is True

    async def _fill(self, request_id: str) -> None:
        """Reads ahead of our client, so that a stop need not wait for the upstream's next word."""
        accepted = False
        try:
            chunks = self._pool.stream(self._model, self._path, self._body_for)
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    if isinstance(chunk, Taken):
                        self.endpoint = chunk.endpoint
                        self._reader = self._reader_for(chunk.endpoint)
                        if not accepted:
                            await self._queue.put(Accepted(request_id, 0))
                            accepted = True
                        continue
                    assert self._reader is not None, "chunks come from whoever took the request"
                    for event in self._reader.read(chunk):
                        await self._queue.put(event)
            assert self._reader is not None and self.endpoint is not None
            for event in self._reader.finish():
                await self._queue.put(event)
            if self._reader.separates:
                self.endpoint.separates.add(self._model)
            await self._queue.put(None)
        except Exception as error:
            await self._queue.put(error)


def _word(kind: Kind, action: Literal["answer_now", "think_more"]) -> str:
    if kind is Kind.R1CHAT:
        return action
    if kind is Kind.LLAMA_SERVER and action == "answer_now":
        return "reasoning_end"
    raise NotSupportedError(f"The upstream is {kind.value}, which cannot be told so while it thinks.", "action")


@dataclass(slots=True)
class _Live:
    owner: str
    replies: list[UpstreamReply]


class Running:
    """Those replies, by the completion's id, and what all that ended have cost."""

    def __init__(self) -> None:
        self._live: dict[str, _Live] = {}
        self.totals = dict.fromkeys(
            ("prompt_tokens_total", "cached_tokens_total", "predicted_tokens_total", "reasoning_tokens_total"), 0
        )

    @property
    def n_replies(self) -> int:
        return len(self.all())

    def all(self) -> list[UpstreamReply]:
        return [reply for live in self._live.values() for reply in live.replies]

    @contextlib.contextmanager
    def entered(self, completion_id: str, owner: str, replies: list[UpstreamReply]) -> Any:
        """For as long as the block runs."""
        self._live[completion_id] = _Live(owner, replies)
        try:
            yield
        finally:
            del self._live[completion_id]

    def of(self, completion_id: str, owner: str) -> list[UpstreamReply] | None:
        """Those of `owner`; of others nothing is told."""
        live = self._live.get(completion_id)
        return live.replies if live and live.owner == owner else None

    def stop(self, completion_id: str) -> None:
        if live := self._live.get(completion_id):
            for reply in live.replies:
                reply.stop()

    def fail(self, error: Exception) -> None:
        """Ends all of them."""
        for reply in self.all():
            reply.fail(error)

    def add(self, finished: Finished) -> None:
        """Into the totals."""
        usage = finished.usage
        self.totals["prompt_tokens_total"] += max(0, usage.prompt_tokens - usage.cached_tokens)
        self.totals["cached_tokens_total"] += usage.cached_tokens
        self.totals["predicted_tokens_total"] += usage.completion_tokens
        self.totals["reasoning_tokens_total"] += usage.reasoning_tokens
