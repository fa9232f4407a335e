"""Scenarios of disturbance: a long prompt beside a running stream, a busy process beside the server."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter

from .load import Reply
from .scenario import Scenario, Trial, Unmeasurable, Values

_QUIET_GAPS = 40
_WARM_UP, _WARM_UP_S = 48, 6.0
_MEASURED, _MEASURED_S = 64, 12.0


class _Stream:
    """A reply that is being read on a task of its own."""

    def __init__(self, trial: Trial) -> None:
        self.reply = Reply()
        self.task = asyncio.create_task(trial.ask(trial.words(16, "stream"), into=self.reply, max_tokens=3000))

    @property
    def n(self) -> int:
        return len(self.reply.times)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self.task.done():
                self.task.result()
                raise Unmeasurable("the stream ended too early")
            await asyncio.sleep(0.01)

    async def rate(self) -> float:
        """Tokens per second, after a stretch in which the server may adapt."""
        await self._stretch(_WARM_UP, _WARM_UP_S)
        began, before = perf_counter(), self.n
        await self._stretch(_MEASURED, _MEASURED_S)
        return (self.n - before) / (perf_counter() - began)

    async def _stretch(self, n_tokens: int, seconds: float) -> None:
        end, enough = perf_counter() + seconds, self.n + n_tokens
        await self.until(lambda: self.n >= enough or perf_counter() > end)


@asynccontextmanager
async def _stream(trial: Trial) -> AsyncIterator[_Stream]:
    """A stream that lasts as long as the block."""
    stream = _Stream(trial)
    try:
        await stream.until(lambda: stream.n > 0)
        yield stream
    finally:
        stream.task.cancel()
        await asyncio.wait([stream.task])


async def _intruder(trial: Trial) -> Values:
    """The stream runs alone for a while, then until a few tokens after the intruder's first."""
    async with _stream(trial) as stream:
        await stream.until(lambda: stream.n > _QUIET_GAPS)
        intruder = await trial.ask(trial.words(1200, "intruder"), max_tokens=4)
        enough = stream.n + 4
        await stream.until(lambda: stream.n >= enough)
    alone, beside = _gaps(stream.reply, intruder.sent, intruder.times[0])
    usual = statistics.median(alone)
    return {
        "gap alone": usual * 1000,
        "gap beside": statistics.median(beside) * 1000,
        "p99 / gap alone": _p99(beside) / usual,
        "longest / gap alone": max(beside) / usual,
        "intruder's first token": intruder.first_token_s,
    }


def _gaps(reply: Reply, came: float, answered: float) -> tuple[list[float], list[float]]:
    """Those that ended before the intruder came, and those that touch its wait for the first token."""
    ends = list(zip(reply.gaps, reply.times[1:], strict=True))
    alone = [gap for gap, end in ends if end <= came]
    return alone, [gap for gap, end in ends if end > came and end - gap <= answered]


def _p99(values: list[float]) -> float:
    return sorted(values)[-(-len(values) * 99 // 100) - 1]


async def _neighbour(trial: Trial) -> Values:
    async with _stream(trial) as stream:
        quiet = await stream.rate()
        with _busy_process():
            busy = await stream.rate()
    return {"quiet": quiet, "beside": busy, "kept": busy / quiet}


@contextmanager
def _busy_process() -> Iterator[None]:
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        neighbour.kill()
        neighbour.wait()


SCENARIOS = (
    Scenario(
        "intruder",
        "a prompt of 1,200 tokens comes while one stream is running",
        {
            "gap alone": "ms",
            "gap beside": "ms",
            "p99 / gap alone": "x",
            "longest / gap alone": "x",
            "intruder's first token": "s",
        },
        _intruder,
    ),
    Scenario(
        "neighbour",
        "one stream, quiet and then beside a process that keeps one core busy",
        {"quiet": "tok/s", "beside": "tok/s", "kept": "x"},
        _neighbour,
        disturbs=True,
    ),
)
