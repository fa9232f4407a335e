"""Small Python functions of one line, judged by unit tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .problem import Problem, Split, Wordings, pick_number
from .words import invented

Kind = Literal["number", "two", "list", "text"]
Reference = Callable[..., Any]
TESTS = 3
TRIES = 30


@dataclass(frozen=True)
class Task:
    """What a function does, the expression it returns, and the same as a callable of (n, *arguments).

    {x} and {y} are its arguments, {n} a number.
    """

    kind: Kind
    does: str
    returns: str
    reference: Reference


TASKS = (
    Task("number", "[returns|gives back|computes] {x} plus {n}", "{x} + {n}", lambda n, x: x + n),
    Task("number", "[adds {n} to {x}|returns {x} with {n} added]", "{x} + {n}", lambda n, x: x + n),
    Task("number", "[subtracts {n} from {x}|returns {x} minus {n}]", "{x} - {n}", lambda n, x: x - n),
    Task("number", "[multiplies {x} by {n}|returns {n} times {x}|returns {x} times {n}]", "{x} * {n}", lambda n, x: x * n),
    Task("number", "[doubles {x}|returns twice {x}|returns the double of {x}]", "{x} * 2", lambda n, x: x * 2),
    Task("number", "[squares {x}|returns the square of {x}|returns {x} squared]", "{x} * {x}", lambda n, x: x * x),
    Task("number", "[tests|checks|says|tells] [if|whether] {x} is even", "{x} % 2 == 0", lambda n, x: x % 2 == 0),
    Task("number", "[tests|checks|says|tells] [if|whether] {x} is odd", "{x} % 2 == 1", lambda n, x: x % 2 == 1),
    Task("number", "[tests|checks|says|tells] [if|whether] {x} is [larger|greater] than {n}", "{x} > {n}", lambda n, x: x > n),
    Task("number", "[tests|checks|says|tells] [if|whether] {x} is [smaller|less] than {n}", "{x} < {n}", lambda n, x: x < n),
    Task("number", "[tests|checks|says] [if|whether] {x} is divisible by {n}", "{x} % {n} == 0", lambda n, x: x % n == 0),
    Task("number", "returns the remainder of {x} divided by {n}", "{x} % {n}", lambda n, x: x % n),
    Task("number", "returns {x} without its sign", "abs({x})", lambda n, x: abs(x)),
    Task("two", "[adds {x} and {y}|returns the sum of {x} and {y}|returns {x} plus {y}]", "{x} + {y}", lambda n, x, y: x + y),
    Task("two", "[multiplies {x} and {y}|returns the product of {x} and {y}]", "{x} * {y}", lambda n, x, y: x * y),
    Task("two", "[subtracts {y} from {x}|returns {x} minus {y}]", "{x} - {y}", lambda n, x, y: x - y),
    Task("two", "returns the [larger|greater|bigger] [one |]of {x} and {y}", "max({x}, {y})", lambda n, x, y: max(x, y)),
    Task("two", "returns the [smaller|lesser] [one |]of {x} and {y}", "min({x}, {y})", lambda n, x, y: min(x, y)),
    Task("two", "[tests|checks|says] [if|whether] {x} and {y} are [equal|the same]", "{x} == {y}", lambda n, x, y: x == y),
    Task("list", "[adds up|sums] the numbers in {x}", "sum({x})", lambda n, x: sum(x)),
    Task("list", "returns the [sum|total] of the list {x}", "sum({x})", lambda n, x: sum(x)),
    Task("list", "[counts|returns the number of] the items in {x}", "len({x})", lambda n, x: len(x)),
    Task("list", "returns the [largest|biggest|greatest] number in {x}", "max({x})", lambda n, x: max(x)),
    Task("list", "returns the smallest number in {x}", "min({x})", lambda n, x: min(x)),
    Task("list", "returns the first item of {x}", "{x}[0]", lambda n, x: x[0]),
    Task("list", "returns the last item of {x}", "{x}[-1]", lambda n, x: x[-1]),
    Task("list", "counts how often {n} is in {x}", "{x}.count({n})", lambda n, x: x.count(n)),
    Task("list", "[tests|checks|says] [if|whether] {n} is in {x}", "{n} in {x}", lambda n, x: n in x),
    Task("list", "returns the list {x} in reverse", "{x}[::-1]", lambda n, x: x[::-1]),
    Task("list", "adds {n} to [each|every] number in {x}", "[v + {n} for v in {x}]", lambda n, x: [v + n for v in x]),
    Task("list", "multiplies [each|every] number in {x} by {n}", "[v * {n} for v in {x}]", lambda n, x: [v * n for v in x]),
    Task("list", "keeps the numbers in {x} that are [larger|greater] than {n}", "[v for v in {x} if v > {n}]", lambda n, x: [v for v in x if v > n]),
    Task("text", "returns the number of letters in {x}", "len({x})", lambda n, x: len(x)),
    Task("text", "[reverses the text {x}|returns the text {x} backwards]", "{x}[::-1]", lambda n, x: x[::-1]),
    Task("text", "[turns the text {x} into capital letters|returns the text {x} in capital letters]", "{x}.upper()", lambda n, x: x.upper()),
    Task("text", "repeats the text {x} {n} times", "{x} * {n}", lambda n, x: x * n),
)  # fmt: skip
ONE_MORE = (
    Task("number", "returns the square of {x} plus {n}", "{x} * {x} + {n}", lambda n, x: x * x + n),
    Task("number", "doubles {x} and then adds {n}", "{x} * 2 + {n}", lambda n, x: x * 2 + n),
    Task("two", "returns the sum of {x} and {y} plus {n}", "{x} + {y} + {n}", lambda n, x, y: x + y + n),
    Task("two", "returns {n} times the larger of {x} and {y}", "max({x}, {y}) * {n}", lambda n, x, y: max(x, y) * n),
    Task("list", "returns the sum of the list {x} plus {n}", "sum({x}) + {n}", lambda n, x: sum(x) + n),
    Task("list", "returns the largest number in {x} minus the smallest", "max({x}) - min({x})", lambda n, x: max(x) - min(x)),
    Task("text", "returns the text {x} backwards and in capital letters", "{x}[::-1].upper()", lambda n, x: x[::-1].upper()),
)  # fmt: skip
WORDINGS = Wordings(
    train=(
        "[Write|Create|Make|Give me|Please write|I need] a [Python |]function {f}({args}) [that|which] {does}.",
        "[Write|Create|Make|Please write] a [Python |]function [named|called] {f} [that takes|with] {args} and {does}.",
        "[Can you|Could you] [write|make|give me] a [Python |]function {f}({args}) [that|which] {does}?",
        "[Define|Write] {f}({args}) so that it {does}.",
        "[In Python|With Python], [write|define] a function {f}({args}) [that|which] {does}.",
        "[Write|Define] the [Python |]function {f}({args}). It {does}.",
        "[Implement|Program] [a|the] function {f}({args})[ in Python|] [that|which] {does}.", "[How do I|How can I|How would you] write a [Python |]function {f}({args}) [that|which] {does}?",
        "[What is|Show me|Give me|I want|I need] the [Python |]code [of|for] [a function |]{f}({args}) [that|which] {does}[?|.|]",
        "[Use Python:|In Python:] {f}({args}) {does}.", "{f}({args}) [should be|is] a [Python |]function [that|which] {does}. [Write it.|Write its code.|How do I write it?]",
        "[I want|I need|We need] [Python code|a function] {f} [of|with|for] {args}[:| so that] it {does}.",
    ),
    unseen=(
        "Implement {f}({args}) in Python: it {does}.", "I want a function {f} of {args} that {does}. Use Python.",
        "{f}({args}) {does}. What is its Python code?", "How do I write {f}({args}) in Python, if it {does}?",
    ),
)  # fmt: skip
NAMES = "f g h apply compute solve work step answer helper my_function do_it make check number_of value_of test func".split()
UNSEEN_NAMES = "process handle transform calc evaluate perform".split()
NUMBERS = (("x", "y"), ("a", "b"), ("n", "m"), ("first", "second"))
ARGUMENTS: dict[Kind, tuple[str, ...]] = {"list": ("xs", "items", "values", "data"), "text": ("s", "t", "word")}
TEXTS = ("tea", "moon", "river", "apple", "Anna", "pen", "stone", "abc", "lamp", "ox")


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    task, n = rng.choice(ONE_MORE if split is Split.ONE_MORE else TASKS), pick_number(rng, split, (2, 20), (100, 999))
    if task.kind == "text":
        n = pick_number(rng, split, (2, 5), (6, 12))
    x, y = _arguments(rng, task.kind)
    facts = {"x": x, "y": y, "n": n, "f": _name(rng, split), "args": f"{x}, {y}" if task.kind == "two" else x}
    does = Wordings((task.does,), ()).pick(rng, Split.TRAIN).format(**facts)
    prompt = WORDINGS.pick(rng, split).format(does=does, **facts)
    returns = task.returns.format(**facts)
    tests = _tests(rng, task, n)
    example, output = min(((test["args"], test["output"]) for test in tests), key=lambda shown: len(repr(shown)))
    reasoning = f"{facts['f']} takes {facts['args']}.\n{_decided(rng, task, facts, slip_at)}\n"
    reasoning += f"Check: {facts['f']}({', '.join(map(repr, example))}) is {output!r}. Good."
    program = f"def {facts['f']}({facts['args']}):\n    return {returns}"
    check = {"function": facts["f"], "tests": tests}
    return Problem("code", prompt, program, reasoning, f"```python\n{program}\n```", "code", check)


def _decided(rng: random.Random, task: Task, facts: dict[str, Any], slip_at: int | None) -> str:
    """What it returns; a slip is another task's expression."""
    returns = task.returns.format(**facts)
    others = [other.returns for other in TASKS if other.kind == task.kind and other.returns != task.returns]
    if slip_at is None or slip_at > 1:
        return f"It returns {returns}."
    return f"It returns {rng.choice(others).format(**facts)}. Wait, that is wrong. It returns {returns}."


