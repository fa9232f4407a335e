"""Scenario of endurance: thousands of short requests, some of them left by their reader half-way."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing

from ...serve.client import ApiError, Client, ServerUnreachableError
from ...serve.models.catalog import DEMO
from .load import SAMPLING, user
from .own_server import OwnServer, own_server, read_metrics
from .processes import resident_bytes
from .scenario import Scenario, Trial, Values

REQUESTS = 10_000
_READERS = 32
_LEAVING, _PATIENCE_S = 0.2, 0.3
# Little, so that it is full before drift is measured from here on.
_HOST_CACHE = "32M"
_WARM_UP = 0.2
_BUSY = ("llamacpp:requests_processing", "llamacpp:requests_deferred", "r1chat_preparing")


async def soak(trial: Trial, n_requests: int = REQUESTS) -> Values:
    """On the bundled model, whatever the other scenarios run on."""
    async with own_server(DEMO, {}, "--host-cache", _HOST_CACHE) as server:
        ends, warm = await _all_requests(trial, server, n_requests)
        metrics = await _when_idle(server)
        memory = _memory(server)
    # Zero where the system does not tell.
    grown = {"memory": memory / 2**20, "drift": (memory / warm - 1) * 100} if warm else {}
    return {
        "finished": ends["finished"],
        "left": ends["left"],
        "failed": ends["failed"],
        "without an end": n_requests - ends.total(),
        "leaked sequences": metrics["r1chat_sequences"],
        **grown,
    }


async def _all_requests(trial: Trial, server: OwnServer, n_requests: int) -> tuple[Counter[str], int]:
    """How many ended in each way, and the memory after the first of them."""
    numbers, ends, memory = iter(range(n_requests)), Counter[str](), []

    async def read(numbers: Iterator[int]) -> None:
        for number in numbers:
            ends[await _one(trial, server.target.client, number)] += 1
            if number == int(n_requests * _WARM_UP):
                memory.append(_memory(server))

    async with asyncio.TaskGroup() as group:
        for _ in range(_READERS):
            group.create_task(read(numbers))
    return ends, memory[0]


async def _one(trial: Trial, client: Client, number: int) -> str:
    chance = random.Random(number)
    prompt = trial.words(chance.randint(2, 40), number)
    patience_s = chance.random() * _PATIENCE_S if chance.random() < _LEAVING else None
    try:
        async with (
            asyncio.timeout(patience_s),
            aclosing(client.stream([user(prompt)], max_tokens=chance.randint(1, 24), **SAMPLING)) as events,
        ):
            async for _ in events:
                pass
    except TimeoutError:
        return "left"
    except (ApiError, ServerUnreachableError):
        return "failed"
    return "finished"


async def _when_idle(server: OwnServer) -> dict[str, float]:
    """The counts once it rests: a request that its reader left is over a step later. They say so if it never does."""
    for _ in range(100):
        metrics = await read_metrics(server.target)
        if not any(metrics[name] for name in _BUSY):
            break
        await asyncio.sleep(0.1)
    return metrics


def _memory(server: OwnServer) -> int:
    return sum(resident_bytes(server.pid).values())


SCENARIOS = (
    Scenario(
        "soak",
        f"{REQUESTS:,} short requests on the bundled model, {_LEAVING:.0%} of them left by their reader",
        {
            "finished": "requests",
            "left": "requests",
            "failed": "requests",
            "without an end": "requests",
            "leaked sequences": "",
            "memory": "MiB",
            "drift": "%",
        },
        soak,
        own_only=True,
        once=True,
        on_request=True,
    ),
)
