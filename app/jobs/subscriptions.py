"""Who looks at a conversation, and what each has been told so far.

The first thing goes out at once, what follows at most every REFRESH_S. Whoever reads slowly gets more at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from ..conversations.records import Message
from .events import Delta, Event, Gone, Told
from .live import LiveReply, Phase

REFRESH_S = 0.1


@dataclass(slots=True)
class _Cursor:
    live: LiveReply
    n_reasoning: int
    n_content: int
    stands: tuple[Phase, int | None] | None = None

    def advance(self) -> Delta | None:
        """What is new; None where nothing is."""
        live = self.live
        stands = live.phase, live.position
        had, now = (self.n_reasoning, self.n_content), (len(live.reasoning), len(live.content))
        if had == now and stands == self.stands:
            return None
        self.n_reasoning, self.n_content = now
        self.stands = stands
        return Delta(
            live.id,
            live.phase,
            live.position,
            live.reasoning.since(had[0]),
            live.content.since(had[1]),
            live.reasoning_tokens,
            live.answer_tokens,
            round(live.thinking_s, 3),
            round(live.total_s, 3),
            round(live.tokens_per_s, 1),
        )


class Subscription:
    """One reader of one conversation. `find` gives a live reply by its message's id."""

    def __init__(self, conversation: str, find: Callable[[str], LiveReply | None]) -> None:
        self.conversation = conversation
        self._find = find
        self._told: deque[Told] = deque()
        self._cursors: dict[str, _Cursor] = {}
        self._changed = asyncio.Event()

    def touch(self) -> None:
        """A live reply has something new."""
        self._changed.set()

    def tell(self, told: Told) -> None:
        self._told.append(told)
        self._changed.set()

    def follow(self, message: Message) -> Message:
        """The live message with all that there is of it; what comes later goes out as deltas. Others stay as is."""
        live = self._find(message.id) if message.state == "live" else None
        if live is None:
            self._cursors.pop(message.id, None)
            return message
        self._cursors[message.id] = _Cursor(live, len(live.reasoning), len(live.content))
        self._changed.set()
        return live.snapshot()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Ends only with the conversation. What a MessageChanged holds is to be followed."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while told := self._told.popleft() if self._told else None:
                # First: a reply that is told to have ended is whole then for those who saw it grow.
                if deltas := self._deltas():
                    yield deltas
                yield told
                if isinstance(told, Gone):
                    return
            if deltas := self._deltas():
                yield deltas
            await asyncio.sleep(REFRESH_S)

    def _deltas(self) -> tuple[Delta, ...]:
        return tuple(filter(None, (cursor.advance() for cursor in self._cursors.values())))
