"""Dividing without a remainder, plain or shared among people; now and then twice. Quotients have up to 3 digits
(rarely), in `larger` 4; `one_more` divides three times.
"""

from __future__ import annotations

import random

from .asking import asked
from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import pick_name, pick_thing, plural

# {0} {1}: the numbers; {2}: the things; {3}: a name
PLAIN = (
    *asked("{0}[ / |/| ÷ |÷]{1}", "{0} divided by {1}", "{0} over {1}", "the quotient of {0} and {1}"),
    "[Divide|Please divide|Can you divide|Let's divide] {0} by {1}[.|]",
    "[How many times|How often] does {1} [go into|fit into] {0}?",
    "[How many times|How often] [can I|can you|can we] [take|subtract] {1} from {0}?",
    "[What do I get|What comes out|What do you get|What is the result] [if|when] [I|you|we|someone] [divide|divides] {0} by {1}?",
    "[What do you get by|What is the result of|What comes out of|I am] dividing {0} by {1}[?|.|]",
    "[Split|Divide|Share|Cut] {0} into {1} equal parts. [How big is each?|How much is each part?|What is one part?]",
    "[What is|How much is|Find] {0} [shared|split] [among|between|by] {1}?",
)  # fmt: skip
SHARED = (
    "{0} {2} are [shared|divided|split] [equally|evenly|fairly] [among|between] {1} [children|friends|people|kids|students]. How many [{2} |]does each[ child| friend| one| person| of them|] get?",
    "{1} [friends|children|people|kids|pupils] [share|split|divide] {0} {2} [equally|evenly|fairly]. How many [{2} |]does each [friend|child|one|person|of them] get?",
    "[I have|We have|You have] {0} {2} and put the same number into each of {1} [boxes|bags|baskets|jars]. How many {2} are in [each|one|each of them|one of them]?",
    "{3} [has|had|owns|bought] {0} {2}[ and shares them| and divides them|. {3} shares them|. {3} splits them] [equally|evenly] [among|between] {1} [friends|children|people]. How many [{2} |]does each [friend|child|person] [get|receive|have]?",
    "{3} [puts|packs|places] {0} {2} [equally|evenly] into {1} [boxes|bags|baskets|rows]. How many [{2} |][are in each|are in one|go into each|does each hold]?",
    "[If|When] {1} [people|children|friends] share {0} {2} [equally|evenly|fairly], how many [{2} |][does each get|does one get|are there for each|are for each person]?",
    "[Split|Share|Divide] {0} {2} [evenly|equally|fairly] [among|between] {1} [people|friends|children|boxes|groups][. How many does each get?|: how many for each one?|. How many {2} in each?]",
    "[There are|We have] {0} {2} [for|and] {1} [people|children|students]. [Everyone|Each person|Each] gets the same number. How many [is that|{2} are for each|{2} does each get]?",
    "{0} {2} [come|are] in {1} equal [boxes|bags|rows|groups|piles]. How many [{2} |]are in [each|one|one of them]?",
    "A [box|bag|basket] of {0} {2} is [shared|split] [equally|fairly] by {1} [friends|people|kids]. How many [{2} |][does each get|does one get|is that for each]?",
    "{1} [children|friends|people] [got|received] {0} {2} [together|in all], each [one|of them] as many. How many [{2} |][is that for each|did each get|did one get]?",
    "How many {2} does each of {1} [people|friends|children] get [if|when] they share {0} [{2} |][evenly|equally]?",
)  # fmt: skip
WORDINGS = Wordings(
    train=(*PLAIN, *SHARED),
    unseen=(
        "Tell me {0} / {1}.",
        "Split {0} {2} evenly between {1} people. How many for each?",
        "Find the result of dividing {0} by {1}.",
        "{1} children get {0} {2}, each of them the same number. How many does one child have?",
        "A box of {0} {2} is for {1} friends who share fairly. How many does each friend get?",
        "What is one part if {0} is cut into {1} equal parts?",
    ),
)
CHAINS = (
    *asked("{signs}", "{words}"),
    "[Divide|Please divide] {first} by {rest}[.|]",
    "[Start with|Begin with|Take] {first}[,| and] divide by {rest}[.|. What is the result?]",
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    scratch = Scratch(rng, slip_at)
    if split is Split.ONE_MORE or (split is Split.TRAIN and rng.random() < 0.08):
        return _chain(rng, scratch, 3 if split is Split.ONE_MORE else 2)
    divisor = rng.randint(2, 9)
    quotient = pick_number(rng, split, (2, 99) if rng.random() < 0.8 else (100, 999), (1000, 9999))
    dividend = divisor * quotient
    wording = _wording(rng, split)
    noun = plural(pick_thing(rng, split))
    scratch.say(f"I need to divide {dividend} by {divisor}.")
    scratch.paragraph()
    scratch.divide(dividend, divisor)
    prompt = wording.format(dividend, divisor, noun, pick_name(rng, split))
    what = (
        f"Each gets \\boxed{{{quotient}}} {noun}."
        if "{2}" in wording
        else f"{dividend} / {divisor} = \\boxed{{{quotient}}}"
    )
    return Problem("quotients", prompt, str(quotient), scratch.text(), what)


def _wording(rng: random.Random, split: Split) -> str:
    """Bare numbers and stories alike often; only stories where the words are what is new."""
    if split is Split.UNSEEN_WORDING:
        return WORDINGS.pick(rng, split)
    stories = split is Split.UNSEEN_WORDS or rng.random() < 0.5
    return Wordings(SHARED if stories else PLAIN, WORDINGS.unseen).pick(rng, split)


def _chain(rng: random.Random, scratch: Scratch, count: int) -> Problem:
    divisors = [rng.randint(2, 5) for _ in range(count)]
    result = rng.randint(2, 20)
    first = result
    for divisor in divisors:
        first *= divisor
    rest = (
        f"{', '.join(map(str, divisors[:-1]))} and {divisors[-1]}"
        if count > 2
        else f"{divisors[0]} and then by {divisors[1]}"
    )
    scratch.say(f"I need to divide {first} by {rest}.")
    left = first
    for divisor in divisors:
        scratch.paragraph()
        left = scratch.divide(left, divisor)
    numbers = [str(n) for n in (first, *divisors)]
    prompt = Wordings(CHAINS, ()).pick(rng, Split.TRAIN).format(
        signs=rng.choice((" / ", "/", " ÷ ")).join(numbers), words=" divided by ".join(numbers), first=first, rest=rest
    )  # fmt: skip
    return Problem("quotients", prompt, str(result), scratch.text(), f"{' / '.join(numbers)} = \\boxed{{{result}}}")
