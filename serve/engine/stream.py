"""The events of one request on the parent's side, from the pipe to whoever reads them."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from time import monotonic

from .. import errors
from .request import Accepted, Event, Failed, Finished, ThoughtEnded, TokenOutput

LiveEvent = Accepted | TokenOutput | ThoughtEnded | Finished


class EventStream:
    """Never blocks the writer. What a slow reader finds is joined: one event per change of channel.

    What is put with a moment to come is held back until then, or until something is put that is not: the stream runs
    ahead of its reader, who gets it at an even pace. `ended`: nothing more will be put, read or not.
    """

    def __init__(self) -> None:
        self.ended = False
        self._events: deque[tuple[LiveEvent, float]] = deque()
        self._n_free = 0  # of the first, that are not held back whatever they were put with
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def put(self, event: Event, due: float = 0.0) -> None:
        """`due` is a moment of time.monotonic; of the last event it counts for nothing."""
        if isinstance(event, Failed):
            self.fail(_error_of(event))
            return
        self.ended = self.ended or isinstance(event, Finished)
        self._events.append((event, due))
        if self.ended or not due:
            self._n_free = len(self._events)
        self._changed.set()

    @property
    def failed(self) -> bool:
        """The request has ended by an error, read or not."""
        return self._error is not None

    def fail(self, error: Exception) -> None:
        """Ends the stream, behind what was put before."""
        self.ended = True
        self._error = self._error or error
        self._n_free = len(self._events)
        self._changed.set()

    async def get(self) -> LiveEvent:
        """The next event; raises the error that ended the stream."""
        while (wait_s := self._wait_s()) != 0:
            if self._error and not self._events:
                raise self._error
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
        event = self._pop()
        return self._with_what_follows(event) if isinstance(event, TokenOutput) else event

    def _wait_s(self) -> float | None:
        """Until there is something for the reader; None: nobody knows."""
        if self._n_free:
            return 0.0
        return max(0.0, self._events[0][1] - monotonic()) if self._events else None

    def _pop(self) -> LiveEvent:
        self._n_free = max(0, self._n_free - 1)
        return self._events.popleft()[0]

    def _with_what_follows(self, first: TokenOutput) -> TokenOutput:
        """Joined once, when it is read: joining at each arrival would copy the text over and over."""
        run = [first]
        while self._wait_s() == 0 and isinstance(event := self._events[0][0], TokenOutput):
            if event.channel != first.channel:
                break
            run.append(event)
            self._pop()
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
