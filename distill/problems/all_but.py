"""All but so many go away: the trap is to subtract."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import ANIMALS, FRUITS, GOODS, NAMES, plural

LEAVING = ("run away", "die", "escape", "are sold", "get lost", "leave", "go to sleep", "are stolen")
LOSING = ("lost", "sold", "broke", "gave away", "ate", "used")
WORDINGS = Wordings(
    train=(
        "A farmer has {n} {things}. All but {k} {go}. How many are left?",
        "A farmer had {n} {things}. All but {k} {go}. How many {things} are left?",
        "{name} has {n} {things}. All but {k} {go}. How many {things} does {name} have left?",
        "There are {n} {things} on a farm. All but {k} {go}. How many remain?",
        "A man owns {n} {things}. All but {k} {go}. How many does he have now?",
        "I have {n} {things}. All but {k} {go}. How many do I have left?",
        "{name} had {n} {goods}. {name} {lose} all but {k}. How many {goods} are left?",
        "{name} has {n} {goods} and {lose} all but {k} of them. How many does {name} still have?",
    ),
    unseen=(
        "Out of {n} {things}, all but {k} {go}. How many stay?",
        "An old woman keeps {n} {things}. One night all but {k} {go}. How many has she left?",
    ),
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    n = pick_number(rng, split, (5, 60), (100, 999))
    k = rng.randint(2, n - 1)
    things, goods = plural(rng.choice((*ANIMALS, *("sheep",) * 5))), plural(rng.choice(FRUITS + GOODS))
    things = "sheep" if things == "sheeps" else things
    wording = WORDINGS.pick(rng, split)
    facts = {"n": n, "k": k, "things": things, "goods": goods, "name": rng.choice(NAMES)}
    prompt = wording.format(**facts, go=rng.choice(LEAVING), lose=rng.choice(LOSING))
    noun = goods if "{goods}" in wording else things
    scratch = Scratch(rng)
    scratch.say(f"There are {n} {noun}.")
    if slip_at is not None:
        scratch.say(f"So {n}-{k}={n - k} are left?", f"Wait, it says all but {k}.")
    scratch.say(f"All but {k} means every one except {k}.", f"So {k} stay.")
    return Problem("all_but", prompt, str(k), scratch.text(), f"There are \\boxed{{{k}}} {noun} left.")
