"""Verifiable task families, one per file, and the riddles a newcomer types first.

Every family module has `generate(rng, split, slip_at) -> Problem`; `slip_at` asks for a planted and
corrected slip at that computed fact.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import replace

from . import (
    ages,
    all_but,
    average_speed,
    change,
    code,
    comparison,
    countdown,
    decimals,
    differences,
    format,
    letter_count,
    missing,
    outside,
    percent,
    products,
    quotients,
    rates,
    remainder,
    sequence,
    stories,
    sums,
    time,
    totals,
    unit_price,
)
from .asking import around
from .problem import Problem, Split

Generate = Callable[[random.Random, Split, int | None], Problem]

FAMILIES: dict[str, Generate] = {
    "sums": sums.generate,
    "differences": differences.generate,
    "products": products.generate,
    "quotients": quotients.generate,
    "percent": percent.generate,
    "unit_price": unit_price.generate,
    "all_but": all_but.generate,
    "average_speed": average_speed.generate,
    "letter_count": letter_count.generate,
    "decimals": decimals.generate,
    "stories": stories.generate,
    "rates": rates.generate,
    "countdown": countdown.generate,
    "change": change.generate,
    "remainder": remainder.generate,
    "comparison": comparison.generate,
    "ages": ages.generate,
    "missing": missing.generate,
    "totals": totals.generate,
    "sequence": sequence.generate,
    "time": time.generate,
    "format": format.generate,
    "code": code.generate,
    "outside": outside.generate,
}
OPENERS = ("", "Okay. ", "Okay. ", "Let me see. ", "Alright. ")
AROUND_SHARE = 0.15  # of the prompts in training come with a greeting, a "Question:", a thank you
SLIP_RATE = 0.42  # of the problems drawn; short ones have no fact to slip on, so about a fifth of the traces show one

RIDDLES: tuple[tuple[str, str], ...] = (
    ("A farmer has 17 sheep. All but 9 run away. How many are left?", "9"),
    ("What is 15% of 240?", "36"),
    ("Emily buys 3 apples and 2 oranges. Each orange costs $2. The total is $13. What is the cost of each apple?", "3"),
    ("A train goes 60 mph for the first half of the way and 40 mph for the second half. What is its average speed?", "48"),
    ("How many times does the letter r appear in strawberry?", "3"),
    ("How many r's are in strawberry?", "3"),
    ("Which is larger, 9.9 or 9.11?", "9.9"),
    ("What is 347 + 589?", "936"),
    ("What is 23 * 17?", "391"),
    ("What is 503 - 178?", "325"),
)


def generate(family: str, seed: int, split: Split = Split.TRAIN) -> Problem:
    """The problem of this family, split and seed; always the same one."""
    rng = random.Random(f"{family}/{split}/{seed}")
    slip_at = rng.randint(0, 4) if rng.random() < SLIP_RATE else None
    problem = FAMILIES[family](rng, split, slip_at)
    prompt = problem.prompt
    if split is Split.TRAIN and rng.random() < AROUND_SHARE:
        prompt = around(rng, prompt, closing=problem.verifier in ("math", "expression"))
    return replace(problem, prompt=prompt, reasoning=rng.choice(OPENERS) + problem.reasoning)


def prompt_key(prompt: str) -> str:
    """Hash of a prompt's letters, digits and signs: case, spaces and punctuation do not make it another."""
    signs = re.sub(r"\.(?!\d)|[^\w.+\-*/%$×÷]", "", prompt.lower())
    return hashlib.sha256(signs.encode()).hexdigest()[:16]


def repeats_riddle(prompt: str) -> bool:
    """Whether a prompt has the numbers of a riddle in the riddle's order, in whatever wording."""
    return _numbers(prompt) in _RIDDLE_NUMBERS


def _numbers(prompt: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\d+(?:\.\d+)?", prompt))


_RIDDLE_NUMBERS = frozenset(_numbers(prompt) for prompt, _ in RIDDLES) - {()}
