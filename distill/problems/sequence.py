"""The next number of a sequence that grows, shrinks or is multiplied by the same number at each step."""

from __future__ import annotations

import random
from itertools import pairwise

from .phrases import expand
from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import pick_name

NAMED = (
    "{name} [writes|says|counts|writes down] {terms}. [What number comes next|What is the next number|Which number is next|What comes next]?",
    "{name} [writes|says|counts] {terms}[, and so on|]. [What number comes next|Which number does {name} [write|say] next]?",
)
WORDINGS = Wordings(
    train=(
        "[What is|What's|Find|Give] the next number[:| in the sequence| in the series| in| of] {terms}[?|.|, ...]",
        "[What|Which] number [comes next|is next|follows][:| in| in the sequence| after] {terms}[?|, ...?|]",
        "{terms}, ?", "{terms}, ... [What comes next?|What is next?|Next number?|Which number is next?]",
        "[Continue|Continue the sequence|Complete the sequence|Go on][:|] {terms}[.|, ...|]",
        "The sequence [is|goes|starts] {terms}. [What is the next number|What comes next|Which number follows]?",
        "[Look at|Here are|Here is a row of] [the numbers|some numbers|numbers]: {terms}. [What comes next?|Tell me the next one.|Which one follows?|What is the next?]",
        "[Tell me|Name|Say|Write] the number [that comes|that follows|coming] [after|behind] {terms}[.|]",
        "[After|Behind] {terms}[,| there] comes [what|which number]?", "[If|When] a [sequence|row|series] [is|goes|reads] {terms}, [what comes next|what is the next number|what follows]?",
        "[How does|How do] {terms} go on?", "[I write|I count|My numbers are|We have] {terms}. [What should I write next?|What do I write next?|What is the next one?|How do I go on?]",
        *NAMED,
    ),
    unseen=(
        "{terms}: how does it go on?", "After {terms}, what should I write?", "Look at {terms} and tell me the number that follows.",
        "A row of numbers reads {terms}. Name the one behind the last.",
    ),
)  # fmt: skip
ONE_MORE = (
    "The sequence is {terms}. What number comes after the next one?",
    "{terms}, ... Find the second number that follows.",
    "{name} writes {terms}. What will be the number after the next?",
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    terms, sign, n = _terms(rng, split)
    scratch = Scratch(rng, slip_at)
    scratch.say("I look at the steps.")
    if sign == "*":
        for a, b in pairwise(terms):
            scratch.fact(f"{b}/{a}", n)
        scratch.say(f"Each is {n} times the one before.")
    else:
        for a, b in pairwise(terms):
            scratch.fact(f"{max(a, b)}-{min(a, b)}", n)
        scratch.say(f"Each is {n} {'more' if sign == '+' else 'less'}.")
    value = terms[-1]
    for _ in range(2 if split is Split.ONE_MORE else 1):
        scratch.paragraph()
        value = {"+": scratch.add, "-": scratch.subtract, "*": scratch.multiply}[sign](value, n)
    facts = {"terms": ", ".join(map(str, terms)), "name": pick_name(rng, split)}
    which = "The number after the next is" if split is Split.ONE_MORE else "The next number is"
    answer = f"{which} \\boxed{{{value}}}."
    return Problem("sequence", _wording(rng, split).format(**facts), str(value), scratch.text(), answer)


def _terms(rng: random.Random, split: Split) -> tuple[list[int], str, int]:
    """Four or five terms, and what leads from each to the next."""
    count, sign = rng.choice((4, 4, 5)), rng.choice("+++--*")
    if sign == "*":
        n, start = rng.choice((2, 2, 3)), pick_number(rng, split, (1, 6), (7, 15))
        return [start * n**i for i in range(4)], sign, n
    n, start = pick_number(rng, split, (1, 12), (13, 60)), pick_number(rng, split, (1, 40), (100, 500))
    if sign == "-":
        start += n * (count + 1)
    return [start + (n if sign == "+" else -n) * i for i in range(count)], sign, n


def _wording(rng: random.Random, split: Split) -> str:
    if split is Split.ONE_MORE:
        return rng.choice(ONE_MORE)
    return expand(rng, rng.choice(NAMED)) if split is Split.UNSEEN_WORDS else WORDINGS.pick(rng, split)
