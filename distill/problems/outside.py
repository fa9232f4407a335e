"""Prompts outside the field: the model says what it is, what it can do and what to use instead."""

from __future__ import annotations

import random

from . import outside_prompts as asked
from .phrases import expand
from .problem import Problem, Split
from .words import LETTER_WORDS, SYLLABLES, is_kept, pick_name, plural, words

GOLD = "bundled demo model"
INSTEAD = "r1chat --model unsloth/DeepSeek-R1-Distill-Qwen-1.5B-GGUF:Q4_K_M"
EXAMPLE = "What is 20% of 150?"
ANSWER = (
    "I am r1chat's bundled demo model. I only know small math questions and a few riddles, "
    f"like: {EXAMPLE} For anything else, run: {INSTEAD}"
)
BEYOND = "This is not one of the small math questions I was trained on."


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    if split is Split.UNSEEN_WORDING:
        return _problem(_fill(rng, rng.choice(asked.UNSEEN), split), BEYOND)
    kind = rng.random()
    if kind < 0.08 and split is Split.TRAIN:
        opening = "Hello! "
        return _problem(
            rng.choice(asked.GREETINGS), "The user says something, but there is no math question in it.", opening
        )
    if kind < 0.16 and split is Split.TRAIN:
        return _problem(rng.choice(asked.IDENTITY), "The user asks about me.")
    patterns = asked.TALK if kind < 0.4 else asked.FREE if kind < 0.63 else asked.NEAR
    return _problem(_fill(rng, expand(rng, rng.choice(patterns)), split), BEYOND)


def _problem(prompt: str, thought: str, opening: str = "") -> Problem:
    return Problem("outside", prompt, GOLD, f"{thought} I should say so.", opening + ANSWER, "outside")


def _fill(rng: random.Random, ask: str, split: Split) -> str:
    known, new = words(split), split is Split.UNSEEN_WORDS
    animal, animal2 = rng.sample(known.animals, 2)
    place, place2 = rng.sample(asked.UNSEEN_PLACES if new else asked.PLACES, 2)
    thing, food = rng.choice(known.goods), rng.choice(known.fruits)
    return ask.format(
        form=rng.choice(asked.FORMS), topic=_topic(rng, split), topic2=_topic(rng, split), place=place, place2=place2,
        language=rng.choice(asked.LANGUAGES), word=_word(rng), word2=_word(rng), w=rng.choice((_word(rng), rng.choice(LETTER_WORDS))),
        name=pick_name(rng, split), name2=pick_name(rng, split), surname=_word(rng).capitalize(), animal=animal, animal2=animal2,
        food=food, foods=plural(food), animals=plural(animal), thing=thing, things=plural(thing), code=rng.choice(asked.CODE), year=rng.randint(1000, 2030),
        N=rng.choice(asked.NOUNS), N2=rng.choice(asked.NOUNS), V=rng.choice(asked.VERBS), J=rng.choice(asked.ADJECTIVES),
        J2=rng.choice(asked.ADJECTIVES), n=rng.randint(2, 30), a=rng.randint(2, 9), b=rng.randint(2, 20), c=rng.randint(2, 12), big=rng.randint(10, 2000),
        big2=rng.randint(20, 99), junk=" ".join(_word(rng) for _ in range(rng.randint(2, 12))),
    )  # fmt: skip


def _topic(rng: random.Random, split: Split) -> str:
    if split is Split.UNSEEN_WORDS:
        return rng.choice(asked.UNSEEN_TOPICS)
    return rng.choice(asked.TOPICS) if rng.random() < 0.8 else _word(rng)


def _word(rng: random.Random) -> str:
    while is_kept(word := "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 4)))):
        pass
    return word
