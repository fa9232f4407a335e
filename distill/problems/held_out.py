"""The problems that accuracy is measured on. They are drawn first; training leaves out whatever reads like them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from . import FAMILIES, RIDDLES, generate, prompt_key
from .outside import EXAMPLE
from .problem import Problem, Split

PER_FAMILY = 60
SPLITS = ("test", "unseen_wording", "larger")  # test: the training's own distribution


@cache
def held_out() -> dict[str, tuple[Problem, ...]]:
    """Split -> problems, PER_FAMILY of each family; every prompt occurs once in all."""
    seen = {prompt_key(prompt) for prompt in (EXAMPLE, *(prompt for prompt, _ in RIDDLES))}
    return {split: tuple(p for family in FAMILIES for p in _fresh(family, split, seen)) for split in SPLITS}


@cache
def held_out_keys() -> frozenset[str]:
    """prompt_key of every held-out problem and every riddle."""
    prompts = [problem.prompt for problems in held_out().values() for problem in problems]
    return frozenset(map(prompt_key, (*prompts, *(prompt for prompt, _ in RIDDLES))))


def _fresh(family: str, split: str, seen: set[str]) -> Iterator[Problem]:
    seed, found = 10**9, 0  # training seeds stay far below
    while found < PER_FAMILY:
        problem = generate(family, seed, Split.TRAIN if split == "test" else Split(split))
        seed += 1
        key = prompt_key(problem.prompt)
        if key in seen:
            continue
        seen.add(key)
        found += 1
        yield problem
