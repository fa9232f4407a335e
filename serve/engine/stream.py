"""The events of one request on the parent's side, from the pipe to whoever reads them."""

from __future__ import annotations

import asyncio
from collections import deque

from .. import errors
from .request import Accepted, Event, Failed, Finished, ThoughtEnded, TokenOutput

LiveEvent = Accepted | TokenOutput | ThoughtEnded | Finished


class EventStream:
    """Never blocks the writer. What a slow reader finds is joined: one event per change of channel.

    `ended`: nothing more will be put, read or not.
    """

    def __init__(self) -> None:
        self.ended = False
        self._events: deque[LiveEvent] = deque()
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def put(self, event: Event) -> None:
        if isinstance(event, Failed):
            self.fail(_error_of(event))
            return
        self.ended = self.ended or isinstance(event, Finished)
        self._events.append(event)
        self._changed.set()

    @property
    def failed(self) -> bool:
        """The request has ended by an error, read or not."""
        return self._error is not None

    def fail(self, error: Exception) -> None:
        """Ends the stream, behind what was put before."""
        self.ended = True
        self._error = self._error or error
        self._changed.set()

    async def get(self) -> LiveEvent:
        """The next event; raises the error that ended the stream."""
        while not self._events:
            if self._error:
                raise self._error
            self._changed.clear()
            await self._changed.wait()
        event = self._events.popleft()
        return self._with_what_follows(event) if isinstance(event, TokenOutput) else event

    def _with_what_follows(self, first: TokenOutput) -> TokenOutput:
        """Joined once, when it is read: joining at each arrival would copy the text over and over."""
        run = [first]
        while self._events and isinstance(event := self._events[0], TokenOutput) and event.channel == first.channel:
            run.append(event)
            self._events.popleft()
        if len(run) == 1:
            return first
        text, tokens = "".join(event.text for event in run), sum(event.tokens for event in run)
        logprobs = tuple(each for event in run for each in event.logprobs)
        return TokenOutput(first.request_id, first.channel, text, tokens, logprobs)


def _error_of(event: Failed) -> errors.R1ChatError:
    if event.error == "ContextLengthError":
        return errors.ContextLengthError(event.prompt_tokens, event.n_ctx)
    if event.error == "InvalidRequestError":
        return errors.InvalidRequestError(event.message, param=event.param)
    kinds: dict[str, type[errors.R1ChatError]] = {
        "NonFiniteLogitsError": errors.NonFiniteLogitsError,
    }
    return kinds.get(event.error, errors.EngineError)(event.message)
