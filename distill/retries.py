"""Asks a server again for what it could not give in passing: it is busy, starts again, breaks off in the middle."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import ParamSpec, TypeVar

from ..serve.client import ApiError, ServerUnreachableError

P = ParamSpec("P")
T = TypeVar("T")

# The last four: of a reply that is not of the API's form.
FAILURES = (ApiError, ServerUnreachableError, AttributeError, KeyError, TypeError, ValueError)
TRIES = 6  # of a request that fails, be others answered or not
FIRST_S, LONGEST_S = 1.0, 60.0  # of the waits that we choose ourselves, which double
GIVE_UP_S = 900.0  # who is busy is waited for, but so long at most while nobody gets a reply


class Retries:
    """Of the requests to one server, which share its patience."""

    def __init__(self) -> None:
        self._n_asking = 0
        self._trouble_since: float | None = None

    async def answer(self, ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What comes of `ask` in the end. Raises the last of FAILURES where it does not pass."""
        failed = 0
        for attempt in count():
            self._n_asking += 1
            try:
                reply = await ask(*args, **kwargs)
            except FAILURES as error:
                failed += not _is_busy(error)
                wait = _own_wait(attempt) + (getattr(error, "retry_after_s", None) or 0.0)
                if failed == TRIES or not _passes(error) or self._is_lost(wait):
                    raise
            else:
                self._trouble_since = None
                return reply
            finally:
                self._n_asking -= 1
            await asyncio.sleep(wait)
        raise AssertionError("the loop returns or raises")

    def _is_lost(self, wait: float) -> bool:
        """Whether nobody has got a reply for long. Another that is being answered slowly is a sign of life."""
        now = time.monotonic()
        self._trouble_since = self._trouble_since or now
        return self._n_asking == 1 and now + wait - self._trouble_since > GIVE_UP_S


def _passes(error: Exception) -> bool:
    return not isinstance(error, ApiError) or error.passes


def _is_busy(error: Exception) -> bool:
    return isinstance(error, ApiError) and (400 <= error.status < 500 or error.retry_after_s is not None)


def _own_wait(attempt: int) -> float:
    """Not the same for all, who would come back together."""
    return min(LONGEST_S, FIRST_S * 2.0 ** min(attempt, 30)) * random.uniform(0.5, 1)
