"""How many times a letter occurs in a word: spell it, count on the way. Up to 12 letters (words that exist may
have more), in `larger` up to 18.
"""

from __future__ import annotations

import random
import string

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import SYLLABLES, is_kept, words

RIDDLE_WORD = "strawberry"  # the classic word stays out of training altogether
CS = "[{c}'s|{c}s|\"{c}\"s|letters {c}|letter {c}'s|{c}]"
C = '[{c}|the letter {c}|the letter "{c}"|the letter \'{c}\'|letter {c}|"{c}"]'
W = '[{w}|{w}|{w}|the word {w}|"{w}"|the word "{w}"|\'{w}\']'
WORDINGS = Wordings(
    train=(
        f"How many times [does|do] {C} [appear|occur|show up|come|stand|come up] in {W}?",
        f"How many {CS} [are|are there|do you see|do you find|do you count|can you find|can be found] in {W}?",
        f"How many {CS} does {W} [have|contain]?",
        f"How many {CS}[ are|] in {W}[?|]",
        f"how many {CS} [in|are in] {W}[?|]",
        f"[Count|Please count|Can you count|Count up] {C} in {W}[.|]",
        f"[Count|Please count|Can you count] the {CS} in {W}[.|]",
        f"[Count|Tell me|Say] how [often|many times] {C} [appears|is|stands|comes] in {W}[.|]",
        f"[Tell me|Say|I want to know] how many {CS} [are in|there are in|you see in] {W}[.|]",
        f"How often [does|do] {C} [occur|appear|come|stand] in {W}?",
        f"How [often|many times] is {C} in {W}?",
        f"How [often|many times] [do you see|can you find|do I find|do you find] {C} in {W}?",
        f"In {W}[,|] how [often|many times] [does|do] {C} [occur|appear|come up]?",
        f"[In|For] {W}[,|] [count|please count|find|tell me] [the number of {CS}|how often {C} [appears|is there]|the {CS}][.|]",
        f"[Here is a word|Look at the word|The word is|Word|Take the word]: {{w}}. How many {CS} [are in it|does it have|are there|do you see]?",
        f"[Look at|Take|Spell|Read] {W}[.| and] [Count|count] {C}[.|]",
        f"[What is|Give me|Find] the [number|count] of {CS} in {W}[?|.|]",
        f"{W}: how many {CS}[ are there| do you see| are in it|]?",
        f"[If|When] [you|I|we] [read|look at|type|see] {W}, how [often|many times] do [you|I|we] [see|find|read|meet] {C}?",
        f"[Does|Has] {W} [have|got] [a|any] {{c}}? [How many|How often|How many times]?",
        f"[Find|Look for] {C} in {W}[. How many are there?| and say how often it is there.| and count.| and tell me how many.]",
        f"[I write|You write|I spell|Somebody spells] {W}. How many {CS} [are that|do I write|are in it]?",
        f"[Which number of|What number of] {CS} [are|is] in {W}?",
    ),
    unseen=(
        "Count how often the letter {c} occurs in {w}.",
        "In the word {w}, how many {c}'s do you see?",
        "When you spell {w}, how many times do you write {c}?",
        "Is there a {c} in {w}? Tell me how many there are.",
        "Find every {c} in the word {w} and tell me the number.",
    ),
)  # fmt: skip


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    word = _word(rng, split)
    letter = _letter(rng, word)
    upper = rng.random() < 0.1
    wording = WORDINGS.pick(rng, split)
    prompt = wording.format(c=letter.upper() if upper else letter, w=word)
    count = word.count(letter)
    return Problem("letter_count", prompt, str(count), *solve(rng, word, letter, slip_at))


def solve(rng: random.Random, word: str, letter: str, slip_at: int | None) -> tuple[str, str]:
    """(reasoning, answer): the letters one by one, a running count behind each hit."""
    scratch = Scratch(rng)
    hits = 0
    spelled: list[str] = []
    for c in word:
        hits += c == letter
        spelled.append(f"{c} {hits}" if c == letter else c)
    scratch.say(f"I spell {word} and count each {letter}.")
    scratch.paragraph()
    scratch.say(", ".join(spelled) + ".")
    scratch.paragraph()
    if slip_at is not None and hits and slip_at % 2:
        scratch.say(f"That is {hits - 1 or hits + 1}.", f"Wait, the last number is {hits}.")
    scratch.say(f"So {letter} appears {hits} {'time' if hits == 1 else 'times'}.")
    times = "time" if hits == 1 else "times"
    return scratch.text(), f"The letter {letter} appears \\boxed{{{hits}}} {times} in {word}."


def _word(rng: random.Random, split: Split) -> str:
    if split is Split.UNSEEN_WORDS or (split is not Split.LARGER and rng.random() < 0.3):
        return rng.choice(words(split).letter_words)
    length = pick_number(rng, split, (3, 12), (13, 18))
    word = ""
    while len(word) < length:
        word += rng.choice(SYLLABLES)
    word = word[:length]
    return "straw" if word == RIDDLE_WORD or is_kept(word) else word


def _letter(rng: random.Random, word: str) -> str:
    repeated = [c for c in set(word) if word.count(c) > 1]
    kind = rng.random()
    if repeated and kind < 0.5:
        return rng.choice(sorted(repeated))
    return rng.choice(word) if kind < 0.85 else rng.choice(string.ascii_lowercase)
