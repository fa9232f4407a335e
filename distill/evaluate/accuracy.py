"""Accuracy of a served model on problems of our own families: pass@1 from k samples a problem, with an interval,
beside the truncation rate. pass@1 is the mean over problems of the share of right samples.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...serve.client import Client, Completion
from ..problems import Problem
from ..verify.boxed import is_refused, is_right
from .estimators import interval
from .samples import draw_seed

# A field of our own servers: no thought is ended for the model. What a server saves would be counted as the model's.
LETS_BE = {"thinking_control": False}
APART = frozenset({"outside", "countdown", "code"})  # owning up, searching and programming are reported by themselves


@dataclass(frozen=True)
class Accuracy:
    """pass@1 of n problems with k samples each; low..high is the 95 % interval; shares lie in 0..1."""

    n: int
    k: int
    pass_at_1: float
    low: float
    high: float
    truncated: float
    mean_tokens: float
    mean_reasoning_tokens: float


@dataclass(frozen=True)
class Evaluation:
    """Overall and by family, with the settings the samples were drawn with. `refused` is the share of the samples
    inside the field in which the model says that the question lies outside it.
    """

    overall: Accuracy
    families: dict[str, Accuracy]
    settings: dict[str, Any]
    refused: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Sample:
    """One completion of one problem."""

    problem: Problem
    right: bool
    truncated: bool
    tokens: int
    reasoning_tokens: int = 0
    refused: bool = False


async def evaluate(
    base_url: str,
    problems: Sequence[Problem],
    *,
    k: int = 4,
    concurrency: int = 16,
    temperature: float = 0.6,
    top_p: float = 0.95,
    max_tokens: int = 1024,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Asks every problem k times, each sample with its own seed; no thought is ended for the model. Raises what the
    client raises.
    """
    settings = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    body = settings | LETS_BE
    samples = await draw_samples(base_url, problems, k=k, concurrency=concurrency, body=body, report=report)
    return summarise(samples, k, {**settings, "k": k})


async def draw_samples(
    base_url: str,
    problems: Sequence[Problem],
    *,
    k: int,
    body: Mapping[str, Any],
    concurrency: int = 16,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Sample]:
    """k samples of each problem, one problem's side by side, in the problems' order. Each has the seed of `draw_seed`,
    whatever `body`, the other fields of each request, asks for. Raises what the client raises.
    """
    gate = asyncio.Semaphore(concurrency)
    done = 0

    async with Client(base_url, timeout=600.0) as client:

        async def sample(problem: Problem, i: int) -> Sample:
            nonlocal done
            async with gate:
                messages = [{"role": "user", "content": problem.prompt}]
                seed = draw_seed(problem.prompt, i)
                completion = await client.complete(messages, seed=seed, priority="batch", **body)
            done += 1
            report(done, len(problems) * k)
            return await asyncio.to_thread(judge, problem, completion)  # a program takes its time

        return list(await asyncio.gather(*(sample(p, i) for p in problems for i in range(k))))


def judge(problem: Problem, completion: Completion) -> Sample:
    """A sample cut off by the token limit is wrong, whatever it says."""
    truncated = completion.finish_reason == "length"
    right = not truncated and is_right(completion.content, problem)
    details = completion.usage.get("completion_tokens_details") or {}
    tokens, reasoning = completion.usage.get("completion_tokens", 0), details.get("reasoning_tokens", 0)
    return Sample(problem, right, truncated, int(tokens), int(reasoning), is_refused(completion.content))


def summarise(samples: Sequence[Sample], k: int, settings: dict[str, Any]) -> Evaluation:
    """`overall` leaves out the families that are reported APART, where there are others."""
    families = sorted({s.problem.family for s in samples})
    inside = [s for s in samples if s.problem.family != "outside"]
    return Evaluation(
        overall=accuracy([s for s in samples if s.problem.family not in APART] or samples, k),
        families={f: accuracy([s for s in samples if s.problem.family == f], k) for f in families},
        settings=settings,
        refused=sum(s.refused for s in inside) / len(inside) if inside else 0.0,
    )


def accuracy(samples: Sequence[Sample], k: int) -> Accuracy:
    """The samples of one problem must number k."""
    counts = [(s.truncated, s.tokens, s.reasoning_tokens) for s in samples]
    return accuracy_of(list(shares_right(samples).values()), k, counts)


def accuracy_of(
    shares: Sequence[float],
    k: int,
    counts: Sequence[tuple[bool, int, int]],
    groups: Sequence[Hashable] | None = None,
) -> Accuracy:
    """Of the share of right samples of each problem, and of every sample whether it was cut off, its tokens, and
    how many of them were thought. `groups` of problems are not independent of one another.
    """
    low, high = interval(shares, groups)
    truncated, tokens, reasoning = (sum(column) / len(counts) for column in zip(*counts, strict=True))
    return Accuracy(len(shares), k, sum(shares) / len(shares), low, high, truncated, tokens, reasoning)


def shares_right(samples: Sequence[Sample]) -> dict[str, float]:
    """The share of right samples of each problem, by its prompt."""
    by_problem: dict[str, list[Sample]] = {}
    for sample in samples:
        by_problem.setdefault(sample.problem.prompt, []).append(sample)
    return {prompt: sum(s.right for s in group) / len(group) for prompt, group in by_problem.items()}
