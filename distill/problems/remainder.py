"""Sharing or packing what does not come out even: how many are left over."""

from __future__ import annotations

import random

from .phrases import expand
from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import pick_name, pick_thing, plural

PLAIN = (
    "What is the remainder [when|if] {a} is divided by {b}?", "[What is|Calculate|Compute|Find] {a} mod {b}[?|.|]", "{a} mod {b}", "{a} % {b}",
    "[What is|Find] the remainder of {a} [/|divided by] {b}[?|.]", "Divide {a} by {b}. What is the remainder?",
    "[What|How much] is left [over |]when {a} is divided by {b}?", "What remains when you divide {a} by {b}?",
    "[Tell me|Give me|I need] the [remainder|rest] [of {a} divided by {b}|when {a} is divided by {b}][.|]", "[If|When] [I|you|we] divide {a} by {b}, what is [left|left over|the rest]?",
    "[Which number|How much] [remains|is left over] [if|when] {a} is [divided|shared] by {b}?", "{a} divided by {b}: what is the [remainder|rest]?",
)  # fmt: skip
TOLD = (
    "{name} [shares|splits|divides] {a} {things} [equally|evenly|fairly] among {b} [friends|children|people|kids]."
    " How many {things} are left[ over|]?",
    "{a} {things} are [shared|split|divided] [equally |evenly |]among {b} [children|friends|pupils]. How many [are left over|remain|{things} are left over]?",
    "{name} [packs|puts] {a} {things} into [boxes|bags] of {b}. How many {things} [are left over|do not fit|remain]?",
    "{name} has {a} {things} and [puts|packs] {b} [of them |]in[to|] each [box|bag]. How many {things} are left [over|at the end]?",
    "There are {a} {things}. [Each|Every] [child|guest] gets the same number and there are {b} of them. How many are left[ over|]?",
    "[If|When] {b} [friends|children|people] share {a} {things} [equally|evenly|fairly], [how many are left|how many remain|what is left over|what remains]?",
    "{b} [friends|children|people|pupils] [share|divide|split] {a} {things}. [Each gets as many as the others|All get the same number]. [What is left|How many remain|How many are left over]?",
    "{name} [fills|packs] [bags|boxes|jars] with {b} {things} each and has {a} {things}. [How many do not fit in|How many remain|How many are left at the end|What is left over]?",
    "There were {a} {things}. {name} [made|packed|filled] [bags|groups|rows] of {b} until [that was not possible any more|there were too few]. How many [remained|were left]?",
)
WORDINGS = Wordings(
    train=PLAIN + TOLD,
    unseen=(
        "{b} friends share {a} {things} so that each gets as many as possible. What is left?",
        "If you divide {a} by {b}, which number is the remainder?",
        "{name} fills bags with {b} {things} each until fewer than {b} remain. There were {a}. How many remain?",
        "Tell me the remainder of {a} and {b}.",
    ),
)
ONE_MORE = (
    "{name} has {c} {things} and gets {d} more. {name} shares them equally among {b} friends. How many are left over?",
    "There are {c} {things} in one box and {d} in another. {name} puts them all into bags of {b}. How many {things} are left over?",
    "What is the remainder when {c} + {d} is divided by {b}?",
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    b, a = rng.randint(2, 9), pick_number(rng, split, (10, 150), (200, 999))
    c = rng.randint(1, a - 1)
    scratch = Scratch(rng, slip_at)
    if split is Split.ONE_MORE:
        scratch.say("First all of them.")
        scratch.add(c, a - c)
        scratch.paragraph()
    scratch.say(f"I need what is left when {a} is divided by {b}.")
    scratch.paragraph()
    rest = divide_with_rest(scratch, a, b)
    things, name = plural(pick_thing(rng, split)), pick_name(rng, split)
    prompt = _wording(rng, split).format(a=a, b=b, c=c, d=a - c, things=things, name=name)
    told = things in prompt
    answer = (
        f"There {'is' if rest == 1 else 'are'} \\boxed{{{rest}}} left over."
        if told
        else f"The remainder is \\boxed{{{rest}}}."
    )
    return Problem("remainder", prompt, str(rest), scratch.text(), answer)


def divide_with_rest(scratch: Scratch, a: int, b: int) -> int:
    """Long division as Scratch.divide writes it; the rest."""
    rest = 0
    parts = [str(a)] if a // b < 10 else list(str(a))
    for part in parts:
        current = int(f"{rest}{part}")
        rest = current % b
        scratch.fact(f"{current}/{b}", current // b, tail=f" rest {rest}")
    scratch.say(f"So the rest is {rest}.")
    return rest


def _wording(rng: random.Random, split: Split) -> str:
    if split is Split.ONE_MORE:
        return rng.choice(ONE_MORE)
    return expand(rng, rng.choice(TOLD)) if split is Split.UNSEEN_WORDS else WORDINGS.pick(rng, split)
