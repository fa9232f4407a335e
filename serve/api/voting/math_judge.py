"""Whether two answers are the same mathematics, by math-verify where it is installed.

It reads LaTeX that a model wrote and may compute for ever on it, so it runs in a child (math_child.py) that
is killed when it takes too long. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

logger = logging.getLogger(__name__)

MAX_ANSWER = 500
# sympy takes its time to be imported
_FIRST_S, _NEXT_S = 20.0, 2.0
_CHILD = "r1chat.serve.api.voting.math_child"


class MathJudge:
    """One child for all votes that run; it ends with the last of them."""

    def __init__(self) -> None:
        self._installed = importlib.util.find_spec("math_verify") is not None
        self._child: Process | None = None
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
            if not self._n_sessions:
                await self._end_child()

    async def equal(self, one: str, other: str) -> bool:
        """False also where the child cannot tell in time."""
        if not self._installed or max(len(one), len(other)) > MAX_ANSWER:
            return False
        async with self._lock:
            try:
                return await self._asked(one, other)
            except (TimeoutError, OSError, ValueError) as error:
                logger.info("two answers were compared as text: %s", type(error).__name__)
                await self._end_child()
                return False
            except asyncio.CancelledError:
                await self._end_child()
                raise

    async def _asked(self, one: str, other: str) -> bool:
        patience_s = _NEXT_S
        if self._child is None:
            patience_s = _FIRST_S
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", _CHILD, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
            )
        child = self._child
        assert child.stdin and child.stdout
        async with asyncio.timeout(patience_s):
            child.stdin.write(json.dumps([one, other]).encode() + b"\n")
            await child.stdin.drain()
            return bool(json.loads(await child.stdout.readline()))

    async def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            with suppress(ProcessLookupError):
                child.kill()
            assert child.stdin
            child.stdin.close()
            await child.wait()


class JudgeSession:
    """Asks the judge until the vote's share of its time is used up; then nothing is equal any more."""

    def __init__(self, judge: MathJudge, budget_s: float) -> None:
        self._judge = judge
        self._left_s = budget_s

    async def equal(self, one: str, other: str) -> bool:
        if self._left_s <= 0:
            return False
        began = time.monotonic()
        try:
            return await self._judge.equal(one, other)
        finally:
            self._left_s -= time.monotonic() - began
