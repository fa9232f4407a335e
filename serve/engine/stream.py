"""The events of one request on the parent's side, from the pipe to whoever reads them."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from .. import errors
from .request import Accepted, Event, Failed, Finished, TokenOutput


class EventStream:
    """Never blocks the writer. A slow reader's text piles up joined, one event per change of channel."""

    def __init__(self) -> None:
        self._events: deque[Accepted | TokenOutput | Finished] = deque()
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def put(self, event: Event) -> None:
        if isinstance(event, Failed):
            self.fail(_error_of(event))
            return
        last = self._events[-1] if self._events else None
        if isinstance(event, TokenOutput) and isinstance(last, TokenOutput) and event.channel == last.channel:
            self._events[-1] = msgspec.structs.replace(
                last, text=last.text + event.text, tokens=last.tokens + event.tokens
            )
        else:
            self._events.append(event)
        self._changed.set()

    @property
    def failed(self) -> bool:
        """The request has ended by an error, read or not."""
        return self._error is not None

    def fail(self, error: Exception) -> None:
        """Ends the stream, behind what was put before."""
        self._error = self._error or error
        self._changed.set()

    async def get(self) -> Accepted | TokenOutput | Finished:
        """The next event; raises the error that ended the stream."""
        while not self._events:
            if self._error:
                raise self._error
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()


def _error_of(event: Failed) -> errors.R1ChatError:
    if event.error == "ContextLengthError":
        return errors.ContextLengthError(event.prompt_tokens, event.n_ctx)
    kinds: dict[str, type[errors.R1ChatError]] = {
        "InvalidRequestError": errors.InvalidRequestError,
        "NonFiniteLogitsError": errors.NonFiniteLogitsError,
    }
    return kinds.get(event.error, errors.EngineError)(event.message)
