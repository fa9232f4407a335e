"""So much each, so many of them: prices, hours, boxes."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import FRUITS, GOODS, NAMES, plural

WORDINGS = Wordings(
    train=(
        "A {thing} costs ${a}. How much do {b} {things} cost?", "{name} buys {b} {things} for ${a} each. How much does {name} pay?",
        "A car drives {a} miles per hour. How far does it go in {b} hours?", "A train goes {a} mph for {b} hours. How many miles is that?",
        "There are {b} boxes with {a} {things} each. How many {things} are there?", "One box holds {a} {things}. How many are in {b} boxes?",
        "{name} earns ${a} an hour and works {b} hours. How much does {name} earn?",
        "{name} reads {a} pages a day. How many pages does {name} read in {b} days?",
    ),
    unseen=("How much are {b} {things} at ${a} each?", "At {a} miles an hour, how far does a bus get in {b} hours?"),
)  # fmt: skip


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    a, b = pick_number(rng, split, (2, 99), (100, 400)), rng.randint(2, 9)
    thing = rng.choice(FRUITS + GOODS)
    wording = WORDINGS.pick(rng, split)
    scratch = Scratch(rng, slip_at)
    scratch.say(f"It is {a} each, {b} times.")
    scratch.paragraph()
    total = scratch.multiply(a, b)
    prompt = wording.format(a=a, b=b, thing=thing, things=plural(thing), name=rng.choice(NAMES))
    return Problem("rates", prompt, str(total), scratch.text(), f"The total is \\boxed{{{total}}}.")
