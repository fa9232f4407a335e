"""One has more than another, or fewer, or so many times as many: how many the other has, or both together."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import pick_thing, plural, words

# {rel} {than}: "5 more than", "5 fewer than", "3 times as many as"
KNOWN = (
    "{name} {has} {a} {things}. {other} {has} {rel}[ {things}|] {than} {name}.",
    "{name} {has} {a} {things} and {other} {has} {rel}[ {things}|] {than} {name}.",
    "{other} {has} {rel} {things} {than} {name}. {name} {has} {a}[ {things}|].",
    "{name} {has} {a} {things}. {other} {has} {rel}.",
    "{name} {has} {a}[ {things}|]. [Compared with that, |But |And ]{other} {has} {rel} {things}.",
    "{other} {has} {rel} {things} {than} {name}, [who {has} {a}|and {name} {has} {a}].",
    "There are two [friends|children]: {name} {has} {a} {things}, {other} {has} {rel}.",
)
CONDITIONS = (
    "[If|When] {name} {has} {a} {things} and {other} {has} {rel}[ {than} {name}|],",
    "[Suppose|Say] {name} {has} {a} {things} and {other} {rel},",
)
HAS = ("has", "has", "owns", "holds", "keeps", "collected", "found", "bought", "made", "counts", "picked", "got")
OF_OTHER = "How many [{things} |]does {other} have?"
OF_BOTH = (
    "[How many|How many {things}] do they have [together|in total|altogether|in all]?",
    "How many [{things} |]are there [together|in total|altogether|in all]?",
    "[What is the total number of {things}?|What is the total?|Find the total.|Add them up.|How many do the two have?|What do they have in all?]",
    "How many do {name} and {other} have [together|in total]?",
)
OTHER = Wordings(
    train=(
        *(
            f"{known} {asked}"
            for known in KNOWN
            for asked in (OF_OTHER, "[Find|Tell me] how many [{things} |]{other} has.")
        ),
        *(
            f"{known} [how many does {{other}} have|what number does {{other}} have|how many {{things}} are with {{other}}]?"
            for known in CONDITIONS
        ),
        "[How many|What number of] {things} does {other} have, if {name} {has} {a} and {other} {rel}?",
    ),
    unseen=(
        "{name} has {a} {things}. If {other} has {rel}, what number does {other} have?",
        "How many {things} are {other}'s, if {name} has {a} and {other} {rel}?",
    ),
)
BOTH = Wordings(
    train=(
        *(f"{known} {asked}" for known in KNOWN for asked in OF_BOTH),
        *(
            f"{known} [how many do they have together|how many do the two of them have|what is the total|how many are there in all]?"
            for known in CONDITIONS
        ),
        "[How many {things} do they have together|What do the two have in total], if {name} {has} {a} and {other} {rel}?",
    ),
    unseen=(
        "{name} has {a} {things}, {other} {rel}. Add up what the two of them have.",
        "If {name} has {a} {things} and {other} has {rel}, how many do the two have?",
        "{other} has {rel} {things} {than} {name}, who has {a}. What do they have in total?",
    ),
)
ONE_MORE = (
    "{name} has {a} {things}. {other} has {rel} {than} {name}. {third} has {c} more than {other}. "
    "How many {things} do {name} and {third} have together?",
    "{name} found {a} {things} and {other} found {rel} {than} {name}. {third} found {c} more than {other}. "
    "How many did {name} and {third} find in total?",
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    kind = rng.choice(("more", "more", "fewer", "less", "times"))
    a, b = _numbers(rng, split, kind)
    rel = f"{b} times as many" if kind == "times" else f"{b} {kind}"
    things = plural(pick_thing(rng, split))
    name, other, third = rng.sample(words(split).names, 3)
    scratch = Scratch(rng, slip_at)
    scratch.say(f"{name} has {a}. {other} has {rel}.")
    value = {"times": scratch.multiply, "more": scratch.add}.get(kind, scratch.subtract)(a, b)
    c = rng.randint(1, 20)
    if split is Split.ONE_MORE:
        scratch.paragraph()
        scratch.say(f"{third} has {c} more than that.")
        value = scratch.add(value, c)
    both = split is Split.ONE_MORE or rng.random() < 0.65
    if both:
        scratch.paragraph()
        scratch.say("Now together.")
        value = scratch.add(a, value)
    wording = rng.choice(ONE_MORE) if split is Split.ONE_MORE else (BOTH if both else OTHER).pick(rng, split)
    prompt = wording.format(
        a=a,
        c=c,
        has=rng.choice(HAS),
        rel=rel,
        than="as" if kind == "times" else "than",
        things=things,
        name=name,
        other=other,
        third=third,
    )
    answer = f"Together they have \\boxed{{{value}}} {things}." if both else f"{other} has \\boxed{{{value}}} {things}."
    return Problem("comparison", prompt, str(value), scratch.text(), answer)


def _numbers(rng: random.Random, split: Split, kind: str) -> tuple[int, int]:
    """What the first has, and by how much the other differs."""
    a = pick_number(rng, split, (3, 60), (100, 400))
    if kind == "times":
        return a, rng.randint(2, 6)
    b = pick_number(rng, split, (1, 40), (41, 300))
    return (a, b) if kind == "more" or b < a else (max(a, b + 1), b)
