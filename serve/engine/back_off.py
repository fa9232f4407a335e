"""When an engine that ended is started again: ever more slowly, and after a longer pause where it ends too often."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BackOff:
    """Seconds before a restart: doubling from `first_s`; `broken_s` after `limit` ends in `window_s`."""

    first_s: float = 0.1
    limit: int = 3
    window_s: float = 60.0
    broken_s: float = 30.0


class Ends:
    """The latest ends of one engine."""

    def __init__(self, back_off: BackOff) -> None:
        self._back_off = back_off
        self._times: deque[float] = deque(maxlen=back_off.limit)
        self._in_vain = 0  # starts in a row that came to nothing, however long each took

    @property
    def pause_s(self) -> float:
        """Before the next start, while the engine is not broken."""
        return self._back_off.first_s * 2 ** len(self._times)

    def count(self, *, in_vain: bool = False) -> bool:
        """One more, now; `in_vain`: it never got ready. True: it has ended too often lately."""
        now = time.monotonic()
        self._times.append(now)
        self._in_vain = self._in_vain + 1 if in_vain else 0
        many = len(self._times) == self._back_off.limit and now - self._times[0] < self._back_off.window_s
        return many or self._in_vain >= self._back_off.limit

    def forget(self) -> None:
        """After the long pause it begins anew."""
        self._times.clear()
        self._in_vain = 0
