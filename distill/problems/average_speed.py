"""Two speeds, half of the way each (harmonic mean) or half of the time each (arithmetic mean).
Up to 120 mph, in `larger` up to 240.
"""

from __future__ import annotations

import random
from math import lcm

from .problem import Problem, Split, Wordings
from .scratch import Scratch
from .words import words

V = "[A|The|My] {v}"
GOES = "[goes|travels|drives|moves|runs]"
SPEED = "[mph|miles per hour|miles an hour]"
ASK = (
    "[What is its average speed?|What is the average speed?|What is the average speed for the whole trip?|Find the average speed."
    "|How fast is it on average?|What was its average speed?|What average speed is that?|What is the average speed of the {v}?]"
)
FIRST_HALF = "[the first half of [the way|the trip|its journey|the distance|the road|the route]|half of [the way|the distance|the trip|the road]|the first half]"
REST = "[the second half|the other half|the rest]"
BY_DISTANCE = Wordings(
    train=(
        f"{V} {GOES} {{a}} {SPEED} for {FIRST_HALF} and {{b}} {SPEED} for {REST}. {ASK}",
        f"{V} {GOES} [at |]{{a}} {SPEED} for {FIRST_HALF} and [at |]{{b}} {SPEED} for {REST}. {ASK}",
        f"{V} {GOES} {FIRST_HALF} at {{a}} {SPEED} and {REST} at {{b}} {SPEED}. {ASK}",
        f"{V} {GOES} {FIRST_HALF} [with|at] {{a}} {SPEED}, [then|and] {REST} [with|at] {{b}} {SPEED}. {ASK}",
        f"{V} {GOES} to [the city|town|school|work|the sea] at {{a}} {SPEED} and [comes back|returns|goes back] at {{b}} {SPEED}. {ASK}",
        f"{V} {GOES} [there|from one town to another] at {{a}} {SPEED} and [comes back|back|returns] at {{b}} {SPEED}. {ASK}",
        f"If a {{v}} {GOES} {{a}} {SPEED} for {FIRST_HALF} and {{b}} {SPEED} for {REST}, what is its average speed?",
        f"If a {{v}} goes {{a}} {SPEED} for the first half of a journey and {{b}} {SPEED} for the second, what is [its|the] average speed?",
        f"[For|In] {FIRST_HALF} a {{v}} {GOES} at {{a}} {SPEED}, [for|in] {REST} at {{b}} {SPEED}. {ASK}",
        f"[What is the average speed of|How fast on average is] a {{v}} that {GOES} {FIRST_HALF} at {{a}} {SPEED} and {REST} at {{b}} {SPEED}?",
        f"[Driving|Moving|Travelling] to [town|the city|school] at {{a}} {SPEED} and [back|coming back|going back] at {{b}} {SPEED}, what [average speed does a {{v}} have|is the average speed of a {{v}}]?",
        f"On the way [there|to town] a {{v}} {GOES} at {{a}} {SPEED}, [on the way back|and back] at {{b}} {SPEED}. {ASK}",
        f"The way [there|to town] is done at {{a}} {SPEED}, the way back at {{b}} {SPEED} by the same {{v}}. {ASK}",
        f"{V} [covers|does] one half of [the way|the distance] at {{a}} {SPEED} and the other [half |]at {{b}} {SPEED}. {ASK}",
    ),
    unseen=(
        "Going there at {a} mph and returning at {b} mph, what average speed does a {v} reach?",
        "A {v} covers the first half of the road at {a} mph, the rest at {b} mph. Find the average speed.",
        "The first half of a trip is done at {a} mph and the second one at {b} mph. How fast is the {v} on average?",
        "On the way to the city a {v} does {a} mph, on the way back {b} mph. What is the average for the whole way?",
    ),
)  # fmt: skip
BY_TIME = Wordings(
    train=(
        f"{V} {GOES} {{a}} {SPEED} for half of the time and {{b}} {SPEED} for [the other half of the time|the rest of the time]. {ASK}",
        f"{V} {GOES} [for |][one|an] hour at {{a}} {SPEED} and [for |][one|another] hour at {{b}} {SPEED}. {ASK}",
        f"{V} {GOES} half [of |]the time at {{a}} {SPEED} and half [of |]the time at {{b}} {SPEED}. {ASK}",
        f"[For|In] the first hour a {{v}} {GOES} at {{a}} {SPEED}, [for|in] the second hour at {{b}} {SPEED}. {ASK}",
        f"{V} {GOES} [two|three] hours at {{a}} {SPEED} and then [just as long|the same time] at {{b}} {SPEED}. {ASK}",
    ),
    unseen=(
        "For an hour a {v} does {a} mph, for another hour {b} mph. What is the average speed?",
        "Half of the time a {v} drives at {a} mph, the other half of the time at {b} mph. Find its average speed.",
    ),
)  # fmt: skip
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
    prompt = BY_DISTANCE.pick(rng, split).format(v=rng.choice(words(split).vehicles), a=a, b=b)
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
    low, high = (13, 24) if split is Split.LARGER else (1, 12)
    a, b = (tens * 10 for tens in rng.sample(range(low, high), 2))
    scratch = Scratch(rng, slip_at)
    scratch.say("The times are equal, so the average is half of the sum.")
    total = scratch.add(a, b)
    scratch.paragraph()
    speed = scratch.divide(total, 2)
    prompt = BY_TIME.pick(rng, split).format(v=rng.choice(words(split).vehicles), a=a, b=b)
    return Problem("average_speed", prompt, str(speed), scratch.text(), f"The average speed is \\boxed{{{speed}}} mph.")
