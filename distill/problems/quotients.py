"""Dividing without a remainder, plain or shared among people."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import FRUITS, GOODS, plural

WORDINGS = Wordings(
    train=(
        "What is {0} / {1}?", "{0} / {1}", "{0}/{1}", "What is {0} divided by {1}?", "Divide {0} by {1}.", "Calculate {0} / {1}.",
        "{0} divided by {1}", "{0} / {1} = ?", "How many times does {1} go into {0}?", "What is {0} ÷ {1}?",
        "{0} {2} are shared equally among {1} children. How many {2} does each child get?",
        "{1} friends share {0} {2} equally. How many does each get?",
        "I have {0} {2} and put the same number into each of {1} boxes. How many {2} are in a box?",
    ),
    unseen=("Tell me {0} / {1}.", "Split {0} {2} evenly between {1} people. How many for each?"),
)  # fmt: skip


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    divisor = rng.randint(2, 9)
    quotient = pick_number(rng, split, (2, 99), (100, 999))
    dividend = divisor * quotient
    wording = WORDINGS.pick(rng, split)
    noun = plural(rng.choice(FRUITS + GOODS))
    scratch = Scratch(rng, slip_at)
    scratch.say(f"I need to divide {dividend} by {divisor}.")
    scratch.paragraph()
    scratch.divide(dividend, divisor)
    what = f"Each gets \\boxed{{{quotient}}} {noun}." if "{2}" in wording else f"{dividend} / {divisor} = \\boxed{{{quotient}}}"
    return Problem("quotients", wording.format(dividend, divisor, noun), str(quotient), scratch.text(), what)
