"""What is kept for measuring never occurs in training: prompts, wordings, words, and what goes beyond its ranges."""

from __future__ import annotations

import re
from functools import cache

import pytest

from r1chat.distill.problems import FAMILIES, generate, prompt_key
from r1chat.distill.problems.held_out import PER_FAMILY, SPLITS, families_in, held_out, held_out_keys, strangers
from r1chat.distill.problems.problem import Split
from r1chat.distill.problems.strangers import STRANGERS
from r1chat.distill.problems.words import SEEN, UNSEEN, Words, is_kept, plural
from r1chat.distill.verify.boxed import is_right

SEEDS = range(300)
MATH = [family for family in FAMILIES if family not in ("outside", "code")]


@cache
def prompts(family: str, split: Split) -> tuple[str, ...]:
    return tuple(generate(family, seed, split).prompt for seed in SEEDS)


def numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", text)]


def nouns(known: Words) -> set[str]:
    singular = {*known.fruits, *known.goods, *known.animals, *known.vehicles}
    return {word.lower() for word in (*singular, *map(plural, singular), *known.names)}


NAMED = nouns(SEEN) | nouns(UNSEEN)


def mask(prompt: str, family: str) -> str:
    """A prompt without what its template is filled with."""
    signs = [
        ("#" if word.isdigit() else "@" if word.lower() in NAMED else word) for word in re.findall(r"\w+|\S", prompt)
    ]
    if family == "letter_count":
        signs = ["@" if len(word) == 1 or not word.isalpha() else word for word in signs]
    return "".join(signs).lower().rstrip("?.")


@pytest.mark.parametrize("family", MATH)
def test_no_unseen_wording_occurs_in_training(family: str) -> None:
    unseen = {mask(prompt, family) for prompt in prompts(family, Split.UNSEEN_WORDING)}
    seen = {mask(prompt, family) for prompt in prompts(family, Split.TRAIN)}
    assert len(unseen) >= 4
    assert not unseen & seen


@pytest.mark.parametrize("family", FAMILIES)
def test_words_kept_for_measuring_never_occur_in_training(family: str) -> None:
    for prompt in prompts(family, Split.TRAIN):
        assert not [word for word in re.findall(r"[a-z]+", prompt.lower()) if is_kept(word)], prompt


@pytest.mark.parametrize("family", [f for f in families_in("unseen_words") if f not in ("code", "format")])
def test_problems_of_unseen_words_hold_such_words(family: str) -> None:
    held = [p.prompt for p in held_out()["unseen_words"] if p.family == family]
    assert all(any(is_kept(word) for word in re.findall(r"[a-z]+", prompt.lower())) for prompt in held), held


MANY = {"sums", "differences", "products", "quotients", "rates", "unit_price", "stories", "decimals", "totals"}


@pytest.mark.parametrize("family", sorted(MANY))
def test_one_more_has_more_numbers_than_training_ever_has(family: str) -> None:
    most = max(len(re.findall(r"\d+(?:\.\d+)?", prompt)) for prompt in prompts(family, Split.TRAIN))
    least = min(len(re.findall(r"\d+(?:\.\d+)?", prompt)) for prompt in prompts(family, Split.ONE_MORE))
    assert least > most


LARGEST = {"sums": 99_999, "differences": 99_999, "all_but": 99, "average_speed": 120, "decimals": 999}


@pytest.mark.parametrize("family", sorted(LARGEST))
def test_larger_numbers_are_larger_than_those_of_training(family: str) -> None:
    assert max(n for prompt in prompts(family, Split.TRAIN) for n in numbers(prompt)) <= LARGEST[family]
    assert all(max(numbers(prompt)) > LARGEST[family] for prompt in prompts(family, Split.LARGER))


def test_every_split_has_so_many_of_each_family_and_no_prompt_twice() -> None:
    assert tuple(held_out()) == SPLITS
    problems = [problem for split in held_out().values() for problem in split]
    assert len({prompt_key(problem.prompt) for problem in problems}) == len(problems)
    for split, drawn in held_out().items():
        assert {problem.family for problem in drawn} == set(families_in(split))
        assert len(drawn) >= 500 and len(drawn) >= PER_FAMILY * len(families_in(split))


@pytest.mark.slow
def test_strangers_prompts_come_from_no_template() -> None:
    assert all(is_right(problem.answer, problem) for problem in strangers())
    keys = {prompt_key(prompt) for prompt in STRANGERS}
    assert len(keys) == len(strangers()) == 200
    assert keys <= held_out_keys()
    trained = {prompt_key(generate("outside", seed).prompt) for seed in range(20_000)}
    assert len(keys & trained) <= len(keys) // 40, "hardly any is what a template happens to say"
