"""Someone has some, gets some, gives some away: one to three steps of adding and subtracting, in `one_more` four.
Numbers up to 99, in `larger` up to 400.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from .phrases import expand
from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import pick_name, pick_thing, plural

# {b}: how many; {things}, {name}, {other}
MORE_THINGS = "[{b}|{b} more|{b} {things}|{b} more {things}|another {b}]"
GETS = (
    f"[buys|finds|gets|receives|wins|collects|picks|makes|earns|gathers|picks up|orders|brings home] {MORE_THINGS}",
    f"is given {MORE_THINGS}",
    f"gets {MORE_THINGS} [from {{other}}|as a present|for free]",
    "gets {b} [of them |]back",
    "{other} [gives {name}|brings {name}|hands {name}] {b} [more|{things}|more {things}]",
)
GOT = (
    f"[bought|found|got|received|won|collected|picked|made|earned|gathered|picked up|ordered] {MORE_THINGS}",
    f"was given {MORE_THINGS}",
)
FEWER_THINGS = "[{b}|{b} {things}|{b} of them|{b} of the {things}]"
LOSES = (
    f"[loses|sells|gives away|eats|uses|breaks|throws away|drops|spends|donates|forgets|hands out|sends away] {FEWER_THINGS}",
    "gives {b} to {other}",
    "gives {other} {b} of [them|the {things}]",
    "puts {b} away",
    "{other} [takes|borrows|eats|uses|breaks] {b} of [them|the {things}]",
)
LOST = (
    f"[lost|sold|gave away|ate|used|broke|threw away|dropped|spent|donated|forgot|handed out] {FEWER_THINGS}",
    "gave {b} to {other}",
    "gave {other} {b} of [them|the {things}]",
)


@dataclass(frozen=True)
class Scene:
    """A place that things come to and go from: patterns of the beginning, of what may happen, and of the question."""

    start: str
    more: tuple[str, ...]
    fewer: tuple[str, ...]
    question: str
    who: str = "{name}"


LEFT = "[How many [{things} |]are left?|How many [{things} |]remain?|How many {things} does {name} have[ now| left| in the end| in total|]?|How many [{things} |]does {name} still have?|How many {things} are there [now|in the end]?|With how many {things} does {name} end up?]"
INSIDE = "[How many {things} are [there now|in it now|inside|there in the end]?|How many are [left|in it now|there]?|How many {things} does it hold now?|How many {things} remain?]"
SCENES = (
    Scene("{name} [has|owns|starts with|begins with|keeps|holds] {a} {things}", GETS, LOSES, LEFT),
    Scene("{name} [had|owned|started with|bought|found|got] {a} {things}", GOT, LOST, LEFT),
    Scene("[At first|In the beginning|In the morning|On Monday] {name} [has|had] {a} {things}", GETS, LOSES, LEFT),
    Scene(
        "[There are|You see|We have] {a} {things} in [a|the] {place}",
        ("[put|add|lay|place] {b} [more|{things}|more {things}|new ones] [in|into it|there]", "add [{b}|{b} {things}|another {b}]"),
        ("[take out|remove|take away|take|pull out] [{b}|{b} {things}|{b} of them]", "take {b} [out|away|of them]"),
        INSIDE,
        "[I|You|We]",
    ),
    Scene(
        "[A|The|My] {place} [holds|has|contains] {a} {things}",
        ("[puts|adds|lays|places] {b} [more|{things}|more {things}] [in|into it]", "adds [{b}|{b} {things}|another {b}]"),
        ("[takes out|removes|takes away|takes] [{b}|{b} {things}|{b} of them]", "takes {b} [out|away]"),
        INSIDE,
    ),
    Scene(
        "[A|The] [bus|train|boat] [has|carries|starts with] {a} [people|passengers]",
        ("{b} [people |passengers |more |][get on|come in|get in|step in|join]",),
        ("{b} [people |passengers |of them |][get off|leave|get out|step out|go out]",),
        "How many [people|passengers] are [on it|there|inside|left|on it now]?",
        "",
    ),
    Scene(
        "[{a} [birds|cows|children|people|ducks|sheep] [are|stand|sit|play|sleep]|There are {a} [birds|cows|children|people|ducks|sheep]] [in|near] a [field|garden|house|barn]",
        ("{b} [more |others |][come|arrive|join them|come in|fly in]", "another {b} [come|arrive]"),
        ("{b} [of them |][go away|leave|run away|fly away|go home|disappear]",),
        "How many are [there|there now|left|in it now|there in the end]?",
        "",
    ),
    Scene(
        "{name} has ${a}",
        ("[earns|gets|finds|wins|receives|makes] [${b}|${b} more|another ${b}]", "gets ${b} from {other}"),
        ("[spends|loses|pays|gives away] ${b}", "[buys|gets|pays for] [a book|food|a ticket|lunch|a toy] for ${b}", "gives {other} ${b}"),
        "[How much money|How many dollars] does {name} have[ now| left| in the end|]?",
    ),
)  # fmt: skip
PLACES = "box bag basket drawer jar shop room garden bowl shelf cupboard kitchen truck"
# (sentences, what happens to the number at each step); {a}: at first, {b} {c}: the steps
UNSEEN = (
    ("{name} starts with {a} {things}, finds {b} and sells {c}. How many {things} are there in the end?", "+-"),
    ("A basket holds {a} {things}. {name} adds {b} and then removes {c}. How many remain?", "+-"),
    ("{name} picked {a} {things} on Monday and {b} on Tuesday, then ate {c}. How many were left?", "+-"),
    ("{a} {things} are on a table. {name} takes {b} of them and later puts {c} back. How many are on the table now?", "-+"),
    ("After {name} gave {b} of the {a} {things} to {other}, how many did {name} have?", "-"),
    ("{a} birds sit in a tree, {b} more come. How many birds are in the tree?", "+"),
    ("{name} owned {a} {things}. {other} took {b} and {name} lost {c} more. How many did {name} keep?", "--"),
)  # fmt: skip
BACKWARDS = (
    "{name} [sold|used|ate|lost|gave away|broke] {b} of [the|all the] {a} {things}. How many [{things} |][are left|remain|does {name} still have]?",
    "{name} [sells|uses|eats|loses|gives away|breaks] {b} of {a} {things}. How many [{things} |][are left|remain|does {name} have]?",
    "[If|When] {name} [loses|gives {other}|sells] {b} of {a} {things}, how many [are left|remain|does {name} have]?",
    "{other} [took|got|ate] {b} of {name}'s {a} {things}. How many [are left|does {name} have left|remain]?",
    "[Of|From] {a} {things}, {name} [sold|used|ate|lost] {b}. How many [are left|remain]?",
)
TOGETHER = (
    "{name} [has|owns|found] {a} {things}[.| and] {other} [has|owns|found] {b}[ {things}|]. How many [{things} |][do they have together|do they have in all|is that together|are there in total]?",
    "{name} [has|owns] {a} {things} and {other} [has|owns] {b}[ {things}|]. They [give away|sell|lose|eat|use] {c}[ of them|]. How many [{things} |][do they have left together|are left|remain]?",
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    facts = {"name": pick_name(rng, split), "things": plural(pick_thing(rng, split))}
    while (other := pick_name(rng, split)) == facts["name"]:
        pass
    facts |= {"other": other, "place": rng.choice(PLACES.split())}
    together = split in (Split.TRAIN, Split.UNSEEN_WORDS, Split.LARGER) and rng.random() < 0.18
    if split is Split.UNSEEN_WORDING or together:
        wording, signs = rng.choice(UNSEEN) if not together else _together(rng)
        amounts = _amounts(rng, split, signs)
        prompt = wording.format(**dict(zip("abc", amounts, strict=False)), **facts)
    else:
        steps = 4 if split is Split.ONE_MORE else rng.choice((1, 1, 2, 2, 2, 3))
        signs = "".join(rng.choice("+-") for _ in range(steps))
        amounts = _amounts(rng, split, signs)
        while _is_unseen(prompt := _tell(rng, amounts, signs, facts)):
            pass
    scratch = Scratch(rng, slip_at)
    total = _work(scratch, amounts, signs)
    unit = " dollars" if "$" in prompt else f" {facts['things']}" if facts["things"] in prompt else ""
    return Problem("stories", prompt, str(total), scratch.text(), f"That makes \\boxed{{{total}}}{unit}.")


def _work(scratch: Scratch, amounts: list[int], signs: str) -> int:
    scratch.say(f"At first {amounts[0]}.")
    total = amounts[0]
    for sign, amount in zip(signs, amounts[1:], strict=True):
        scratch.paragraph()
        scratch.say(f"Then {amount} {'more' if sign == '+' else 'fewer'}.")
        total = scratch.add(total, amount) if sign == "+" else scratch.subtract(total, amount)
    return total


def _amounts(rng: random.Random, split: Split, signs: str) -> list[int]:
    """The first amount and those of the steps; never less than nothing is left."""
    ordinary = (2, 60) if rng.random() < 0.8 else (10, 99)
    left = pick_number(rng, split, ordinary, (100, 400))
    amounts = [left]
    for sign in signs:
        amount = pick_number(rng, split, ordinary, (100, 400)) if sign == "+" else rng.randint(1, max(1, left - 1))
        amounts.append(amount)
        left += amount if sign == "+" else -amount
        if left < 1:
            return _amounts(rng, split, signs)
    return amounts


def _together(rng: random.Random) -> tuple[str, str]:
    which = rng.randrange(3)
    patterns = (TOGETHER[:1], TOGETHER[1:], BACKWARDS)[which]
    return Wordings(patterns, ()).pick(rng, Split.TRAIN), ("+", "+-", "-")[which]


def _tell(rng: random.Random, amounts: list[int], signs: str, facts: dict[str, str]) -> str:
    """The beginning, the steps one after the other, and the question."""
    scene = rng.choice(SCENES)
    story = expand(rng, scene.start).format(a=amounts[0], **facts)
    who = expand(rng, scene.who).format(**facts)
    happenings = list[str]()
    for sign, amount in zip(signs, amounts[1:], strict=True):
        doing = expand(rng, rng.choice(scene.more if sign == "+" else scene.fewer))
        actor = "" if doing.startswith("{other}") else who
        happenings.append(f"{actor} {doing.format(b=amount, **facts)}".strip())
    question = expand(rng, scene.question).format(**facts)
    return f"{_joined(rng, story, happenings, who)} {question}"


def _is_unseen(prompt: str) -> bool:
    """Whether sentences put together here happen to read like a template that training must not hold."""
    return any(re.fullmatch(re.sub(r"\\\{\w+\\\}", r"\\S+", re.escape(template)), prompt) for template, _ in UNSEEN)


def _joined(rng: random.Random, story: str, happenings: list[str], who: str) -> str:
    """Sentences of their own or one sentence; who acts may be said once only."""
    short = [happening.removeprefix(who).strip() for happening in happenings]
    kind = rng.random() if all(happening.startswith(who) for happening in happenings) else 1
    if kind < 0.3:
        first = expand(rng, "[|Then |Now |Later ]")
        last = (
            f"{', '.join(short[:-1])}{expand(rng, '[ and| and then|, then]')} {short[-1]}"
            if len(short) > 1
            else short[0]
        )
        return f"{story}. {_linked(first, f'{who} {last}'.strip(), who)}."
    if kind < 0.5 and "$" not in story and who in story:
        return f"{story}, {', '.join(short[:-1])} and {short[-1]}." if len(short) > 1 else f"{story} and {short[-1]}."
    links = "[|Then |Now |Later |After that |Next, |The next day ]"
    return f"{story}. {' '.join(f'{_linked(expand(rng, links), happening, who)}.' for happening in happenings)}"


def _linked(link: str, sentence: str, who: str) -> str:
    """A sentence after "Then", say, where "We" is "we"."""
    return link + (sentence[0].lower() + sentence[1:] if link and who in ("You", "We") else sentence)
