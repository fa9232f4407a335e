"""What a scenario is, and what it is given: one server in one round."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...serve.errors import R1ChatError
from .load import Message, Reply, Target, ask, user, words

Values = dict[str, float]


class Unmeasurable(R1ChatError):
    """The server answered, but not with what the scenario measures."""


@dataclass(frozen=True)
class Trial:
    """One measurement. Prompts depend on `seed` and `round` alone: every server gets the same ones, and a
    cache that has seen earlier rounds, or an earlier benchmark, is of no use to any.
    """

    target: Target
    model: Path
    seed: int
    round: int

    def words(self, n: int, *key: object) -> str:
        return words(n, self.seed, self.round, *key)

    async def ask(self, messages: str | list[Message], *, into: Reply | None = None, **params: Any) -> Reply:
        """One streamed reply; `messages` may be the text of a single question."""
        asked = [user(messages)] if isinstance(messages, str) else messages
        reply = Reply() if into is None else into
        await ask(self.target, asked, reply, seed=self.round + 1, **params)
        if not reply.times:
            raise Unmeasurable("the reply held no text")
        return reply

    async def ask_many(self, prompts: list[str], **params: Any) -> list[Reply]:
        """All at once."""
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self.ask(prompt, **params)) for prompt in prompts]
        return [task.result() for task in asked]


@dataclass(frozen=True)
class Scenario:
    """`units` names each value that `measure` returns and its unit, in the order shown.

    `own_only`: other servers have no such thing. `once`: counts, which are the same in every round.
    `disturbs`: changes how fast a server is afterwards, so it runs after all that do not.
    `on_request`: only where --only names it.
    """

    name: str
    what: str
    units: dict[str, str]
    measure: Callable[[Trial], Awaitable[Values]]
    own_only: bool = False
    once: bool = False
    disturbs: bool = False
    on_request: bool = False
