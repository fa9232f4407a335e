"""Adding whole numbers."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_digits
from .scratch import Scratch

WORDINGS = Wordings(
    train=(
        "What is {0} + {1}?", "{0} + {1}", "{0}+{1}", "{0} + {1} = ?", "Calculate {0} + {1}.", "What is {0} plus {1}?",
        "Add {0} and {1}.", "What is the sum of {0} and {1}?", "Compute {0} + {1}", "How much is {0} + {1}?", "what is {0}+{1}",
        "Can you add {0} and {1}?", "{0} plus {1}", "Please add {0} to {1}.", "what's {0} + {1}?", "Hi, what is {0} + {1}?",
    ),
    unseen=("Find the sum of {0} and {1}.", "Tell me {0} + {1}.", "If you add {0} and {1}, what do you get?"),
)  # fmt: skip
THREE = ("What is {0} + {1} + {2}?", "{0}+{1}+{2}", "Add {0}, {1} and {2}.", "What is the sum of {0}, {1} and {2}?")


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    scratch = Scratch(rng, slip_at)
    if split is Split.TRAIN and rng.random() < 0.12:
        return _three(rng, scratch)
    digits = (5,) if split is Split.LARGER else (1, 2, 2, 3, 3, 3, 4)
    a, b = pick_digits(rng, digits), pick_digits(rng, digits)
    scratch.say(f"I need to add {a} and {b}.")
    scratch.paragraph()
    total = scratch.add(a, b)
    prompt = WORDINGS.pick(rng, split).format(a, b)
    return Problem("sums", prompt, str(total), scratch.text(), f"{a} + {b} = \\boxed{{{total}}}")


def _three(rng: random.Random, scratch: Scratch) -> Problem:
    a, b, c = (rng.randint(1, 99) for _ in range(3))
    scratch.say(f"I need to add {a}, {b} and {c}.")
    scratch.paragraph()
    first = scratch.add(a, b)
    scratch.paragraph()
    total = scratch.add(first, c)
    prompt = rng.choice(THREE).format(a, b, c)
    return Problem("sums", prompt, str(total), scratch.text(), f"{a} + {b} + {c} = \\boxed{{{total}}}")
