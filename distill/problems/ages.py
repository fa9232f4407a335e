"""How old somebody is, was or will be, told by how old another is."""

from __future__ import annotations

import random
from typing import Literal

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import words

When = Literal["now", "later", "before"]
# {rel}: "5 years older than", "5 years younger than", "3 times as old as"
KNOWN = (
    "{name} is {a}[ years old|][ now|]. {other} is {rel} {name}.",
    "{other} is {rel} {name}[, who is {a}|, and {name} is {a}][ years old|].",
    "{name} is {a}[ years old|] and {other} is {rel} {name}.",
    "{other} is {rel} {name}. {name} is [now |]{a}[ years old|].",
    "[Today|Now] {name} is {a}[ years old|]. {other} is {rel} {name}.",
    "{name} is {a}[ years old|]. {name}'s [friend|cousin|neighbour] {other} is {rel} {name}.",
)
CONDITION = "[If|When|Suppose] {name} is {a}[ years old|] and {other} is {rel} {name},"
TOLD: dict[When, tuple[str, ...]] = {
    "now": (
        f"{CONDITION} [how old is {{other}}|what is {{other}}'s age]?",
        "[How old is {other}|What is the age of {other}], if {name} is {a} and {other} is {rel} {name}?",
    ),
    "later": (
        f"{CONDITION} [how old is {{other}} in {{c}} years|how old will {{other}} be after {{c}} years]?",
        "[How old will {other} be|What will be the age of {other}] in {c} years, if {name} is {a} and {other} is {rel} {name}?",
        "[After|When] {c} years [have passed|pass], how old will {other} be? {name} is {a} [now|today], and {other} is {rel} {name}.",
    ),
    "before": (
        f"{CONDITION} [how old was {{other}} {{c}} years ago|what was {{other}}'s age {{c}} years ago]?",
        "[How old was {other}|What was the age of {other}] {c} years ago, if {name} is {a} and {other} is {rel} {name}?",
        "[Tell me|Find] the age of {other} {c} years ago. {name} is {a} [now|today]. {other} is {rel} {name}.",
    ),
}
ASKED: dict[When, str] = {
    "now": "[How old is {other}?|What is {other}'s age?|What age is {other}?|How many years old is {other}?|Find the age of {other}.|Tell me how old {other} is.]",
    "later": "[How old will {other} be in {c} years|What will {other}'s age be in {c} years|In {c} years, how old will {other} be"
    "|How old is {other} in {c} years]?",
    "before": "[How old was {other} {c} years ago|What was {other}'s age {c} years ago|{c} years ago, how old was {other}]?",
}
ALONE: dict[When, str] = {
    "later": "{name} is {a}[ years old|][ now| today|]. "
    "[How old will {name} be in {c} years|In {c} years, how old will {name} be|What will {name}'s age be in {c} years]?",
    "before": "{name} is {a}[ years old|][ now| today|]. "
    "[How old was {name} {c} years ago|{c} years ago, how old was {name}|What was {name}'s age {c} years ago]?",
}
UNSEEN: dict[When, tuple[str, ...]] = {
    "now": (
        "If {name} is {a} and {other} is {rel} {name}, what is the age of {other}?",
        "Find the age of {other}. {name} is {a} years old and {other} is {rel} {name}.",
    ),
    "later": (
        "If {name} is {a} and {other} is {rel} {name}, what is the age of {other} in {c} years?",
        "{c} years pass. Now how old is {other}, who was {rel} {name}, when {name} was {a}?",
    ),
    "before": (
        "If {name} is {a} and {other} is {rel} {name}, what was the age of {other} {c} years ago?",
        "Tell me how old {other} was {c} years ago: {name} is {a} today, and {other} is {rel} {name}.",
    ),
}
WORDINGS = {
    when: Wordings(
        (*(f"{known} {asked}" for known in KNOWN), *TOLD[when], *((ALONE[when],) if when in ALONE else ())),
        UNSEEN[when],
    )
    for when, asked in ASKED.items()
}
ONE_MORE: dict[When, str] = {
    "later": "{name} is {a}. {other} is {rel} {name}. {third} is {d} years older than {other}. How old will {third} be in {c} years?",
    "before": "{name} is {a}. {other} is {rel} {name}. {third} is {d} years older than {other}. How old was {third} {c} years ago?",
}


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    when: When = rng.choice(("later", "before") if split is Split.ONE_MORE else ("now", "later", "before"))
    wording = ONE_MORE[when] if split is Split.ONE_MORE else WORDINGS[when].pick(rng, split)
    a = pick_number(rng, split, (4, 45), (46, 120))
    name, other, third = rng.sample(words(split).names, 3)
    scratch = Scratch(rng, slip_at)
    scratch.say(f"{name} is {a}.")
    who, age, rel, d = name, a, "", rng.randint(2, 15)
    if "{other}" in wording:
        who, (age, rel) = other, _relation(rng, scratch, other, a, split)
    if split is Split.ONE_MORE:
        scratch.paragraph()
        scratch.say(f"{third} is {d} years older.")
        who, age = third, scratch.add(age, d)
    c = pick_number(rng, split, (2, 20), (21, 60))
    c = min(c, age - 1) if when == "before" else c
    if when != "now":
        scratch.paragraph()
        scratch.say(f"In {c} years." if when == "later" else f"Now {c} years back.")
        age = scratch.add(age, c) if when == "later" else scratch.subtract(age, c)
    prompt = wording.format(name=name, other=other, third=third, a=a, c=c, d=d, rel=rel)
    verb = {"now": "is", "later": "will be", "before": "was"}[when]
    return Problem("ages", prompt, str(age), scratch.text(), f"{who} {verb} \\boxed{{{age}}} years old.")


def _relation(rng: random.Random, scratch: Scratch, other: str, a: int, split: Split) -> tuple[int, str]:
    """The other's age, and how it is told from `a`."""
    kind = rng.choice(("older", "older", "younger", "times" if a <= 25 else "younger"))
    if kind == "times":
        b = rng.randint(2, 4)
        scratch.say(f"{other} is {b} times as old.")
        return scratch.multiply(a, b), f"{b} times as old as"
    b = pick_number(rng, split, (2, 20), (21, 40))
    b = min(b, a - 3) if kind == "younger" and a > 5 else b
    kind = "older" if a <= 5 else kind
    scratch.say(f"{other} is {b} years {kind}.")
    return (scratch.add(a, b) if kind == "older" else scratch.subtract(a, b)), f"{b} years {kind} than"
