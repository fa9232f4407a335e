"""Hours and minutes (minutes and seconds, weeks and days): turned into the smaller, and counted between two times."""

from __future__ import annotations

import random

from .phrases import expand
from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import pick_name

# (larger unit, smaller unit, how many of it, up to how many of the larger in training)
UNITS = (
    ("hours", "minutes", 60, 9),
    ("hours", "minutes", 60, 9),
    ("minutes", "seconds", 60, 9),
    ("weeks", "days", 7, 9),
    ("days", "hours", 24, 7),
)
IN_SMALLER = (
    "{name} [works|reads|sleeps|drives|walks|waits|travels] [for |]{h} {big} and {m} {small}. How many {small} is that[ in all| in total|]?",
    "{name} [needs|takes|uses] {h} {big} and {m} {small} [for a trip|for the homework|to finish]. How many {small} [is that|does {name} need]?",
)
SMALLER = Wordings(
    train=(
        "How many {small} [are|are there in|is] {h} {big} and {m} {small}?", "{h} {big} and {m} {small} in {small}[?|]",
        "[What is|Give me|Convert|Find|Turn|How much is] {h} {big} and {m} {small} [in|to|into] {small}[?|.|]",
        "A [film|trip|lesson|game|flight] [takes|lasts] {h} {big} and {m} {small}. [How many {small} is that|How long is it in {small}]?",
        "[Tell me|Find|Say|Count] [how many {small}|the number of {small} that] {h} {big} and {m} {small} [are|have|make][.|]",
        "[If|When] a [trip|journey|film|game] [takes|lasts|goes on for] {h} {big} and {m} {small}, [how many {small} is that|how long is it in {small}|how many {small} does it last]?",
        "[Write|Say|Express] {h} {big} and {m} {small} in {small}[.|]", "{name} [waited|slept|worked|travelled] [for |]{h} {big} and {m} {small}. [How many {small} is that?|Say how many {small} that is.]",
        "How many {small} [pass|go by] in {h} {big} and {m} {small}?",
        *IN_SMALLER,
    ),
    unseen=(
        "Tell me the number of {small} in {h} {big} and {m} {small}.", "{name} counts {h} {big} and {m} {small}. Say it in {small}.",
        "If a journey goes on for {h} {big} and {m} {small}, how many {small} pass?",
    ),
)  # fmt: skip
OF_SOMEBODY = (
    "{name} [starts|begins|leaves] at {start} and [stops|ends|arrives|comes back] at {end}. How many minutes [is that|are that|does it take]?",
    "{name} [reads|works|plays|sleeps|waits] from {start} [to|until] {end}. How many minutes is that?",
)
BETWEEN = Wordings(
    train=(
        "How many minutes [are there |pass |are |is it ]from {start} to {end}?", "How many minutes are [there |]between {start} and {end}?",
        "A [film|lesson|trip|game|train ride] [starts|begins] at {start} and ends at {end}. How many minutes [does it last|is that|long is it]?",
        "[It is|Now it is] {start}. How many minutes [until|to] {end}?",
        "The clock [shows|says] {start}. [How many minutes is it|How long is it in minutes|How many minutes are left] [to|until] {end}?",
        "{name} [comes|arrives] at {start} and [the bus|the train] [comes|leaves] at {end}. How [many minutes|long in minutes] [does {name} wait|must {name} wait|is that]?",
        "[Count|Find|Tell me] the minutes [from|between] {start} [to|and] {end}[.|]", "[If|When] it is {start}[ now|], how many minutes is it [to|until] {end}?",
        "How many minutes [after|later than] {start} is {end}?", "How many minutes [before|earlier than] {end} is {start}?",
        *OF_SOMEBODY,
    ),
    unseen=(
        "It is {start}. The bus comes at {end}. How many minutes does {name} wait?", "The clock shows {start}. How long is it to {end} in minutes?",
        "Count the minutes after {start} and before {end}.",
    ),
)  # fmt: skip
ONE_MORE = (
    "{name} works for {h} {big} and {m} {small}, and then {k} {small} more. How many {small} is that in all?",
    "A film takes {h} {big} and {m} {small}, and another {k} {small} more. How many {small} is that in total?",
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    scratch = Scratch(rng, slip_at)
    between = split is not Split.ONE_MORE and rng.random() < 0.4
    value, small, prompt = _between(rng, split, scratch) if between else _smaller(rng, split, scratch)
    return Problem("time", prompt, str(value), scratch.text(), f"That is \\boxed{{{value}}} {small}.")


def _smaller(rng: random.Random, split: Split, scratch: Scratch) -> tuple[int, str, str]:
    """(value, its unit, prompt)."""
    big, small, each, most = rng.choice(UNITS)
    h, m = pick_number(rng, split, (2, most), (most + 1, 40)), rng.randint(2, each - 1)
    k = rng.randint(2, each - 1)
    scratch.say(f"{h} {big} have {each} {small} each.")
    total = scratch.multiply(each, h)
    scratch.paragraph()
    scratch.say(f"{m} {small} more.")
    total = scratch.add(total, m)
    if split is Split.ONE_MORE:
        scratch.paragraph()
        scratch.say(f"And {k} {small} more.")
        total = scratch.add(total, k)
    wording = rng.choice(ONE_MORE) if split is Split.ONE_MORE else _told(rng, split, SMALLER, IN_SMALLER)
    return total, small, wording.format(name=pick_name(rng, split), h=h, m=m, k=k, big=big, small=small)


def _between(rng: random.Random, split: Split, scratch: Scratch) -> tuple[int, str, str]:
    """The hours between the two, as minutes, with the later minutes and without the earlier."""
    hours, minute, later = pick_number(rng, split, (0, 3), (4, 9)), rng.randrange(5, 60, 5), rng.randrange(5, 60, 5)
    hour = rng.randint(1, 23 - hours)
    if hours == 0:
        minute, later = min(minute, later), max(minute, later) if minute != later else later + 1
    start, end = f"{hour}:{minute:02}", f"{hour + hours}:{later:02}"
    scratch.say(f"From {start} to {end}.")
    if hours == 0:
        scratch.say("It is the same hour.")
        total = scratch.subtract(later, minute)
    else:
        scratch.say(f"From {hour} to {hour + hours}.")
        scratch.subtract(hour + hours, hour)
        scratch.paragraph()
        scratch.say(f"{hours} hours have 60 minutes each.")
        total = scratch.multiply(60, hours)
        scratch.paragraph()
        scratch.say(f"With the {later} after {hour + hours}:00.")
        total = scratch.add(total, later)
        scratch.paragraph()
        scratch.say(f"Without the {minute} after {hour}:00.")
        total = scratch.subtract(total, minute)
    wording = _told(rng, split, BETWEEN, OF_SOMEBODY)
    return total, "minutes", wording.format(name=pick_name(rng, split), start=start, end=end)


def _told(rng: random.Random, split: Split, wordings: Wordings, told: tuple[str, ...]) -> str:
    """Unseen names need a wording that has one."""
    return expand(rng, rng.choice(told)) if split is Split.UNSEEN_WORDS else wordings.pick(rng, split)
