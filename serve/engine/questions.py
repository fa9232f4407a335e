"""Questions to the child that wait for their answers, on the parent's event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Questions(Generic[Answer]):
    """Answers to equal keys come in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[Answer]]] = {}

    def ask(self, key: str) -> asyncio.Future[Answer]:
        """Done with the answer; whoever waits no more may cancel it."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(future)
        return future

    def answer(self, key: str, answer: Answer) -> None:
        waiting = self._waiting.get(key)
        if not waiting:  # given up by now
            return
        future = waiting.popleft()
        if not waiting:
            del self._waiting[key]
        if not future.done():
            future.set_result(answer)

    def give_up(self, error: Exception) -> None:
        """Nobody is left to answer."""
        for future in [future for waiting in self._waiting.values() for future in waiting]:
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()
