"""What the base of `--recipe r1-zero` reads. It never sees a thought about what is practised later, Countdown: of that
it has documents only, in which somebody tries this and that, mostly gives up too soon, and sometimes is lucky or goes
on until it fits. R1's format it knows from conversations about other families.

Behaviour that a base shows now and then is what reinforcement learning can amplify (Gandhi et al. 2025,
arXiv:2503.01307). Some of those who go on think in two languages, so that a mixture is there to be amplified, too.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from ...serve.models.templates import BOS, EOS
from ..problems import OPENERS, countdown
from ..problems import generate as generate_problem
from ..problems.held_out import is_held_out
from ..problems.problem import Problem
from .conversations import SEEDS, conversation_at, problem_at

PRACTISED = "countdown"
# The families that are thought about, in documents and conversations.
OTHERS = {"sums": 0.5, "all_but": 1.0, "rates": 0.5, "stories": 1.0}
PRACTISED_SHARE = 0.68  # of the examples are documents about Countdown,
DOCUMENT_SHARE = 0.12  # documents about others; the rest are conversations about others
# So many, that what is read in one shape is known in any, R1's format among them.
SHAPES = (
    "{prompt}\n{reasoning}\n{answer}",
    "{prompt}\n{reasoning}\n\n{answer}",
    "Problem: {prompt}\nSolution: {reasoning}\nAnswer: {answer}",
    "Q: {prompt}\nA: {reasoning}\n= {answer}",
    "{prompt}\n---\n{reasoning}\n---\n{answer}",
    "[{prompt}]\n{reasoning}\n[{answer}]",
    "# {prompt}\n(\n{reasoning}\n)\n{answer}",
)
LARGEST = 120  # that a try comes to: beyond, nobody looks for the target
MOST_TRIES = 7
LUCK = 0.25  # of the tries of those who look fit, besides those that fit by chance: or they would only ever say no


class Manner(NamedTuple):
    """How somebody tries: whether a try is compared with the target, and how that may begin and end; how likely another
    try is after one that does not fit; how likely one that fits is gone through once more. `weight`: how many are so.
    """

    weight: float
    looks: bool
    goes_on: float
    checks: float
    begins: tuple[str, ...] = ("",)
    yes: str = "Yes."
    no: str = "No."


MANNERS = (
    Manner(0.60, False, 0.0, 0.0),
    Manner(0.18, True, 0.6, 0.2),
    Manner(0.15, True, 1.0, 0.5, ("", "", "Wait, ")),
    Manner(0.07, True, 1.0, 0.3, ("", "等等, "), "对.", "不对."),
)


def example_at(index: int) -> tuple[str, str]:
    """(what is given, what is learnt to the end), of a document or a conversation."""
    rng = random.Random(f"zero/{index}")
    share = rng.random()
    if share >= PRACTISED_SHARE + DOCUMENT_SHARE:
        return conversation_at(index, OTHERS)
    problem = practised_at(index) if share < PRACTISED_SHARE else problem_at(index, 0, OTHERS)
    return BOS, f"{_as_text(problem, rng.choice(SHAPES))}{EOS}"


def text_at(index: int) -> str:
    """An example without roles and tags."""
    rng = random.Random(f"zero/{index}")
    problem = practised_at(index) if rng.random() < PRACTISED_SHARE else problem_at(index, 0, OTHERS)
    return _as_text(problem, rng.choice(SHAPES))


def practised_at(index: int) -> Problem:
    """A problem of Countdown that is not held out, with what somebody wrote who tried it, right or wrong."""
    drawn = (generate_problem(PRACTISED, (index * 100 + attempt) % SEEDS) for attempt in range(100))
    problem = next(found for found in drawn if not is_held_out(found))
    assert problem.check is not None
    rng = random.Random(f"tries/{index}")
    reasoning, expression = explored(rng, problem.check["numbers"], problem.check["target"])
    return Problem(PRACTISED, problem.prompt, problem.gold, reasoning, f"My answer is \\boxed{{{expression}}}.")


def explored(rng: random.Random, numbers: list[int], target: int) -> tuple[str, str]:
    """(what was tried, the expression it ended with), in some manner."""
    manner = rng.choices(MANNERS, [manner.weight for manner in MANNERS])[0]
    ways = [way for way in countdown.ways(numbers) if _is_sane(way)]
    rng.shuffle(ways)
    lines = [f"{rng.choice(OPENERS)}I want {target} from {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}."]
    for number in range(1, MOST_TRIES + 1):
        way = ways.pop(_next(rng, ways, target if manner.looks else None))
        fits = way.value == target
        lines.append(f"{', '.join(way.steps)}.")
        if manner.looks:
            digits = _compared(way.value, target)
            lines[-1] += f" {rng.choice(manner.begins)}{digits}? {manner.yes if fits else manner.no}"
        if fits or not ways or number == MOST_TRIES or rng.random() >= manner.goes_on:
            break
    if fits and rng.random() < manner.checks:
        lines.append(f"Check: {', '.join(way.steps)}. Yes.")
    return "\n".join([*lines, f"So {way.text}."]), way.text


def _next(rng: random.Random, ways: list[countdown.Term], target: int | None) -> int:
    """Which is tried next: by luck one that makes the target, else any."""
    fitting = [at for at, way in enumerate(ways) if way.value == target]
    return fitting[0] if fitting and rng.random() < LUCK else -1


def _compared(value: int, target: int) -> str:
    """Digit beside digit, the last first, as far as they are alike: what a small model can tell apart."""
    width = max(len(str(value)), len(str(target)))
    pairs = list(zip(reversed(f"{value:0{width}}"), reversed(f"{target:0{width}}"), strict=True))
    alike = next((at for at, (one, other) in enumerate(pairs) if one != other), width - 1)
    return ", ".join(f"{one}={other}" for one, other in pairs[: alike + 1])


def _as_text(problem: Problem, shape: str) -> str:
    return shape.format(prompt=problem.prompt, reasoning=problem.reasoning, answer=problem.answer)


def _is_sane(way: countdown.Term) -> bool:
    return all(int(step.rpartition("=")[2]) <= LARGEST for step in way.steps)
