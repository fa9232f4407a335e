"""Someone has some, gets some, gives some away: two steps of adding and subtracting."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import FRUITS, GOODS, NAMES, plural

WORDINGS = Wordings(
    train=(
        "{name} has {a} {things}. {name} buys {b} more and gives away {c}. How many {things} does {name} have now?",
        "{name} had {a} {things}, got {b} more and lost {c}. How many are left?",
        "{name} has {a} {things}. {other} gives {name} {b} more. Then {name} loses {c}. How many {things} does {name} have?",
        "There are {a} {things} in a box. I put in {b} more and take out {c}. How many are in the box?",
        "{name} has {a} {things} and {other} has {b} {things}. They give {c} away. How many {things} do they have left together?",
    ),
    unseen=(
        "{name} starts with {a} {things}, finds {b} and sells {c}. How many {things} are there in the end?",
        "A basket holds {a} {things}. {name} adds {b} and then removes {c}. How many remain?",
    ),
)
ONE_STEP = (
    ("{name} has {a} {things} and buys {b} more. How many {things} does {name} have now?", "+"),
    ("{name} has {a} {things}. {other} has {b} {things}. How many {things} do they have together?", "+"),
    ("{name} has {a} {things} and gives {b} to {other}. How many {things} does {name} have left?", "-"),
    ("{name} had {a} {things} and lost {b} of them. How many are left?", "-"),
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    name, other = rng.sample(NAMES, 2)
    things = plural(rng.choice(FRUITS + GOODS))
    a, b = (pick_number(rng, split, (2, 60), (100, 400)) for _ in range(2))
    scratch = Scratch(rng, slip_at)
    facts = {"name": name, "other": other, "things": things}
    if split is Split.TRAIN and rng.random() < 0.35:
        wording, sign = rng.choice(ONE_STEP)
        a, b = max(a, b), min(a, b)
        scratch.say(f"At first {a}, then {b} {'more' if sign == '+' else 'fewer'}.")
        total = scratch.add(a, b) if sign == "+" else scratch.subtract(a, b)
        prompt = wording.format(a=a, b=b, **facts)
    else:
        c = rng.randint(1, a + b - 1)
        scratch.say(f"At first {a}, then {b} more.")
        both = scratch.add(a, b)
        scratch.paragraph()
        scratch.say(f"Then {c} fewer.")
        total = scratch.subtract(both, c)
        prompt = WORDINGS.pick(rng, split).format(a=a, b=b, c=c, **facts)
    return Problem("stories", prompt, str(total), scratch.text(), f"That makes \\boxed{{{total}}} {things}.")
