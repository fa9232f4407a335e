"""What comes together over some days: the numbers one after the other, with a running total."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import pick_name, pick_thing, plural

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# {days}: "4 {things} on Monday, 7 on Tuesday and 5 on Wednesday"
WORDINGS = Wordings(
    train=(
        "{name} [sells|makes|buys|finds|collects|counts|gets|picks] {days}. How many {things} [is that|are that|are there] [in total|altogether|in all|together]?",
        "{name} [sold|made|bought|found|collected|counted|got|picked] {days}. How many {things} did {name} [sell|make|buy|find|collect|count|get|pick] [in total|altogether|in all]?",
        "{name} [sold|made|bought|found|collected] {days}. [What is the total|How many is that in total|How many were there in all]?",
        "[A shop|A factory|The school|Our club] [sells|sold|gets|made|bought] {days}. How many {things} [is that|are that] [in total|altogether|in all]?",
        "[We|I|They] [sold|counted|found|picked|made] {days}. [How many {things} is that in total|How many {things} were there in all|What is the total]?",
        "[Find|Tell me|What is|Give me] the [total|sum|number of {things} in all][:|.] {name} [sold|made|bought|found] {days}.",
        "[If|When] {name} [sells|makes|buys|finds|gets] {days}, how many {things} [is that|are there|does {name} have] [in total|in all|altogether]?",
        "How many {things} [does|did] {name} [sell|make|buy|find|get] [in total|in all|altogether], [if|when] it is {days}?",
        "{days}. [How many {things} is that in all?|What is the total?|What do they come to?|Add them up.|What is the sum?]",
        "[Add|Add up|Count] all the {things}[:|.] {name} [made|sold|found|got] {days}.",
        "[The|These] {things} of {name}: {days}. How many [does {name} have|are there] [after that|in total|in all]?",
    ),
    unseen=(
        "What {name} sold was {days}. Give the sum.",
        "Add up the {things} of {name}, who made {days}.",
        "After {days}, how many {things} does {name} have?",
        "What do {days} come to?",
    ),
)  # fmt: skip


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    count = 5 if split is Split.ONE_MORE else rng.choice((2, 3, 3, 3, 4))
    numbers = [pick_number(rng, split, (2, 50), (100, 400)) for _ in range(count)]
    first = rng.randrange(len(DAYS))
    days = [DAYS[(first + i) % 7] for i in range(count)]
    things = plural(pick_thing(rng, split))
    scratch = Scratch(rng, slip_at)
    scratch.say(f"{days[0]}: {numbers[0]}.")
    total = numbers[0]
    for day, number in zip(days[1:], numbers[1:], strict=True):
        scratch.paragraph()
        scratch.say(f"{day}: {number} more.")
        total = scratch.add(total, number)
    wording = WORDINGS.pick(rng, split)
    facts = {"name": pick_name(rng, split), "things": things, "days": _listed(rng, things, days, numbers)}
    return Problem(
        "totals", wording.format(**facts), str(total), scratch.text(), f"In total that is \\boxed{{{total}}} {things}."
    )


def _listed(rng: random.Random, things: str, days: list[str], numbers: list[int]) -> str:
    before = rng.random() < 0.3  # on Monday 4 pens, on Tuesday 7
    parts = [
        f"on {day} {n}{f' {things}' if i == 0 else ''}" if before else f"{n}{f' {things}' if i == 0 else ''} on {day}"
        for i, (day, n) in enumerate(zip(days, numbers, strict=True))
    ]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
