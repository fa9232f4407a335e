"""A small calculation whose answer must have a certain form: only the number, JSON, capital letters, and so on."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch

KEYS = ("answer", "result", "value", "total", "number")
ENDINGS = ("Done.", "That is all.", "Over.", "Ready.", "Have a nice day.", "Bye.")
UNSEEN_KEYS = ("output", "outcome", "figure", "amount")
UNSEEN_ENDINGS = ("So it is.", "Finished.", "See you.", "Good luck.")
ASKED = Wordings(
    train=(
        "[What is|What's|How much is] {e}?", "[Calculate|Compute|Work out|Find] {e}.", "[Can you tell me|Tell me] what {e} is.",
        "[Please calculate|I need] {e}.", "[What is|Give me] the result of {e}[?|.]",
        "[Please tell me|I want to know] [what|how much] {e} is.", "[Solve|Do the sum|Do this task|A task]: {e}.", "What does {e} [make|equal|give]?",
        "{e} = ?", "[Say|Write down] what {e} [is|makes].", "[First calculate|Take|Please do] {e}.",
    ),
    unseen=("Evaluate {e}.", "What does {e} come to?", "{e}, please."),
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """How a form is asked for, checked (an id and its settings, as verify.instructions has them) and written.

    {v} is the value, {a} and {b} what it is computed from, {key}, {end} and {n} what varies; an answer in capital
    or small letters is the plain sentence turned into them.
    """

    asked: Wordings
    id: str
    kwargs: tuple[tuple[str, str], ...]  # setting -> which of the varying things it is
    thought: str
    answer: str


FORMS = (
    Form(
        Wordings(
            ("[Answer with|Give|Write|Say|Reply with] [only|just] the number.", "[Only|Just] the number[, please|].", "[Your answer must be|Write] the number and nothing else.",
             "[Do not write|Do not use|Write no|Use no|No] [any |]words[.|, just the number.|, please.]", "[Nothing|Not anything] but the number[.|, please.]", "[I want|I need] [only|just] the number."),
            ("No words, only the number.", "Do not write anything but the number."),
        ),
        "answer:number_only", (), "Only the number.", "{v}",
    ),
    Form(
        Wordings(
            ('[Answer|Reply|Write the answer] [as|in|with] JSON with the key "{key}".', '[Give|Write|Return] a JSON object with the key "{key}".',
             'The answer must be JSON[, the key is| with the key] "{key}".',
             '[I want|I need|Use] JSON[,| and] with "{key}" as [the|its] key.', '[Put|Write] [it|the answer|the number] [in|into] [JSON|a JSON object], [under|with] the key "{key}".',
             'JSON[ only|, please], key "{key}".'),
            ('Put it into JSON under the key "{key}".', 'I want JSON, and "{key}" as its only key.'),
        ),
        "answer:json_keys", (("keys", "keys"),), "It must be JSON with the key {key}.", '{{"{key}": {v}}}',
    ),
    Form(
        Wordings(
            ("[Answer|Write|Reply] [in|with|only in|only with] capital letters.", "Use [only|just] capital letters[ in the answer|].", "[Write|Give] the answer in [capitals|upper case|capital letters].",
             "[All|Every letter|The whole answer] must be in [capitals|capital letters|upper case].", "[Do not use|Write no|Without] small letters[.|, please.]", "[Capitals|Capital letters|Upper case][, please.| only.]"),
            ("Everything you say must be in capitals.", "No small letters, please."),
        ),
        "change_case:english_capital", (), "It must be in capital letters.", "THE ANSWER IS {v}.",
    ),
    Form(
        Wordings(
            ("[Answer|Write|Reply] [in|with|only in|only with] small letters.", "Use [only|just] small letters[ in the answer|].", "[Write|Give] the answer in [lower case|small letters].",
             "[All|Every letter|The whole answer] must be in [lower case|small letters].", "[Do not use|Write no|Without] capital letters[.|, please.]", "[Small letters|Lower case][, please.| only.]"),
            ("Everything you say must be in lower case.", "No capital letters, please."),
        ),
        "change_case:english_lowercase", (), "It must be in small letters.", "the answer is {v}.",
    ),
    Form(
        Wordings(
            ("[Write|Say|Give|Repeat] the [number|answer|result] {n} times.", "[The answer must come|Answer] {n} times[ in a row|].",
             "[I want|I need] the [number|answer|result] {n} times.", "[Say|Write|Repeat] it {n} times[.|, please.]", "{n} times the [number|answer|result], please."),
            ("I want to read the number {n} times.", "Say it {n} times over."),
        ),
        "answer:repeated", (("times", "n"),), "{n} times the number.", "{row}",
    ),
    Form(
        Wordings(
            ('End [your answer |the answer |]with "{end}"', '[Finish|Close] [your answer|the answer] with "{end}"', 'The last words [must be|are] "{end}"',
             '[At the end|After that|Then|Behind the answer], [say|write|add] "{end}"', '[I want|Let me] [to read|read] "{end}" at the end.', '[Do not end|Do not stop] without "{end}"'),
            ('After the answer, say "{end}"', 'Do not stop before you have said "{end}"'),
        ),
        "startend:end_checker", (("end_phrase", "end"),), "It ends with: {end}", "The answer is {v}. {end}",
    ),
    Form(
        Wordings(
            ("[Put|Write] [the|your] [whole |]answer in quotation marks.", "[Answer|Reply] in quotation marks.", "Use quotation marks around [the|your] answer.",
             "[All|The whole answer|Everything] [must be|belongs|should be] in quotation marks.", "[Quotation marks|Quotes] around [it all|the answer|all of it][.|, please.]", "Quote [all|the answer|what you say]."),
            ("Quotation marks belong around all you say.", "Quote your answer."),
        ),
        "startend:quotation", (), "It must be in quotation marks.", '"The answer is {v}."',
    ),
    Form(
        Wordings(
            ("[Answer|Reply] [with|in|as] a list of 2 [bullet |]points.", "[Write|Give] 2 bullet points.", "Use a list with 2 [bullet |]points.",
             "[Make it a list|Write a list|Make a list] [of|with] [2|two] points.", "[I want|I need] [2|two] [bullet |]points[.|, please.]", "[Two|2] points, [please|as a list]."),
            ("Two bullet points, please.", "Make it a list of two points."),
        ),
        "detectable_format:number_bullet_lists", (("num_bullets", "two"),), "It must be a list of 2 points.", "* {e}\n* {v}",
    ),
    Form(
        Wordings(
            ("[Make|Print|Write] the [answer|number|result] [in |]bold.", "[Put|Write] the [answer|number|result] in bold.", "Use bold for the [number|answer|result].",
             "The [answer|number|result] [must be|should be|is to be] [in |]bold.", "[I want|Let me see] the [number|answer] in bold.", "[Bold number|Number in bold|Answer in bold][.|, please.]"),
            ("The number must stand out in bold.", "Bold, please."),
        ),
        "detectable_format:number_highlighted_sections", (("num_highlights", "one"),), "The number must be bold.", "The answer is **{v}**.",
    ),
    Form(
        Wordings(
            ("[Put|Write] the [answer|number|result] in double angle brackets.", "[Answer|Reply] in double angle brackets.", "Use <<>> around the [number|answer|result].",
             "The [answer|number|result] [must be|should be] [in double angle brackets|in << and >>|between << and >>].", "[Put|Wrap] [it|the answer] [in|into] << and >>.", "Double angle brackets around the [number|answer][.|, please.]"),
            ("Wrap the number in << and >>.", "The number belongs in double angle brackets."),
        ),
        "detectable_format:title", (), "It must be in double angle brackets.", "<<{v}>>",
    ),
)  # fmt: skip


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    scratch = Scratch(rng, slip_at)
    signs, value = _calculated(rng, split, scratch)
    form = rng.choice(_with_words() if split is Split.UNSEEN_WORDS else FORMS)
    unseen = split is Split.UNSEEN_WORDS
    n = rng.randint(2, 5)
    facts: dict[str, Any] = {
        "key": rng.choice(UNSEEN_KEYS if unseen else KEYS), "end": rng.choice(UNSEEN_ENDINGS if unseen else ENDINGS),
        "n": n, "row": " ".join([str(value)] * n), "v": value, "e": signs,
    }  # fmt: skip
    settings = {**facts, "keys": [facts["key"]], "two": 2, "one": 1}
    instruction = {"id": form.id, "kwargs": {name: settings[what] for name, what in form.kwargs}}
    scratch.paragraph()
    scratch.say(form.thought.format(**facts))
    asked = [ASKED.pick(rng, split).format(**facts), form.asked.pick(rng, split).format(**facts)]
    prompt = " ".join(asked if rng.random() < 0.8 else asked[::-1])
    check = {"instructions": [instruction], "gold": str(value)}
    return Problem("format", prompt, str(value), scratch.text(), form.answer.format(**facts), "instructions", check)


def _calculated(rng: random.Random, split: Split, scratch: Scratch) -> tuple[str, int]:
    """(what is asked in signs, its value)."""
    sign = rng.choice("+-*")
    if sign == "*":
        a, b = pick_number(rng, split, (2, 12), (100, 300)), rng.randint(2, 9)
        value = scratch.multiply(a, b)
    else:
        a, b = (pick_number(rng, split, (2, 60), (100, 500)) for _ in range(2))
        a, b = max(a, b), min(a, b)
        value = scratch.add(a, b) if sign == "+" else scratch.subtract(a, b)
    signs = f"{a} {sign} {b}"
    if split is Split.ONE_MORE:
        c = rng.randint(2, 30)
        scratch.paragraph()
        value, signs = scratch.add(value, c), f"{signs} + {c}"
    return signs, value


def _with_words() -> tuple[Form, ...]:
    """The forms whose instruction holds a word that may be one never seen."""
    return tuple(form for form in FORMS if any(what in ("keys", "end") for _, what in form.kwargs))
