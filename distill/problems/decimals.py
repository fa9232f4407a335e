"""Which of two decimals (now and then three) is larger: the trap is to read 9.11 as nine and eleven. Whole parts up
to 20, rarely 199, in `larger` 4 digits; `one_more` has four numbers.
"""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch

RIDDLE = {"9.9", "9.11"}  # the classic pair stays out of training altogether
PAIR = "[{a} or {b}|{a} and {b}]"
WORDINGS = Wordings(
    train=(
        "[Which|What|Which number|Which one|Which value|which|what] is {g}[,|:|] {a} or {b}[?|]",
        "[Which|What] [number|one|value] is the {g} [one|number]: {a} or {b}?",
        "{a} or {b}[, which is|: which is|, which one is|. Which is|. Which number is|, what is] {g}?",
        "{a} and {b}[: which is|: which one is|. Which is|. Which number is|. Which one is the] {g}?",
        "Is {a} or {b} [the |]{g}[ number| one|]?",
        "[Compare|Please compare|Look at|Take|We have|I have|Here are] {a} and {b}[.|:] [Which is|Which one is|Which number is|Tell me which is|Say which is|What is the] {g}[?|.]",
        "[Compare|Look at] [the numbers|the decimals|these numbers]: {a} and {b}. [Which is|Which one is|Which number is] {g}?",
        "[Between|From|Among] {a} and {b}[,|] which [is|one is|number is] {g}?",
        "[Tell me|Say|Do you know|I want to know|Can you tell me] which [number |one |]is {g}[:| of] {a} [and|or] {b}[?|.|]",
        "[Can|Could] you [tell me|say] which [is|one is|number is] {g}, {a} or {b}?",
        "[Find|Give me|Name|Pick|Choose|Tell me] the {g} [number|one|of the two|value][: {a} or {b}| of {a} and {b}|, {a} or {b}][.|]",
        "[Which|What] [of these|of the two|of these numbers|of the numbers] is {g}[:|,] {a} or {b}?",
        "Given [the numbers|the decimals|two numbers,] {a} and {b}[,|:] which [one |number |]is {g}?",
        "[Two numbers|Two decimals|The numbers] are [given|here][:|,] {a} and {b}. [Say|Tell me|Write] [the {g} one|which is {g}].",
        "[Which|What] has the {g} value, {a} or {b}?",
        "If [I|you|we] compare {a} and {b}, which [is|one is|number is] {g}?",
        "[I am not sure|My friend asks|We wonder|I do not know] [which is|which one is|which number is] {g}: {a} or {b}[?|.]",
    ),
    unseen=(
        "Tell me which is {g}, {a} or {b}.",
        "Of {a} and {b}, which one is {g}?",
        "Here are two decimals, {a} and {b}. Name the {g} one.",
        "Given {a} and {b}, say which number is {g}.",
        "Which of the decimals {a} and {b} is {g}?",
    ),
)  # fmt: skip
MANY = (
    "[Which|What|Which number|Which one] is [the |]{s}[,|:] {all}?",
    "[Find|Give me|Pick|Tell me|Name] the {s} [number|one|of these]: {all}[.|]",
    "[Compare|Look at|Here are] {ands}. [Which is|Which one is|Which number is] the {s}?",
    "[Which|What] of [these|these numbers] is the {s}: {all}?",
)
LARGER, SMALLER = ("larger", "bigger", "greater", "higher"), ("smaller", "less", "lower")
MOST = {"larger": ("largest", "biggest", "greatest", "highest"), "smaller": ("smallest", "lowest")}


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    want_larger = rng.random() < 0.6
    if split is Split.ONE_MORE or (split is Split.TRAIN and rng.random() < 0.12):
        return _many(rng, split, want_larger, 4 if split is Split.ONE_MORE else 3)
    while True:
        a, b = _pair(rng, split)
        if _value(a) != _value(b) and {a, b} != RIDDLE:
            break
    word = rng.choice(LARGER if want_larger else SMALLER)
    prompt = WORDINGS.pick(rng, split).format(g=word, a=a, b=b)
    scratch = Scratch(rng)
    scratch.say(f"I need the {'larger' if want_larger else 'smaller'} of {a} and {b}.")
    gold = solve(scratch, a, b, want_larger, slip_at)
    return Problem("decimals", prompt, gold, scratch.text(), f"\\boxed{{{gold}}} is {word}.")


