"""Countdown: make a target from some numbers, each used once. The worked solution is a search that turns back.

That traces with dead ends teach more than straight ones is from Gandhi et al. 2024 (arXiv 2404.03683).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from .phrases import expand
from .problem import Problem, Split, Wordings
from .scratch import Scratch
from .words import pick_name


@dataclass(frozen=True)
class Deal:
    """How many numbers, from where to where they lie, and their target; both ends included."""

    count: int
    numbers: tuple[int, int]
    target: tuple[int, int]


ORDINARY = Deal(3, (1, 15), (5, 99))
ONE_MORE = Deal(4, (1, 15), (5, 99))
LARGER = Deal(3, (16, 30), (100, 400))
OPERATORS = "+-*"
MAX_TRACE = 430  # characters of a worked solution; the search begins anew, in another order, where it takes more

WORDINGS = Wordings(
    train=(
        "[Use|Take] the numbers {ns} to make {t}[.| with {ops}.| with {ops}. Use each number once.]",
        "[Make|Get|Build|Can you make|Please make] {t} [from|out of|using|with] [the numbers |]{ns}[| and {ops}].",
        "[Using|With] the numbers {ns}, [make|write|create|find] [an expression|a formula|a calculation] that [equals|gives|is|makes] {t}."
        " [You may use {ops}.|Use only {ops}.|] [Use each number once.|Each number may be used only once.|Every number must be used once.]",
        "[Countdown|Countdown game|A countdown puzzle]: [numbers|the numbers are] {list}, target {t}.",
        "[Numbers|Given numbers]: {list}. Target: {t}.[ Allowed: {ops}.|]",
        "[How can I|How do I|How do you|Can you] [get|reach|make] {t} [from|with|using] {ns}[?| with {ops}?]",
        "Which [expression|calculation] with {ns} [gives|equals|makes] {t}?",
        "{name} [has|draws|holds|picks] [cards|tiles|stones] with the numbers {ns}. How can {name} [make|reach|get] {t}[ with {ops}|]?",
        "{name} [plays|is playing] countdown. The numbers are {ns} and the target is {t}. [Find a way.|What is a solution?|Help {name}.]",
        "[I have|Here are|There are|You have] [the numbers|these numbers:|numbers:] {list}. [I want to make|I want|Reach|Make|Get|I need] {t}[ with {ops}|]."
        " [Use every one of them.|Use all of them once.|Every one must be used once.|]",
        "[Find|Give me|Tell me|Show me|Write down] [a way|one way|a solution|a formula] to [make|get|reach|turn them into] {t} [from|with|using|out of] {ns}.",
        "[Find|Write|Give] [a calculation|an expression] [with|from|of|that has] {ns} [so that|where] the [result|end|answer] is {t}.",
        "[Put|Combine] the numbers {ns} [together|] with {ops} [to end up with|to get|so that you get] {t}.",
        "[What|Which calculation] [can I do|do I write|can I write] with {ns} to [get|end at|arrive at] {t}?",
        "[My target is|The target is|I want to reach] {t}. [My numbers are|The numbers are|I have] {list}.[ What can I write?| How?| What do I do?]",
    ),
    unseen=(
        "Combine {ns} so that the result is {t}. You may only use {ops}.",
        "Here are some numbers: {list}. I want to reach {t} and use every one of them once.",
        "What can I write with {ns} to end up at {t}?",
        "Find a way to turn {ns} into {t} using {ops}.",
    ),
)  # fmt: skip
OPS = ("+, - and *", "+ - *", "+, -, *", "+, - or *", "plus, minus and times")
OTHER = ("No.", "Another way.", "That does not work.", "Let me try another.", "Let me try another way.")


class Term(NamedTuple):
    """An expression and what it comes to; `rank` 0 is a sum or difference, 1 a product, 2 a number."""

    value: int
    text: str
    rank: int = 2
    steps: tuple[str, ...] = ()


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    numbers, target = draw(rng, {Split.ONE_MORE: ONE_MORE, Split.LARGER: LARGER}.get(split, ORDINARY))
    wording = _wording(rng, split)
    check: dict[str, Any] = {"numbers": numbers, "target": target}
    if "{ops}" in wording:
        check["operators"] = OPERATORS
    ns = f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    facts = {"ns": ns, "list": ", ".join(map(str, numbers)), "t": target, "name": pick_name(rng, split)}
    prompt = " ".join(wording.format(ops=rng.choice(OPS), **facts).split())
    found, reasoning = worked(rng, numbers, target, slip_at)
    answer = f"{rng.choice(('One way is', 'This works:', 'A solution is'))} \\boxed{{{found.text}}}."
    return Problem("countdown", prompt, found.text, reasoning, answer, "expression", check)


def draw(rng: random.Random, deal: Deal) -> tuple[list[int], int]:
    """(numbers, target), with at least one solution."""
    while True:
        numbers = [rng.randint(*deal.numbers) for _ in range(deal.count)]
        reached = sorted({t.value for t in _reachable(_terms(numbers)) if deal.target[0] <= t.value <= deal.target[1]})
        if reached:
            return numbers, rng.choice(reached)


def ways(numbers: list[int]) -> list[Term]:
    """All that can be made of the numbers, each used once, by way of positive numbers only; some more than once."""
    return list(_reachable(_terms(numbers)))


def puzzle(problem: Problem) -> tuple[int, ...] | None:
    """The target and the numbers in order: what is the same puzzle in whatever words. None for another family's."""
    if problem.verifier != "expression" or problem.check is None:
        return None
    return (problem.check["target"], *sorted(problem.check["numbers"]))


