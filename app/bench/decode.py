"""Scenarios of plain throughput: one stream, many streams, short chats, a long prompt."""

from __future__ import annotations

from .load import Reply
from .scenario import Scenario, Trial, Unmeasurable, Values

STREAMS = (2, 3, 4, 8, 16)
_PROMPT = 16


async def _single(trial: Trial) -> Values:
    reply = await trial.ask(trial.words(_PROMPT), max_tokens=128)
    return {"decode": reply.decode_rate, "first token": reply.first_token_s}


async def _streams(trial: Trial, n: int) -> Values:
    replies = await trial.ask_many([trial.words(_PROMPT, i) for i in range(n)], max_tokens=48)
    steady = _steady_rate(replies)
    return {"overall": _overall_rate(replies)} | ({"steady": steady} if steady else {})


def _overall_rate(replies: list[Reply]) -> float:
    """Tokens per second of all together, their prompts' time counted in."""
    began, ended = min(reply.sent for reply in replies), max(reply.ended for reply in replies)
    return sum(reply.n_output for reply in replies) / (ended - began)


def _steady_rate(replies: list[Reply]) -> float | None:
    """Tokens per second while every stream is decoding; None where they never all are."""
    began, ended = max(reply.times[0] for reply in replies), min(reply.times[-1] for reply in replies)
    pieces = sum(began < time <= ended for reply in replies for time in reply.times)
    tokens_per_piece = sum(reply.n_output for reply in replies) / sum(len(reply.times) for reply in replies)
    return pieces * tokens_per_piece / (ended - began) if pieces >= 2 * len(replies) else None


async def _short(trial: Trial) -> Values:
    replies = await trial.ask_many([trial.words(26, i) for i in range(8)], max_tokens=128)
    longest = max(reply.n_prompt for reply in replies)
    if longest > 32:
        raise Unmeasurable(f"a prompt that should have 32 tokens at most has {longest}")
    return {"overall": _overall_rate(replies)}


async def _prefill(trial: Trial) -> Values:
    n_words = 1000
    reply = await trial.ask(trial.words(n_words), max_tokens=1)
    # without usage the words are the tokens, save the few of the template
    n_computed = reply.n_computed or n_words
    return {"prefill": n_computed / reply.first_token_s, "first token": reply.first_token_s}


def _streams_scenario(n: int) -> Scenario:
    async def measure(trial: Trial) -> Values:
        return await _streams(trial, n)

    return Scenario(
        f"streams-{n}",
        f"{n} streams of 48 tokens: with their prompts, and while all are decoding",
        {"overall": "tok/s", "steady": "tok/s"},
        measure,
    )


SCENARIOS = (
    Scenario("single", "one stream of 128 tokens", {"decode": "tok/s", "first token": "s"}, _single),
    *(_streams_scenario(n) for n in STREAMS),
    Scenario("short", "8 streams: prompts of at most 32 tokens, 128 tokens each", {"overall": "tok/s"}, _short),
    Scenario("prefill", "a prompt of 1,000 tokens", {"prefill": "tok/s", "first token": "s"}, _prefill),
)
