"""The problems that accuracy is measured on. They are drawn first; training leaves out whatever reads like them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from . import FAMILIES, RIDDLES, generate, prompt_key
from .countdown import puzzle
from .outside import ANSWER, EXAMPLE, GOLD
from .problem import Problem, Split
from .strangers import STRANGERS
from .words import is_kept

PER_FAMILY = 40
# More where a family is measured alone: whether a model knows its limits, and what reinforcement learning brings.
MORE = {("outside", "unseen_wording"): 200, ("countdown", "test"): 240}
SPLITS = ("test", "unseen_words", "unseen_wording", "one_more", "larger")  # test: the training's own distribution
# families in which a split has no meaning: their problems hold no words, or always the same operations or numbers
LEFT_OUT: dict[str, frozenset[str]] = {
    "unseen_words": frozenset({"sums", "differences", "products", "decimals", "outside"}),
    "one_more": frozenset({"percent", "all_but", "average_speed", "letter_count", "outside"}),
    "larger": frozenset({"outside"}),
}
OWN_WORDS = ("code", "format")  # their new words are not those of words.py


@cache
def held_out() -> dict[str, tuple[Problem, ...]]:
    """Split -> problems, PER_FAMILY or MORE of each family that has it; every prompt occurs once in all."""
    seen = {prompt_key(prompt) for prompt in (EXAMPLE, *(prompt for prompt, _ in RIDDLES))}
    return {split: tuple(p for family in families_in(split) for p in _fresh(family, split, seen)) for split in SPLITS}


@cache
def strangers() -> tuple[Problem, ...]:
    """The prompts outside the field that were written by hand; the right answer owns up to it."""
    return tuple(Problem("outside", prompt, GOLD, "", ANSWER, "outside") for prompt in STRANGERS)


def families_in(split: str) -> tuple[str, ...]:
    """The families that a split is measured on."""
    return tuple(family for family in FAMILIES if family not in LEFT_OUT.get(split, ()))


@cache
def held_out_keys() -> frozenset[str]:
    """prompt_key of every held-out problem, every riddle and every stranger's prompt."""
    prompts = [problem.prompt for problems in held_out().values() for problem in problems]
    return frozenset(map(prompt_key, (*prompts, *STRANGERS, *(prompt for prompt, _ in RIDDLES))))


def is_held_out(problem: Problem) -> bool:
    """Whether it reads like a held-out one, or is one's puzzle with the numbers in another order."""
    return prompt_key(problem.prompt) in held_out_keys() or puzzle(problem) in _puzzles()


@cache
def _puzzles() -> frozenset[tuple[int, ...]]:
    return frozenset(found for problems in held_out().values() for found in map(puzzle, problems) if found)


def _fresh(family: str, split: str, seen: set[str]) -> Iterator[Problem]:
    seed, left = 10**9, MORE.get((family, split), PER_FAMILY)  # training's seeds lie below
    while left:
        problem = generate(family, seed, Split.TRAIN if split == "test" else Split(split))
        seed += 1
        key = prompt_key(problem.prompt)
        if key in seen or (split == "unseen_words" and family not in OWN_WORDS and not _holds_kept(problem.prompt)):
            continue
        seen.add(key)
        left -= 1
        yield problem


def _holds_kept(prompt: str) -> bool:
    return any(map(is_kept, re.findall("[a-z]+", prompt.lower())))
