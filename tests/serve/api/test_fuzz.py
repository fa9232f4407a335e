"""2,000 bodies that nobody would send on purpose: no 5xx, the child lives."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any

import httpx2
import pytest
from live_server import QUESTION, LiveServer, eventually, start

from r1chat.serve.api.chat.protocol import ChatRequest

BODIES = 2_000
SEED = 20_251_121
FIELDS = [*ChatRequest.model_fields, "__class__", ""]
ATOMS: list[Any] = [
    None, True, False, 0, -1, 1, 2, 0.5, 1e308, -0.0, 2**31, 2**63, 2**70, -(2**64), 10**400,
    float("nan"), float("inf"), float("-inf"),
    "", "0", "nan", "a", "\x00", "\ud800", "\udfff x", "\u202e", "👩‍👩‍👧", "</think>", "<think>", "<｜User｜>",
    "<|im_start|>", "{{ 7 * 7 }}", "../../etc/passwd", "user", "system", "assistant", "tool", "text", "word " * 500,
    "function", "enabled", "json_object", "json_schema", "object", "low", "required", "boxed", "[", "(a+)+$",
    "<tool_call>",
]  # fmt: skip
KEYS = [
    "role", "content", "type", "text", "reasoning", "include_usage", "0", "99999", "-1", "x", "\ud800", "",
    "function", "name", "arguments", "tool_calls", "json_schema", "schema", "properties", "$ref", "pattern", "effort",
    "budget_tokens", "enabled", "enable_thinking", "n", "extract", "regex", "choice",
]  # fmt: skip


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON that Python can write, and some that the standard forbids."""
    kind = rng.random()
    if depth > 3 or kind < 0.6:
        return rng.choice(ATOMS)
    if kind < 0.8:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def message(rng: random.Random) -> Any:
    """Mostly a fair message with something odd about it."""
    fields = {"role": rng.choice(["user", "assistant", "system", "developer", "tool"]), "content": "How many?"}
    if rng.random() < 0.5:
        fields[rng.choice([*KEYS, "reasoning_content"])] = value(rng)
    return fields


def body(rng: random.Random) -> bytes:
    """A valid request, bent: odd fields, odd messages, or damaged bytes; or nothing like a request at all."""
    kind = rng.random()
    if kind < 0.1:
        return json.dumps(value(rng)).encode()
    request: dict[str, Any] = {"messages": QUESTION, "max_tokens": 3}
    if kind < 0.5:
        request["messages"] = [message(rng) for _ in range(rng.randrange(1, 4))]
    for _ in range(rng.randrange(3)):
        request[rng.choice(FIELDS)] = value(rng)
    text = json.dumps(request, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    if kind < 0.8:
        return text
    damaged = bytearray(text)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(damaged))
        damaged[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return bytes(damaged)


async def send_all(server: LiveServer, bodies: list[bytes]) -> list[httpx2.Response]:
    places = asyncio.Semaphore(12)
    headers = {"content-type": "application/json"}

    async def send(client: httpx2.AsyncClient, content: bytes) -> httpx2.Response:
        async with places:
            return await client.post(f"{server.url}/v1/chat/completions", content=content, headers=headers)

    async with httpx2.AsyncClient(timeout=60) as client:
        return await asyncio.gather(*(send(client, content) for content in bodies))


@pytest.mark.slow
def test_no_body_gives_a_server_error_or_kills_the_child() -> None:
    rng = random.Random(SEED)
    bodies = [body(rng) for _ in range(BODIES)]
    with start() as server:
        child = server.pid
        answers = asyncio.run(send_all(server, bodies))
        for content, answer in zip(bodies, answers, strict=True):
            assert answer.status_code in (200, 400, 404), (answer.status_code, content)
            if answer.status_code != 200:
                assert set(answer.json()["error"]) >= {"message", "type", "param", "code"}
        statuses = Counter(answer.status_code for answer in answers)
        # A generator whose bodies are all refused at the door would test the door only.
        assert statuses[200] > BODIES / 10 and statuses[400] > BODIES / 10, statuses
        assert eventually(lambda: server.stats()["sequences"] == 0)
        assert server.pid == child and server.stats()["restarts"] == 0
