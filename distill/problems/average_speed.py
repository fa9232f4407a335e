"""Two speeds, half of the way each (harmonic mean) or half of the time each (arithmetic mean)."""

from __future__ import annotations

import random
from math import lcm

from .problem import Problem, Split, Wordings
from .scratch import Scratch

VEHICLES = ("train", "car", "bus", "truck", "cyclist", "van", "boat", "taxi")
BY_DISTANCE = Wordings(
    train=(
        "A {v} goes {a} mph for the first half of the way and {b} mph for the second half. What is its average speed?",
        "A {v} travels the first half of a trip at {a} mph and the second half at {b} mph. What is the average speed?",
        "A {v} travels at {a} mph for the first half of the distance and at {b} mph for the second half. What is the average speed?",
        "A {v} drives half of the distance at {a} mph and the other half at {b} mph. What is the average speed?",
        "A {v} goes to the city at {a} mph and comes back at {b} mph. What is the average speed for the whole trip?",
        "A {v} travels at {a} mph for the first half of its journey and {b} mph for the second half. What is its average speed?",
        "A {v} travels {a} mph for the first half and {b} mph for the second half. What is its average speed?",
        "If a {v} goes {a} mph for the first half of a journey and {b} mph for the second, what is its average speed?",
    ),
    unseen=(
        "Going there at {a} mph and returning at {b} mph, what average speed does a {v} reach?",
        "A {v} covers the first half of the road at {a} mph, the rest at {b} mph. Find the average speed.",
    ),
)
BY_TIME = Wordings(
    train=(
        "A {v} drives {a} mph for half of the time and {b} mph for the other half of the time. What is the average speed?",
        "A {v} travels for one hour at {a} mph and for one hour at {b} mph. What is its average speed?",
    ),
    unseen=("For an hour a {v} does {a} mph, for another hour {b} mph. What is the average speed?",),
)
RIDDLE = (60, 40)  # the classic pair stays out of training altogether


def _pairs(low: int, high: int) -> tuple[tuple[int, int], ...]:
    """Speeds whose harmonic mean is whole and whose common distance stays small."""
    speeds = range(low, high + 1, 5)
    return tuple(
        (a, b)
        for a in speeds
        for b in speeds
        if a != b and 2 * a * b % (a + b) == 0 and lcm(a, b) <= 10 * high and (a, b) != RIDDLE
    )


PAIRS, LARGER_PAIRS = _pairs(5, 120), tuple(p for p in _pairs(5, 240) if max(p) > 120)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    if rng.random() < 0.2:
        return _by_time(rng, split, slip_at)
    a, b = rng.choice(LARGER_PAIRS if split is Split.LARGER else PAIRS)
    prompt = BY_DISTANCE.pick(rng, split).format(v=rng.choice(VEHICLES), a=a, b=b)
    return Problem("average_speed", prompt, str(2 * a * b // (a + b)), *solve(rng, a, b, slip_at))


def solve(rng: random.Random, a: int, b: int, slip_at: int | None) -> tuple[str, str]:
    """(reasoning, answer) for half of the way at a, half at b."""
    scratch = Scratch(rng, slip_at and slip_at - 1)
    if slip_at == 0:
        scratch.say(f"({a}+{b})/2={(a + b) / 2:g}?", "Wait, the distances are equal, not the times.")
        scratch.paragraph()
    half = lcm(a, b)
    scratch.say(f"Say each half is {half} miles, because {a} and {b} both divide {half}.")
    scratch.paragraph()
    scratch.say("First half.")
    first = scratch.divide(half, a) if half // a < 10 else _plain(scratch, half, a)
    scratch.say(f"That is {first} hours.")
    scratch.paragraph()
    scratch.say("Second half.")
    second = scratch.divide(half, b) if half // b < 10 else _plain(scratch, half, b)
    scratch.say(f"That is {second} hours.")
    scratch.paragraph()
    scratch.say(f"The whole way is {2 * half} miles in {first}+{second}={first + second} hours.")
    speed = _plain(scratch, 2 * half, first + second)
    return scratch.text(), f"The average speed is \\boxed{{{speed}}} mph."


def _plain(scratch: Scratch, a: int, b: int) -> int:
    scratch.fact(f"{a}/{b}", a // b)
    return a // b


def _by_time(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    high = 24 if split is Split.LARGER else 12
    a, b = rng.sample(range(1, high), 2)
    a, b = a * 10, b * 10
    scratch = Scratch(rng, slip_at)
    scratch.say("The times are equal, so the average is half of the sum.")
    total = scratch.add(a, b)
    scratch.paragraph()
    speed = scratch.divide(total, 2)
    prompt = BY_TIME.pick(rng, split).format(v=rng.choice(VEHICLES), a=a, b=b)
    return Problem("average_speed", prompt, str(speed), scratch.text(), f"The average speed is \\boxed{{{speed}}} mph.")
