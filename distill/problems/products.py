"""Multiplying whole numbers."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings
from .scratch import Scratch

WORDINGS = Wordings(
    train=(
        "What is {0} * {1}?", "{0} * {1}", "{0}*{1}", "{0} x {1}", "{0} * {1} = ?", "What is {0} times {1}?", "What is {0} x {1}?",
        "Calculate {0} * {1}.", "Multiply {0} by {1}.", "What is the product of {0} and {1}?", "Compute {0} * {1}",
        "How much is {0} times {1}?", "what is {0}*{1}", "{0} times {1}", "What is {0} × {1}?", "what's {0} * {1}?",
        "What is {0} multiplied by {1}?", "Calculate {0} x {1}", "Hi, what is {0} * {1}?",
    ),
    unseen=("Find the product of {0} and {1}.", "Tell me {0} * {1}.", "If you multiply {0} by {1}, what do you get?"),
)  # fmt: skip


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    a, b = _operands(rng, split)
    scratch = Scratch(rng, slip_at)
    scratch.say(f"I need to multiply {a} by {b}.")
    scratch.paragraph()
    product = scratch.multiply(a, b)
    prompt = WORDINGS.pick(rng, split).format(a, b)
    return Problem("products", prompt, str(product), scratch.text(), f"{a} * {b} = \\boxed{{{product}}}")


def _operands(rng: random.Random, split: Split) -> tuple[int, int]:
    if split is Split.LARGER:
        return rng.randint(100, 999), rng.randint(11, 99)
    kind = rng.random()
    if kind < 0.2:
        return rng.randint(2, 9), rng.randint(2, 9)
    if kind < 0.5:
        pair = rng.randint(10, 99), rng.randint(2, 9)
    elif kind < 0.6:
        pair = rng.randint(100, 999), rng.randint(2, 9)
    else:
        return rng.randint(10, 99), rng.randint(10, 99)
    return pair if rng.random() < 0.7 else (pair[1], pair[0])
