"""Replies that have ended, for a while: what a fork needs to go on from any point of one.

Bounded in number, bytes and age; the oldest go first. Belongs to one event loop.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ..engine.request import Event, Finished
from ..errors import NotFoundError
from .ask import Ask

E = TypeVar("E", bound=Event)

_OBJECTS = 3


@dataclass(frozen=True, slots=True)
class KeptReply:
    """What was asked of which model, and the tokens of the reply."""

    model: str
    ask: Ask
    tokens: array[int]

    @property
    def n_bytes(self) -> int:
        ask = self.ask
        said = [part for turn in ask.turns for part in turn if isinstance(part, str)]
        said += [part for turn in ask.turns for call in turn.tool_calls for part in call if isinstance(part, str)]
        said += [ask.text or "", ask.grammar.text if ask.grammar else ""]
        # as objects they take about three times as much as in JSON
        n_tools = _OBJECTS * sum(len(tool.model_dump_json()) for tool in ask.tools)
        return sum(map(len, said)) + n_tools + self.tokens.itemsize * len(self.tokens)


@dataclass(slots=True)
class _Entry:
    """The replies to one request. `shown` is the one that its client was shown as the first."""

    owner: str
    made: float
    replies: dict[int, KeptReply] = field(default_factory=dict)
    shown: int = 0
    n_bytes: int = 0


class KeptReplies:
    """By the completion's id and the choice; only who asked may have them back."""

    def __init__(
        self,
        *,
        max_count: int = 1000,
        max_bytes: int = 64 * 1024**2,
        max_age_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._entries: dict[str, _Entry] = {}  # oldest first
        self._n_bytes = 0

    async def follow(
        self, events: AsyncGenerator[E, None], model: str, ask: Ask, completion_id: str, choice: int
    ) -> AsyncGenerator[E, None]:
        """Passes a reply's events on, and keeps it when it has ended."""
        # what a fork began with is in the reply's tokens
        kept = replace(ask, begun=None)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Finished):
                    self.put(completion_id, choice, KeptReply(model, kept, array("i", event.tokens)))
                yield event

    def put(self, completion_id: str, choice: int, reply: KeptReply) -> None:
        entry = self._entries.setdefault(completion_id, _Entry(reply.ask.owner, self._clock()))
        entry.replies[choice] = reply
        entry.n_bytes += reply.n_bytes
        self._n_bytes += reply.n_bytes
        self._forget()

    def show(self, completion_id: str, choice: int) -> None:
        """`choice` is what stands for the whole request, as a vote's winner does."""
        if entry := self._entries.get(completion_id):
            entry.shown = choice

    def get(self, completion_id: str, choice: int | None, owner: str) -> KeptReply:
        """Raises NotFoundError: it never was, was forgotten, or is somebody else's; which of these is not told."""
        self._forget()
        entry = self._entries.get(completion_id)
        if entry is not None and entry.owner == owner:
            reply = entry.replies.get(entry.shown if choice is None else choice)
            if reply is not None:
                return reply
        which = "" if choice is None else f", choice {choice},"
        raise NotFoundError(
            f"There is no finished reply {completion_id[:80]!r}{which} of yours; replies are kept a while."
        )

    def _forget(self) -> None:
        now = self._clock()
        while self._entries:
            oldest = next(iter(self._entries))
            entry = self._entries[oldest]
            too_much = len(self._entries) > self._max_count or self._n_bytes > self._max_bytes
            if not too_much and now - entry.made <= self._max_age_s:
                return
            self._n_bytes -= entry.n_bytes
            del self._entries[oldest]
