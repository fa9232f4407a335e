"""Phrases from patterns: every alternative is reached, fields stay, a bracket amiss is told."""

from __future__ import annotations

import random

import pytest

from r1chat.distill.problems.phrases import count, expand


def test_every_alternative_is_reached_and_counted() -> None:
    rng = random.Random(0)
    pattern = "[a|b [c|d|]] {n}[?|]"
    seen = {expand(rng, pattern) for _ in range(400)}
    assert seen == {f"{start} {{n}}{end}" for start in ("a", "b c", "b d", "b ") for end in ("?", "")}
    assert count(pattern) == len(seen)


def test_text_without_groups_stays_as_it_is() -> None:
    assert expand(random.Random(0), "{0} | {1}") == "{0} | {1}"


@pytest.mark.parametrize("pattern", ["a]", "[a|b", "[a|[b]"])
def test_a_bracket_amiss_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"bracket|closed"):
        expand(random.Random(0), pattern)
