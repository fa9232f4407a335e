"""So many percent of a number, with a whole result. The number is up to 800 or some hundreds, in `larger` more."""

from __future__ import annotations

import random

from .asking import asked
from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import pick_name, pick_thing, plural

# {0}: percent, {1}: the whole, {2}: things, {3}: a name, {4}: one of the things
PLAIN = (
    *asked("{0}% of {1}", "{0}[%| %| percent| per cent] of {1}", "{0} percent of {1}"),
    "[Take|Calculate|Find|Get] {0}[%| percent] [of|from] {1}[.|]",
    "[If|When] {1} is [all|the whole|everything], [how much|what] is {0}[%| percent][ of it|]?",
    "Of {1}, [how much|what] is {0}[%| percent]?",
    "[What part|How much] of {1} is {0}[%| percent]?",
)
QUALITIES = "red blue green old new broken lost sold".split()
STORIES = (
    *(
        f"[A box|A shop|A basket|{{3}}] has {{1}} {{2}}[. {{0}}%| and {{0}}%| and {{0}} percent] of them are {quality}. How many [{{2}} |]are {quality}?"
        for quality in QUALITIES
    ),
    *(
        f"A [school|class|town|club] has {{1}} [students|people|members] and {{0}}[%| percent] of them are {who}. How many {who} [are there|is that|are in it]?"
        for who in ("girls", "boys", "children", "women", "men", "teachers")
    ),
    "A [school|class|town|club|choir|company] has {1} [students|people|members] and {0}% of them are [girls|boys|children|women|new|late]. How many [of them |people |][are that|is that]?",
    "[A jacket|A bike|A phone|{3}'s coat|One {4}] costs ${1}. It is {0}% [cheaper|off] today. How many dollars [do I|do you|does {3}] save?",
    "[The price|The price of one {4}] is ${1}. [There is|I get|{3} gets] {0}% [off|discount]. How [much is the discount|many dollars is that|much is that in dollars]?",
    "A [box|bag|shop|basket] [holds|has|contains] {1} {2}. {0}% of them are [red|blue|old|broken|new|green]. How many [{2} |][is that|are that]?",
    "{3} [has|owns|had|bought] {1} {2} and [{0}% of them are red|gives away {0}%|loses {0}% of them|sells {0}%|eats {0}% of them|uses {0}%]. How many [{2} |]is that?",
    "There are {1} {2}[ in a shop| in a box|]. {0}[%| percent] [are red|are sold|are eaten|are lost|get lost|are new]. How many [{2} |]is that?",
    "{3} [earns|gets|makes] ${1} and [saves|spends|gives away] {0}% of it. How many dollars [is that|does {3} save|are that]?",
    "{3} [reads|read] {0}% of a [book|text] with {1} pages. How many pages [is that|are that|does {3} read]?",
    "{0}% of [the |]{1} {2} [in a box|in a shop|on a table] are [red|old|new|green]. How many [is that|{2} is that|are that]?",
    "[I|We|They] [ate|sold|used|lost|found] {0}% of [the|our|my] {1} {2}. How many [{2} |]is that?",
    "How many are {0}% of {1} {2}?",
    "[From|Of|Among] {1} [people|students|{2}], {0}% are [new|old|late|lost|there]. How many [is that|are that]?",
    "[A town|A school|A club|A city] of {1} people: {0}% [have|own] [a cat|a car|a bike|one {4}]. How many [people |][is that|are that|have one]?",
    "{3} has [seen|read|used|eaten|done] {0}% of {1} [pages|{2}]. How many [is that|are that|has {3} done]?",
)  # fmt: skip
WORDINGS = Wordings(
    train=(*PLAIN, *STORIES),
    unseen=(
        "Tell me {0}% of {1}.",
        "I ate {0}% of {1} grapes. How many did I eat?",
        "Out of {1} people, {0}% are children. How many children are there?",
        "How many is {0} percent out of {1}?",
        "In a town of {1} people, {0}% have a dog. How many people have one?",
        "A book has {1} pages and {3} has read {0}% of it. How many pages has {3} read?",
    ),
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    scratch = Scratch(rng, slip_at)
    if rng.random() < 0.2:
        percent, whole = rng.randint(1, 30), pick_number(rng, split, (1, 9), (10, 30)) * 100
    else:
        percent, whole = rng.randint(1, 19) * 5, pick_number(rng, split, (1, 40), (41, 90)) * 20
    thing = pick_thing(rng, split)
    prompt = _wording(rng, split).format(percent, whole, plural(thing), pick_name(rng, split), thing)
    scratch.say(f"I need {percent}% of {whole}.")
    scratch.paragraph()
    part = _by_tens(scratch, percent, whole) if percent % 5 == 0 else _by_ones(scratch, percent, whole)
    return Problem("percent", prompt, str(part), scratch.text(), f"{percent}% of {whole} is \\boxed{{{part}}}.")


def _wording(rng: random.Random, split: Split) -> str:
    """Bare numbers and stories alike often; only stories where the words are what is new."""
    if split is Split.UNSEEN_WORDING:
        return WORDINGS.pick(rng, split)
    if split is Split.UNSEEN_WORDS:
        named = [pattern for pattern in STORIES if "{2}" in pattern or "{3}" in pattern]
        return Wordings(tuple(named), WORDINGS.unseen).pick(rng, split)
    return Wordings(STORIES if rng.random() < 0.5 else PLAIN, WORDINGS.unseen).pick(rng, split)


def _by_tens(scratch: Scratch, percent: int, whole: int) -> int:
    """10 % is a tenth, 5 % half of that."""
    tenth, tens = whole // 10, percent // 10
    scratch.say(f"10% of {whole} is {tenth}.")
    part = tenth * tens
    if tens > 1:
        scratch.paragraph()
        scratch.say(f"{tens}0% is {tens} times that.")
        scratch.multiply(tenth, tens)
    if percent % 10:
        scratch.paragraph()
        half = tenth // 2
        scratch.say("5% is half of 10%.")
        scratch.divide(tenth, 2)
        if tens:
            scratch.paragraph()
            scratch.say(f"{tens}0% and 5% together.")
            scratch.add(part, half)
        part += half
    return part


def _by_ones(scratch: Scratch, percent: int, whole: int) -> int:
    scratch.say(f"1% of {whole} is {whole // 100}.")
    scratch.paragraph()
    scratch.say(f"{percent}% is {percent} times that.")
    return scratch.multiply(percent, whole // 100)
