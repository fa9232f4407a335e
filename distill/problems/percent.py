"""So many percent of a number, with a whole result."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch

WORDINGS = Wordings(
    train=(
        "What is {0}% of {1}?", "{0}% of {1}", "Calculate {0}% of {1}.", "How much is {0}% of {1}?", "what is {0}% of {1}",
        "What is {0} percent of {1}?", "{0} percent of {1}", "Find {0}% of {1}.", "Compute {0}% of {1}", "what's {0}% of {1}?",
        "A school has {1} students and {0}% of them are girls. How many girls are there?",
        "A jacket costs ${1}. It is {0}% cheaper today. How many dollars do I save?",
        "A box holds {1} pens. {0}% of them are red. How many are red?",
    ),
    unseen=("Tell me {0}% of {1}.", "I ate {0}% of {1} grapes. How many did I eat?"),
)  # fmt: skip


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    scratch = Scratch(rng, slip_at)
    if rng.random() < 0.2:
        percent, whole = rng.randint(1, 30), pick_number(rng, split, (1, 9), (10, 30)) * 100
    else:
        percent, whole = rng.randint(1, 19) * 5, pick_number(rng, split, (1, 25), (26, 60)) * 20
    prompt = WORDINGS.pick(rng, split).format(percent, whole)
    scratch.say(f"I need {percent}% of {whole}.")
    scratch.paragraph()
    part = _by_tens(scratch, percent, whole) if percent % 5 == 0 else _by_ones(scratch, percent, whole)
    return Problem("percent", prompt, str(part), scratch.text(), f"{percent}% of {whole} is \\boxed{{{part}}}.")


def _by_tens(scratch: Scratch, percent: int, whole: int) -> int:
    """10 % is a tenth, 5 % half of that."""
    tenth, tens = whole // 10, percent // 10
    scratch.say(f"10% of {whole} is {tenth}.")
    part = tenth * tens
    if tens > 1:
        scratch.paragraph()
        scratch.say(f"{tens}0% is {tens} times that.")
        scratch.multiply(tenth, tens)
    if percent % 10:
        scratch.paragraph()
        half = tenth // 2
        scratch.say("5% is half of 10%.")
        scratch.divide(tenth, 2)
        if tens:
            scratch.paragraph()
            scratch.say(f"{tens}0% and 5% together.")
            scratch.add(part, half)
        part += half
    return part


def _by_ones(scratch: Scratch, percent: int, whole: int) -> int:
    scratch.say(f"1% of {whole} is {whole // 100}.")
    scratch.paragraph()
    scratch.say(f"{percent}% is {percent} times that.")
    return scratch.multiply(percent, whole // 100)
