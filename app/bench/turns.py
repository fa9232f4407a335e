"""Scenarios of chats that go on: the second turn, many chats on one document, a return to an old chat."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from .load import Message, assistant, user
from .own_server import own_server, read_metrics
from .scenario import Scenario, Trial, Unmeasurable, Values

_PAUSE_S = 6.0
_FOLLOW_UP = 14
_THOUGHT, _ANSWER = 16, 300
_QUESTION = 12
# With less the prompt would have to close the thought, by tokens of its own.
_REPLY = 32
_COMPUTED = "llamacpp:prompt_tokens_total"


async def _chat(trial: Trial, n_words: int, key: object, *, thought: int, answer: int) -> list[Message]:
    """A chat after its first turn. The budget closes the thought, so that there is an answer to keep."""
    question = trial.words(n_words, "question", key)
    reply = await trial.ask(question, max_tokens=thought + answer, reasoning_budget_tokens=thought)
    if not reply.answer:
        raise Unmeasurable("the first turn held no answer; the server does not know reasoning_budget_tokens")
    return [user(question), assistant(reply.answer)]


async def _second_turn(trial: Trial, pause_s: float) -> Values:
    chat = await _chat(trial, 64, pause_s, thought=_THOUGHT, answer=_ANSWER)
    await asyncio.sleep(pause_s)
    reply = await trial.ask([*chat, user(trial.words(_FOLLOW_UP, "more", pause_s))], max_tokens=_REPLY)
    return {"first token": reply.first_token_s, "computed": reply.n_computed}


async def _shared(trial: Trial, n_chats: int = 64) -> Values:
    document = trial.words(2000, "document")
    before = await read_metrics(trial.target)
    replies = await trial.ask_many(
        [f"{document} {trial.words(_QUESTION, 'question', i)}" for i in range(n_chats)], max_tokens=_REPLY
    )
    after = await read_metrics(trial.target)
    return {
        "prompt tokens": sum(reply.n_prompt for reply in replies),
        "computed": sum(reply.n_computed for reply in replies),
        "computed by /metrics": after[_COMPUTED] - before[_COMPUTED],
        "cells used": after["r1chat_kv_cells_used"],
        "longest wait": max(reply.first_token_s for reply in replies),
    }


async def _return(trial: Trial, n_chats: int = 20, n_words: int = 1500, n_cells: int = 8192) -> Values:
    """The cache holds five of these chats."""
    async with own_server(trial.model, trial.target.banned, "--kv-tokens", str(n_cells)) as server:
        small = replace(trial, target=server.target)
        chats = [await _chat(small, n_words, i, thought=4, answer=20) for i in range(n_chats)]
        await server.settle()  # a chat is returned to some time later
        returns = [[*chat, user(trial.words(_FOLLOW_UP, "more", i))] for i, chat in enumerate(chats)]
        replies = [await small.ask(messages, max_tokens=_REPLY) for messages in returns]
        metrics = await read_metrics(server.target)
    return {
        "most computed": max(reply.n_computed for reply in replies),
        "longest wait": max(reply.first_token_s for reply in replies),
        "restores": metrics["r1chat_restores_total"],
        "longest restore": metrics["r1chat_restore_max_seconds"] * 1000,
    }


def _after(pause_s: float) -> Callable[[Trial], Awaitable[Values]]:
    async def measure(trial: Trial) -> Values:
        return await _second_turn(trial, pause_s)

    return measure


_TURN_UNITS = {"first token": "s", "computed": "tokens"}
_FRAMED = f"a question of {_FOLLOW_UP} tokens after an answer of {_ANSWER}"

SCENARIOS = (
    Scenario("turn-pause", f"{_FRAMED} and a pause of {_PAUSE_S:.0f} s", _TURN_UNITS, _after(_PAUSE_S)),
    Scenario("turn-at-once", f"{_FRAMED}, without a pause", _TURN_UNITS, _after(0.0)),
    Scenario(
        "shared",
        f"64 chats at once, each with {_QUESTION} tokens of its own after one document of 2,000",
        {
            "prompt tokens": "tokens",
            "computed": "tokens",
            "computed by /metrics": "tokens",
            "cells used": "cells",
            "longest wait": "s",
        },
        _shared,
        own_only=True,
        once=True,
    ),
    Scenario(
        "return",
        f"20 chats of 1,500 tokens in a cache of 8,192, each asked {_FOLLOW_UP} tokens more",
        {
            "most computed": "tokens",
            "longest wait": "s",
            "restores": "",
            "longest restore": "ms",
        },
        _return,
        own_only=True,
        once=True,
    ),
)
