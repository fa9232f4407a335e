"""Whether two answers are the same mathematics, by math-verify where it is installed.

Its child is killed when it takes too long. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .math_process import MathProcess, MathQuestion

logger = logging.getLogger(__name__)

MAX_ANSWER = 500
_LONGEST_S = 2.0


class MathJudge:
    """One child for all votes that run; it ends with the last of them."""

    def __init__(self) -> None:
        self._installed = MathProcess.is_installed()
        self._process = MathProcess(niceness=10)  # gives way to the engine
        self._lock = asyncio.Lock()
        self._n_sessions = 0

    @asynccontextmanager
    async def session(self, budget_s: float = 30.0) -> AsyncIterator[JudgeSession]:
        """For one vote, which may have the child compute for `budget_s` in all."""
        self._n_sessions += 1
        try:
            yield JudgeSession(self, budget_s)
        finally:
            self._n_sessions -= 1
            if not self._n_sessions:  # others' questions are not waited for
                await self._close()

    async def _close(self) -> None:
        async with self._lock:
            if not self._n_sessions:  # one that began meanwhile may be asking already
                await asyncio.to_thread(self._process.close)

    async def compare(self, one: str, other: str) -> tuple[bool, float]:
        """Whether they are equal, and the seconds that it took to compute: not those that others kept the child, nor
        those of its start. False also where it cannot tell in time. Either may stand as the gold of the other.
        """
        if not self._installed or max(len(one), len(other)) > MAX_ANSWER:
            return False, 0.0
        question = MathQuestion(f"$\\boxed{{{one}}}$", f"$\\boxed{{{other}}}$", either_way=True)
        async with self._lock:
            try:
                return await asyncio.to_thread(self._process.ask, question, _LONGEST_S), self._process.asked_s
            except OSError as error:
                logger.info("two answers were compared as text: %s", type(error).__name__)
                return False, self._process.asked_s
            except asyncio.CancelledError:
                self._process.kill()
                raise


class JudgeSession:
    """Asks the judge until the vote's share of its time is used up; then nothing is equal any more."""

    def __init__(self, judge: MathJudge, budget_s: float) -> None:
        self._judge = judge
        self._left_s = budget_s

    async def equal(self, one: str, other: str) -> bool:
        if self._left_s <= 0:
            return False
        is_equal, seconds = await self._judge.compare(one, other)
        self._left_s -= seconds
        return is_equal
