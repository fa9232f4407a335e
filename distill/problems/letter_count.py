"""How many times a letter occurs in a word: spell it, count on the way."""

from __future__ import annotations

import random
import string

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import LETTER_WORDS, SYLLABLES

RIDDLE_WORD = "strawberry"  # the classic word stays out of training altogether
WORDINGS = Wordings(
    train=(
        "How many times does the letter {c} appear in {w}?", "How many {c}'s are in {w}?", "How many {c}s are in {w}?",
        "How many times does {c} appear in {w}?", 'How many times does the letter "{c}" appear in the word "{w}"?',
        "How many {c}'s are there in the word {w}?", 'How many {c}s are in the word "{w}"?', "How many letters {c} are in {w}?",
        "Count the letter {c} in {w}.", "how many {c} in {w}", "How many {c}'s in {w}?", "How many times is {c} in {w}?",
        'How many "{c}"s are in "{w}"?', "How often does {c} occur in {w}?", "how many {c}'s are in the word {w}?",
        "How many times does the letter '{c}' occur in '{w}'?",
    ),
    unseen=("Count how often the letter {c} occurs in {w}.", "In the word {w}, how many {c}'s do you see?"),
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
    if split is not Split.LARGER and rng.random() < 0.35:
        return rng.choice(LETTER_WORDS)
    length = pick_number(rng, split, (3, 11), (12, 16))
    word = ""
    while len(word) < length:
        word += rng.choice(SYLLABLES)
    word = word[:length]
    return word if word != RIDDLE_WORD else "straw"


def _letter(rng: random.Random, word: str) -> str:
    repeated = [c for c in set(word) if word.count(c) > 1]
    kind = rng.random()
    if repeated and kind < 0.5:
        return rng.choice(sorted(repeated))
    return rng.choice(word) if kind < 0.85 else rng.choice(string.ascii_lowercase)
