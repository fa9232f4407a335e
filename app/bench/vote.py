"""What a vote is worth: the majority of n thoughts beside one of them, and what stopping the rest saves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import Any

import httpx2

from ...distill.evaluate.accuracy import Accuracy, Sample, accuracy, shares_right
from ...distill.evaluate.paired import Difference, paired_difference
from ...distill.problems import Problem
from ...distill.verify.boxed import is_right
from ...serve.answers.extraction import boxed, comparable
from ...serve.client import ApiError, ServerUnreachableError
from ...serve.errors import R1ChatError

# Votes at the same time: their thoughts fill the server's batch.
_CONCURRENCY = 2
# Nothing comes before all thoughts have ended.
_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Trial:
    """One vote on one problem, beside the same thoughts, by their seeds, none of which was stopped.

    `prompt_tokens` is the prompt's length, `computed_tokens` how much of it was computed for all thoughts of
    the vote together. `as_decided`: the whole samples' majority gives the vote's answer.
    """

    problem: Problem
    right: bool
    samples: list[Sample]
    answered: str | None
    as_decided: bool
    n_stopped: int
    tokens: int
    reasoning_tokens: int
    prompt_tokens: int
    computed_tokens: int


@dataclass(frozen=True)
class Worth:
    """What all trials come to. `one_sample` is over every whole sample.

    `gain` is paired by problem, the vote less the mean of that problem's whole samples. Of the problems on
    which vote and first sample differ the vote is right in `n_won` and the sample in `n_lost`; `p_value` is
    McNemar's exact one, of both sides.
    """

    n: int
    n_thoughts: int
    one_sample: Accuracy
    vote: Accuracy
    gain: Difference
    n_won: int
    n_lost: int
    p_value: float
    tokens_of_votes: float
    tokens_of_whole_samples: float
    stopped: float
    as_decided: float
    prompt_tokens: float
    computed_prompt_tokens: float


async def measure_votes(
    url: str,
    problems: Sequence[Problem],
    n_thoughts: int,
    temperature: float,
    trials: list[Trial],
    report: Callable[[int, int], None],
) -> None:
    """Fills `trials`, a problem each. Raises ApiError, ServerUnreachableError."""
    gate = asyncio.Semaphore(_CONCURRENCY)
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=_TIMEOUT_S) as http:

        async def trial(problem: Problem, seed: int) -> None:
            async with gate:
                body = {
                    "messages": [{"role": "user", "content": problem.prompt}],
                    "temperature": temperature, "top_p": 0.95, "max_tokens": 1024, "seed": seed, "priority": "batch",
                    "deterministic": deterministic,
                }  # fmt: skip
                voted = await _post(http, {**body, "vote": {"n": n_thoughts, "extract": "boxed"}})
                whole = await _post(http, {**body, "n": n_thoughts})
            trials.append(_trial(problem, voted, whole))
            report(len(trials), len(problems))

        # where the model can promise it, so that the whole samples begin with the very same tokens
        deterministic = await _can_repeat(http)
        # seeds far apart: thought i of a vote has its seed + i
        try:
            async with asyncio.TaskGroup() as group:
                for i, problem in enumerate(problems):
                    group.create_task(trial(problem, 1000 * i))
        except* R1ChatError as failed:
            raise failed.exceptions[0] from None


async def _can_repeat(http: httpx2.AsyncClient) -> bool:
    models = (await _asked(http.get("/v1/models")))["data"]
    return bool(models and (models[0].get("meta") or {}).get("deterministic"))


async def _post(http: httpx2.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    return await _asked(http.post("/v1/chat/completions", json=body))


async def _asked(answer: Awaitable[httpx2.Response]) -> dict[str, Any]:
    try:
        response = await answer
    except httpx2.TransportError as error:
        raise ServerUnreachableError(f"No answer from the server: {str(error) or type(error).__name__}") from error
    if response.is_error:
        raise ApiError(response.status_code, None, response.text[:500])
    body: dict[str, Any] = response.json()
    return body


def _trial(problem: Problem, voted: dict[str, Any], whole: dict[str, Any]) -> Trial:
    report, winner = voted["vote"], voted["choices"][0]
    answers = [None if c["finish_reason"] == "length" else boxed(c["message"]["content"]) for c in whole["choices"]]
    thoughts = report["thoughts"]
    tokens, reasoning_tokens = _generated(voted)
    return Trial(
        problem,
        right=winner["finish_reason"] == "stop" and is_right(winner["message"]["content"], problem),
        samples=_samples(problem, whole),
        answered=report["answer"],
        as_decided=majority(answers) == majority([report["answer"]]),
        n_stopped=report["n_stopped"],
        tokens=tokens,
        reasoning_tokens=reasoning_tokens,
        prompt_tokens=voted["usage"]["prompt_tokens"],
        computed_tokens=sum(thought["prompt_tokens"] - thought["cached_tokens"] for thought in thoughts),
    )


def _samples(problem: Problem, whole: dict[str, Any]) -> list[Sample]:
    """The usage is that of all choices, so each counts as an equal part of it."""
    choices = whole["choices"]
    parts = zip(*(_parts(count, len(choices)) for count in _generated(whole)), strict=True)
    return [_sample(problem, choice, *part) for choice, part in zip(choices, parts, strict=True)]


def _sample(problem: Problem, choice: dict[str, Any], tokens: int, reasoning_tokens: int) -> Sample:
    truncated = choice["finish_reason"] == "length"
    right = not truncated and is_right(choice["message"]["content"], problem)
    return Sample(problem, right, truncated, tokens, reasoning_tokens)


def _parts(total: int, n: int) -> list[int]:
    """Whole numbers that come to the total, at most one apart."""
    return [total * (i + 1) // n - total * i // n for i in range(n)]


def _generated(reply: dict[str, Any]) -> tuple[int, int]:
    """Tokens in all, and of thought."""
    usage = reply["usage"]
    return usage["completion_tokens"], usage["completion_tokens_details"]["reasoning_tokens"]


def majority(answers: Sequence[str | None]) -> Fraction | str | None:
    """What the commonest answer is compared by, as the server does; among equals the one that was given first."""
    counts = Counter(comparable(answer, "boxed") for answer in answers if answer is not None)
    return counts.most_common(1)[0][0] if counts else None


def worth(trials: Sequence[Trial]) -> Worth:
    """Of one trial or more."""
    n, n_thoughts = len(trials), len(trials[0].samples)
    samples = [sample for trial in trials for sample in trial.samples]
    votes = [Sample(trial.problem, trial.right, False, trial.tokens, trial.reasoning_tokens) for trial in trials]
    shares = shares_right(samples)
    n_won = sum(trial.right and not trial.samples[0].right for trial in trials)
    n_lost = sum(trial.samples[0].right and not trial.right for trial in trials)
    return Worth(
        n=n,
        n_thoughts=n_thoughts,
        one_sample=accuracy(samples, n_thoughts),
        vote=accuracy(votes, 1),
        gain=paired_difference(
            [float(trial.right) for trial in trials], [shares[trial.problem.prompt] for trial in trials]
        ),
        n_won=n_won,
        n_lost=n_lost,
        p_value=mcnemar(n_won, n_lost),
        tokens_of_votes=sum(trial.tokens for trial in trials) / n,
        tokens_of_whole_samples=sum(sample.tokens for sample in samples) / n,
        stopped=sum(trial.n_stopped for trial in trials) / n,
        as_decided=sum(trial.as_decided for trial in trials) / n,
        prompt_tokens=sum(trial.prompt_tokens for trial in trials) / n,
        computed_prompt_tokens=sum(trial.computed_tokens for trial in trials) / n,
    )


def mcnemar(n_won: int, n_lost: int) -> float:
    """The exact two-sided p-value of so many wins and losses if both were as likely (McNemar 1947)."""
    n = n_won + n_lost
    tail = sum(comb(n, i) for i in range(min(n_won, n_lost) + 1))
    return min(1.0, 2 * tail / 2**n)


def table(found: Worth) -> str:
    """What a person wants to know of a vote, in lines."""
    one, vote, gain = found.one_sample, found.vote, found.gain
    saved = 1 - found.tokens_of_votes / found.tokens_of_whole_samples
    return "\n".join(
        [
            f"{'':<24} {'right':>7}  95 % interval",
            f"{'one sample':<24} {one.pass_at_1:7.1%}  {one.low:.1%} to {one.high:.1%}   ({one.n} problems x {one.k})",
            f"{f'vote of {found.n_thoughts}':<24} {vote.pass_at_1:7.1%}  {vote.low:.1%} to {vote.high:.1%}",
            f"{'gain, paired (points)':<24} {gain.mean * 100:+7.1f}  {gain.low * 100:+.1f} to {gain.high * 100:+.1f}",
            f"against the first sample alone: {found.n_won} problems won, {found.n_lost} lost, p = {found.p_value:.2g}",
            f"tokens of a vote: {found.tokens_of_votes:.0f}, of {found.n_thoughts} whole samples: "
            f"{found.tokens_of_whole_samples:.0f} ({saved:.0%} less); {found.stopped:.1f} thoughts stopped",
            f"the whole samples' majority is the vote's answer in {found.as_decided:.1%}",
            f"prompt: {found.prompt_tokens:.1f} tokens, computed for all thoughts of a vote: "
            f"{found.computed_prompt_tokens:.1f}",
        ]
    )
