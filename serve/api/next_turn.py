"""What a conversation's next request will begin with, computed while the person still reads.

R1's template drops the old thought, so all that lies behind it in the cache is of no use to the next turn.
Belongs to one event loop; templates are rendered on threads.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

from ..engine.process import EngineProcess
from ..engine.request import (
    Channel,
    Event,
    Finished,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    PrepareRequest,
    Segment,
    TokenOutput,
)
from ..errors import InvalidRequestError
from .forms.tools import CALL_OPEN, Tool
from .prompt.chat_template import Turn, render

E = TypeVar("E", bound=Event)


def next_prefix(turns: Sequence[Turn], answer: str, info: ModelInfo, tools: Sequence[Tool] = ()) -> tuple[Segment, ...]:
    """The segments before the text of a further question; none where the template allows no such turn.

    Exact: the seam between two segments is a seam between tokens, whatever the question will be.
    """
    question = f"r1chat-{secrets.token_hex(16)}"
    try:
        segments = render([*turns, Turn("assistant", answer), Turn("user", question)], info, tools).segments
    except InvalidRequestError:
        return ()
    return segments[: next((i for i, segment in enumerate(segments) if segment.text == question), 0)]


class NextTurns:
    """Hands the engine what to prepare, once per reply."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine
        self._tasks: set[asyncio.Task[None]] = set()

    async def follow(
        self,
        events: AsyncGenerator[E, None],
        request: GenerateRequest,
        turns: Sequence[Turn],
        *,
        streamed: bool,
        tools: Sequence[Tool] = (),
    ) -> AsyncGenerator[E, None]:
        """Passes the events of `request` on, and prepares the turn after it when they end.

        None is prepared after a tool call, where what is cached comes back as it is, thought and all, nor after
        the rest of a reply that was begun elsewhere.
        Whoever leaves a stream keeps the answer as far as it came; whoever leaves a whole reply has nothing.
        """
        answer: list[str] = []
        kept = streamed
        try:
            async for event in events:
                if isinstance(event, TokenOutput) and event.channel is Channel.CONTENT:
                    answer.append(event.text)
                elif isinstance(event, Finished):
                    kept = event.reason is not FinishReason.ABORT
                yield event
        except Exception:
            kept = False
            raise
        finally:
            await events.aclose()
            text = "".join(answer)
            if kept and text and request.begun is None and not (tools and CALL_OPEN in text):
                self._start(request, turns, text, tools)

    def _start(self, request: GenerateRequest, turns: Sequence[Turn], answer: str, tools: Sequence[Tool]) -> None:
        task = asyncio.create_task(self._prepare(request, turns, answer, tools))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _prepare(
        self, request: GenerateRequest, turns: Sequence[Turn], answer: str, tools: Sequence[Tool]
    ) -> None:
        info = self._engine.info
        assert info is not None, "a reply came from a loaded model"
        prompt = await asyncio.to_thread(next_prefix, turns, answer, info, tools)
        if not prompt:
            return
        self._engine.prepare(
            PrepareRequest(
                request_id=f"next-{uuid.uuid4().hex}",
                prompt=prompt,
                cache_scope=request.cache_scope,
                deterministic=request.deterministic,
                replaces=request.request_id,
            )
        )
