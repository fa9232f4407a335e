"""Which of two decimals is larger: the trap is to read 9.11 as nine and eleven."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch

RIDDLE = {"9.9", "9.11"}  # the classic pair stays out of training altogether
WORDINGS = Wordings(
    train=(
        "Which is {g}, {a} or {b}?", "Which number is {g}, {a} or {b}?", "Which is {g}: {a} or {b}?", "{a} or {b}, which is {g}?",
        "What is {g}, {a} or {b}?", "which is {g} {a} or {b}", "Is {a} or {b} {g}?", "Which number is {g}: {a} or {b}?",
        "Which one is {g}, {a} or {b}?", "Compare {a} and {b}. Which is {g}?", "Between {a} and {b}, which is {g}?",
        "What number is {g}, {a} or {b}?",
    ),
    unseen=("Tell me which is {g}, {a} or {b}.", "Of {a} and {b}, which one is {g}?"),
)  # fmt: skip
LARGER, SMALLER = ("larger", "bigger", "greater", "higher"), ("smaller", "less", "lower")


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    while True:
        a, b = _pair(rng, split)
        if _value(a) != _value(b) and {a, b} != RIDDLE:
            break
    want_larger = rng.random() < 0.75
    word = rng.choice(LARGER if want_larger else SMALLER)
    prompt = WORDINGS.pick(rng, split).format(g=word, a=a, b=b)
    gold = max(a, b, key=_value) if want_larger else min(a, b, key=_value)
    return Problem("decimals", prompt, gold, solve(rng, a, b, slip_at), f"\\boxed{{{gold}}} is {word}.")


def solve(rng: random.Random, a: str, b: str, slip_at: int | None) -> str:
    scratch = Scratch(rng)
    (whole_a, tail_a), (whole_b, tail_b) = a.split("."), b.split(".")
    scratch.say(f"Compare {a} and {b}.", f"Whole parts: {whole_a} and {whole_b}.")
    if whole_a != whole_b:
        big, small = (whole_a, whole_b) if int(whole_a) > int(whole_b) else (whole_b, whole_a)
        scratch.say(f"{big} is more than {small}.")
    else:
        scratch.say("Equal.")
        if slip_at is not None and len(tail_a) != len(tail_b):
            high, low = sorted((tail_a, tail_b), key=int, reverse=True)
            scratch.say(f"{high} is more than {low}?", "Wait, these are digits after the point. I must go place by place.")
        _places(scratch, tail_a, tail_b)
    high, low = sorted((a, b), key=_value, reverse=True)
    scratch.say(f"So {high} is larger than {low}.")
    return scratch.text()


def _places(scratch: Scratch, tail_a: str, tail_b: str) -> None:
    width = max(len(tail_a), len(tail_b))
    for place, x, y in zip(("Tenths", "Hundredths", "Thousandths"), tail_a.ljust(width, "0"), tail_b.ljust(width, "0"), strict=False):
        scratch.say(f"{place}: {x} and {y}.")
        if x != y:
            scratch.say(f"{max(x, y)} is more than {min(x, y)}.")
            return
        scratch.say("Equal.")


def _pair(rng: random.Random, split: Split) -> tuple[str, str]:
    whole = pick_number(rng, split, (0, 20), (100, 999))
    other = whole if rng.random() < 0.75 else pick_number(rng, split, (0, 20), (100, 999))
    return f"{whole}.{_tail(rng)}", f"{other}.{_tail(rng)}"


def _tail(rng: random.Random) -> str:
    return "".join(rng.choice("0123456789") for _ in range(rng.choice((1, 1, 2, 2, 2, 3)) - 1)) + rng.choice("123456789")


def _value(text: str) -> tuple[int, str]:
    whole, tail = text.split(".")
    return int(whole), tail.ljust(3, "0")