def _many(rng: random.Random, split: Split, want_larger: bool, count: int) -> Problem:
    numbers = list[str]()
    while len(numbers) < count:
        number = rng.choice(_pair(rng, split, numbers[0] if numbers else None))
        if all(_value(number) != _value(other) for other in numbers):
            numbers.append(number)
    kind = "larger" if want_larger else "smaller"
    scratch = Scratch(rng)
    scratch.say(f"I need the {'largest' if want_larger else 'smallest'} of {', '.join(numbers)}.")
    best = numbers[0]
    for number in numbers[1:]:
        scratch.paragraph()
        best = solve(scratch, best, number, want_larger, None)
    word = rng.choice(MOST[kind])
    first, last = ", ".join(numbers[:-1]), numbers[-1]
    prompt = Wordings(MANY, ()).pick(rng, split).format(s=word, all=f"{first} or {last}", ands=f"{first} and {last}")
    return Problem("decimals", prompt, best, scratch.text(), f"\\boxed{{{best}}} is the {word}.")


def solve(scratch: Scratch, a: str, b: str, want_larger: bool, slip_at: int | None) -> str:
    """The one that is wanted; the decimals are written with as many digits, and compared place by place."""
    (whole_a, tail_a), (whole_b, tail_b) = a.split("."), b.split(".")
    scratch.say(f"Whole parts: {whole_a} and {whole_b}.")
    if whole_a != whole_b:
        big, small = (whole_a, whole_b) if int(whole_a) > int(whole_b) else (whole_b, whole_a)
        scratch.say(f"{big} is more than {small}.")
    else:
        scratch.say("Equal.")
        if slip_at is not None and len(tail_a) != len(tail_b):
            high, low = sorted((tail_a, tail_b), key=int, reverse=True)
            scratch.say(
                f"{high} is more than {low}?", "Wait, these are digits after the point. I must go place by place."
            )
        width = max(len(tail_a), len(tail_b))
        if len(tail_a) != len(tail_b):
            scratch.say(
                f"With as many digits: {whole_a}.{tail_a.ljust(width, '0')} and {whole_b}.{tail_b.ljust(width, '0')}."
            )
        _places(scratch, tail_a.ljust(width, "0"), tail_b.ljust(width, "0"))
    high, low = sorted((a, b), key=_value, reverse=True)
    scratch.say(f"So {high} is larger than {low}.")
    return high if want_larger else low


def _places(scratch: Scratch, tail_a: str, tail_b: str) -> None:
    for place, x, y in zip(("Tenths", "Hundredths", "Thousandths"), tail_a, tail_b, strict=False):
        scratch.say(f"{place}: {x} and {y}.")
        if x != y:
            scratch.say(f"{max(x, y)} is more than {min(x, y)}.")
            return
        scratch.say("Equal.")


def _pair(rng: random.Random, split: Split, near: str | None = None) -> tuple[str, str]:
    """Two numbers, most often with the same whole part; `near`: with that of this number."""
    ordinary = (0, 20) if rng.random() < 0.85 else (21, 199)
    whole = int(near.split(".")[0]) if near else pick_number(rng, split, ordinary, (1000, 9999))
    other = whole if rng.random() < 0.75 else pick_number(rng, split, ordinary, (1000, 9999))
    return f"{whole}.{_tail(rng)}", f"{other}.{_tail(rng)}"


def _tail(rng: random.Random) -> str:
    return "".join(rng.choice("0123456789") for _ in range(rng.choice((1, 1, 2, 2, 2, 3)) - 1)) + rng.choice(
        "123456789"
    )


def _value(text: str) -> tuple[int, str]:
    whole, tail = text.split(".")
    return int(whole), tail.ljust(3, "0")
