"""Multiplying whole numbers: two of up to two digits (or three by one), now and then three small ones. `larger` is
three digits by two; `one_more` has four factors.
"""

from __future__ import annotations

import random

from .asking import asked
from .problem import Problem, Split, Wordings
from .scratch import Scratch

WORDINGS = Wordings(
    train=(
        *asked("{0}[ * |*| x |x| × |×]{1}", "{0} times {1}", "the product of {0} and {1}", "{0} multiplied by {1}"),
        "[Multiply|Please multiply|Can you multiply|Let's multiply] {0} [by|with] {1}[.|]",
        "[Multiply|Please multiply] {0} and {1}[.|]",
        "[How much|What] [is|do you get for] {0} [times|multiplied by|multiplied with] {1}?",
        "[What do I get|What comes out|What do you get|What is the result] [if|when] [I|you|we|someone] [multiply|multiplies] {0} [by|and|with] {1}?",
        "If [I|we|you] multiply {0} [by|with] {1}, [what is the result|what comes out|what number is it|how much is it]?",
        "[The numbers are|Take the numbers|I have two numbers:] {0} and {1}. [Multiply them.|What is their product?]",
        "[How many are|How much is|What is] {0} [groups|times|lots] of {1}?",
        "[Take|Take the number] {1} {0} times. [What is the result?|How much is that?|What do you get?]",
        "How much is {0} [taken|added up] {1} times?",
        "{0} and {1} are [multiplied|the factors]. What is the [product|result]?",
        "[Find|What is|Tell me|Give me] the [number|result] of {0} [by|times] {1}[.|?|]",
    ),
    unseen=(
        "Find the product of {0} and {1}.",
        "Tell me {0} * {1}.",
        "If you multiply {0} by {1}, what do you get?",
        "Which number is the product of {0} and {1}?",
        "Let {0} and {1} be multiplied. How much is the result?",
        "What does {0} taken {1} times make?",
    ),
)  # fmt: skip
MANY = (
    *asked("{times}", "the product of {commas}", "{words}"),
    "[Multiply|Please multiply|Can you multiply] {commas}[.|]",
    "[Multiply] [these numbers|the numbers|these]: {commas}[.|]",
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    scratch = Scratch(rng, slip_at)
    if split is Split.ONE_MORE or (split is Split.TRAIN and rng.random() < 0.1):
        return _many(rng, scratch, [rng.randint(2, 9) for _ in range(4 if split is Split.ONE_MORE else 3)])
    a, b = _operands(rng, split)
    scratch.say(f"I need to multiply {a} by {b}.")
    scratch.paragraph()
    product = scratch.multiply(a, b)
    prompt = WORDINGS.pick(rng, split).format(a, b)
    return Problem("products", prompt, str(product), scratch.text(), f"{a} * {b} = \\boxed{{{product}}}")


def _many(rng: random.Random, scratch: Scratch, factors: list[int]) -> Problem:
    numbers = [str(factor) for factor in factors]
    commas = f"{', '.join(numbers[:-1])} and {numbers[-1]}"
    scratch.say(f"I need to multiply {commas}.")
    product = factors[0]
    for factor in factors[1:]:
        scratch.paragraph()
        product = scratch.multiply(product, factor)
    prompt = Wordings(MANY, ()).pick(rng, Split.TRAIN).format(
        times=rng.choice((" * ", "*", " x ", " × ")).join(numbers), words=" times ".join(numbers), commas=commas
    )  # fmt: skip
    return Problem("products", prompt, str(product), scratch.text(), f"{' * '.join(numbers)} = \\boxed{{{product}}}")


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
