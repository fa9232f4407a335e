"""Subtracting whole numbers; the result may be negative."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_digits
from .scratch import Scratch

WORDINGS = Wordings(
    train=(
        "What is {0} - {1}?", "{0} - {1}", "{0}-{1}", "{0} - {1} = ?", "Calculate {0} - {1}.", "What is {0} minus {1}?",
        "Subtract {1} from {0}.", "What is the difference between {0} and {1}?", "Compute {0} - {1}", "what is {0}-{1}",
        "How much is {0} - {1}?", "{0} minus {1}", "Take {1} away from {0}.", "what's {0} - {1}?", "Hi, what is {0} - {1}?",
    ),
    unseen=("Tell me {0} - {1}.", "If you take {1} from {0}, what is left?", "Work out {0} minus {1}."),
)  # fmt: skip


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    digits = (5,) if split is Split.LARGER else (1, 2, 2, 3, 3, 3, 4)
    a, b = pick_digits(rng, digits), pick_digits(rng, digits)
    wording = WORDINGS.pick(rng, split)
    keep_order = rng.random() < 0.08 and "difference" not in wording and split is Split.TRAIN
    if a < b and not keep_order:
        a, b = b, a
    scratch = Scratch(rng, slip_at)
    scratch.say(f"I need to take {b} away from {a}.")
    scratch.paragraph()
    if a >= b:
        result = scratch.subtract(a, b)
    else:
        scratch.say(f"{b} is larger than {a}, so the result is negative.")
        result = -scratch.subtract(b, a)
    return Problem("differences", wording.format(a, b), str(result), scratch.text(), f"{a} - {b} = \\boxed{{{result}}}")
