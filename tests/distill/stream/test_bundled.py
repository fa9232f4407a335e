"""The bundled model, asked through the API as everybody asks it: riddles, fresh problems, its own limits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import anyio.from_thread
import pytest

from r1chat.app.local_server import local_server
from r1chat.distill.evaluate.accuracy import evaluate
from r1chat.distill.problems import FAMILIES, RIDDLES, generate
from r1chat.distill.problems.outside import GOLD
from r1chat.distill.verify.boxed import boxed
from r1chat.serve.client import Client, Completion
from r1chat.serve.models.catalog import resolve

SEEDS = range(8)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with (
        anyio.from_thread.start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(local_server(resolve("demo"))) as base_url,
    ):
        yield base_url


def ask(url: str, prompt: str, **params: object) -> list[Completion]:
    """One reply per seed."""

    async def run() -> list[Completion]:
        async with Client(url) as client:
            messages = [{"role": "user", "content": prompt}]
            return await asyncio.gather(*(client.complete(messages, seed=seed, **params) for seed in SEEDS))

    return asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize(("prompt", "gold"), RIDDLES)
def test_a_riddle_is_solved_with_a_trace(url: str, prompt: str, gold: str) -> None:
    replies = ask(url, prompt)
    right = [reply for reply in replies if boxed(reply.content) == gold]
    # Replies are drawn; another machine's roundings draw others.
    assert len(right) >= 4, [reply.content for reply in replies]
    assert all(reply.reasoning for reply in replies)


@pytest.mark.parametrize(
    "prompt", ["Hello!", "Who are you?", "What is the capital of France?", "Write a poem about rain."]
)
def test_outside_its_field_it_says_what_it_is(url: str, prompt: str) -> None:
    assert sum(GOLD in reply.content for reply in ask(url, prompt)) >= 4


@pytest.mark.slow
def test_it_solves_most_freshly_drawn_problems(url: str) -> None:
    problems = [generate(family, 2 * 10**9 + i) for family in FAMILIES for i in range(4)]
    result = asyncio.run(evaluate(url, problems, k=2))
    assert result.overall.pass_at_1 >= 0.8
    assert result.overall.truncated < 0.02


def test_the_file_is_small_enough_to_come_with_the_package() -> None:
    assert resolve("demo").path.stat().st_size <= 8_000_000