def worked(rng: random.Random, numbers: list[int], target: int, slip_at: int | None) -> tuple[Term, str]:
    """The solution found, and the search for it as it is written down."""
    while True:
        scratch = Scratch(rng, slip_at if rng.random() < 0.5 else None)  # dead ends teach turning back as well
        scratch.say(f"I want {target} from {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}.")
        scratch.paragraph()
        found = _search(rng, scratch, _head_start(rng, scratch, _terms(numbers), target), target)
        if found:
            scratch.paragraph()
            scratch.say(f"{rng.choice(('Check', 'Let me check'))}: {found.text}. {'. '.join(found.steps)}. Good.")
            if len(scratch.text()) <= MAX_TRACE:
                return found, scratch.text()


def _search(rng: random.Random, scratch: Scratch, terms: list[Term], target: int) -> Term | None:
    """Tries what two of three terms make, and the third with it; None where nothing makes the target."""
    for number, (first, last) in enumerate(_ways(rng, terms, target)):
        if number:
            scratch.paragraph()
            scratch.say(rng.choice(OTHER))
        found = _finished(scratch, first, last, target)
        if found:
            return found
    return None


def _ways(rng: random.Random, terms: list[Term], target: int) -> list[tuple[Term, Term]]:
    """(what two of three terms make, the third) in the order tried: what is too large or too small, rather late."""

    def eagerness(way: tuple[Term, Term]) -> float:
        first, last = way
        smaller = first.steps[-1].count("-") > 0 and target > sum(term.value for term in terms)
        return rng.random() + 0.7 * (smaller or first.value > target + last.value)

    return sorted(((first, last) for first, (last,) in _joined(terms)), key=eagerness)


def _finished(scratch: Scratch, first: Term, last: Term, target: int) -> Term | None:
    """Sum first: where it is too small only a product can reach the target, where too large a difference."""
    expression, _, value = first.steps[-1].partition("=")
    if first.value - last.value > target:
        scratch.fact(expression, int(value), tail=", too large")
        return None
    scratch.fact(expression, int(value))
    ways = {operator: _join(first, operator, last) for operator in OPERATORS}
    order = "+*" if ways["+"].value < target else "+" if ways["+"].value == target else "+-*"
    for operator in order:
        term = ways[operator]
        if operator == "*" and len(order) == 3 and min(first.value, last.value) > 1:
            continue  # a product is no smaller than the sum unless one factor is 1
        expression, _, value = term.steps[-1].partition("=")
        over = "no" if operator != "+" else "too large" if term.value > target else "too small"
        scratch.fact(expression, int(value), tail=", yes" if term.value == target else f", {over}")
        if term.value == target:
            return term
    return None


def _head_start(rng: random.Random, scratch: Scratch, terms: list[Term], target: int) -> list[Term]:
    """Three terms that a solution goes on from, the steps to them written down."""
    while len(terms) > 3:
        ways = [[first, *rest] for first, rest in _joined(terms)]
        terms = rng.choice([way for way in ways if any(t.value == target for t in _reachable(way))])
        expression, _, value = terms[0].steps[-1].partition("=")
        scratch.say("First")
        scratch.fact(expression, int(value))
    return terms


def _terms(numbers: list[int]) -> list[Term]:
    return [Term(n, str(n)) for n in numbers]


def _reachable(terms: list[Term]) -> Iterator[Term]:
    """Everything that all the terms together can make, by way of positive numbers only."""
    if len(terms) == 1:
        yield terms[0]
    for first, rest in _joined(terms):
        yield from _reachable([first, *rest])


def _joined(terms: list[Term]) -> Iterator[tuple[Term, list[Term]]]:
    """Each pair joined in each way, beside the terms left over."""
    for i, one in enumerate(terms):
        for j in range(i + 1, len(terms)):
            rest = [term for k, term in enumerate(terms) if k not in (i, j)]
            for operator in OPERATORS:
                term = _join(one, operator, terms[j])
                if term.value > 0:
                    yield term, rest


def _join(one: Term, operator: str, other: Term) -> Term:
    """The larger first where they are subtracted."""
    if operator == "-" and one.value < other.value:
        one, other = other, one
    value = {"+": one.value + other.value, "-": one.value - other.value, "*": one.value * other.value}[operator]
    rank = int(operator == "*")
    left = one.text if one.rank >= rank else f"({one.text})"
    right = other.text if other.rank > rank or (other.rank == rank and operator != "-") else f"({other.text})"
    step = f"{one.value}{operator}{other.value}={value}"
    return Term(value, f"{left}{operator}{right}", rank, (*one.steps, *other.steps, step))


def _wording(rng: random.Random, split: Split) -> str:
    if split is Split.UNSEEN_WORDS:
        return expand(rng, rng.choice([pattern for pattern in WORDINGS.train if "{name}" in pattern]))
    return WORDINGS.pick(rng, split)