def _tests(rng: random.Random, task: Task, n: int) -> list[dict[str, Any]]:
    """Tests that none of the other tasks passes, nor a constant, but for those that are the same for this n."""
    others = [
        other.reference for other in (*TASKS, *ONE_MORE) if other.kind == task.kind and other.returns != task.returns
    ]
    drawn = [[_values(rng, task, n) for _ in range(TESTS)] for _ in range(TRIES)]
    outputs = [[task.reference(n, *args) for args in tried] for tried in drawn]

    def passed(index: int) -> int:
        same = sum([other(n, *args) for args in drawn[index]] == outputs[index] for other in others)
        return same + 10 * (outputs[index].count(outputs[index][0]) == TESTS)

    best = min(range(TRIES), key=passed)
    return [{"args": args, "output": output} for args, output in zip(drawn[best], outputs[best], strict=True)]


def _values(rng: random.Random, task: Task, n: int) -> list[Any]:
    """Arguments; those with which a comparison with n may come out either way, now and then."""
    near = [n - 1, n, n + 1, 2 * n]
    if task.kind == "list":
        return [[rng.choice((rng.randint(1, 30), *near)) for _ in range(rng.randint(2, 4))]]
    if task.kind == "text":
        return [rng.choice(TEXTS)]
    numbers = [rng.choice((rng.randint(-9, 30), rng.choice(near))) for _ in range(2)]
    return numbers[:1] if task.kind == "number" else rng.choice((numbers, numbers, numbers[:1] * 2))


def _arguments(rng: random.Random, kind: Kind) -> tuple[str, str]:
    return rng.choice(NUMBERS) if kind in ("number", "two") else (rng.choice(ARGUMENTS[kind]), "")


def _name(rng: random.Random, split: Split) -> str:
    if split is Split.UNSEEN_WORDS:
        return rng.choice(UNSEEN_NAMES)
    return invented(rng) if rng.random() < 0.15 else rng.choice(NAMES)
