"""What every task family shares: the problem, its worked solution, and the numbers it is drawn from."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from ..rows import Verifier
from .phrases import expand


class Split(StrEnum):
    """Where a problem comes from; everything but TRAIN is for measuring."""

    TRAIN = "train"
    UNSEEN_WORDS = "unseen_words"  # names and things that never occur in training
    UNSEEN_WORDING = "unseen_wording"
    ONE_MORE = "one_more"  # an operation more than in training
    LARGER = "larger"


@dataclass(frozen=True)
class Problem:
    """A prompt with one right answer, and one way to reach it.

    `gold` is what \\boxed{} must hold (for a prompt outside the field: what the answer must say).
    `reasoning` is the text between the think tags, `answer` what follows them. `verifier` and `check` are as in
    rows.ProblemRow: how an answer is judged where comparing with the gold is not all.
    """

    family: str
    prompt: str
    gold: str
    reasoning: str
    answer: str
    verifier: Verifier = "math"
    check: dict[str, Any] | None = None


@dataclass(frozen=True)
class Wordings:
    """Templates of one family. `train` are patterns of phrases.expand, whose phrases are many; `unseen` are whole
    sentences, none of which ever occurs in training, though their words may.
    """

    train: tuple[str, ...]
    unseen: tuple[str, ...]

    def pick(self, rng: random.Random, split: Split) -> str:
        if split is Split.UNSEEN_WORDING:
            return rng.choice(self.unseen)
        unseen = _bare_all(self.unseen)
        while bare(phrase := expand(rng, rng.choice(self.train))) in unseen:
            pass
        return phrase


def bare(phrase: str) -> str:
    """A phrase without case, blanks and marks; what is left decides whether two phrases are the same."""
    return re.sub(r"[^\w{}+\-*/%]", "", phrase.lower())


@cache
def _bare_all(phrases: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(bare, phrases))


def pick_number(rng: random.Random, split: Split, ordinary: tuple[int, int], larger: tuple[int, int]) -> int:
    """A whole number from the range of the split, both ends included."""
    return rng.randint(*(larger if split is Split.LARGER else ordinary))


def pick_digits(rng: random.Random, digits: Sequence[int]) -> int:
    """A whole number with one of these digit counts, each count as likely as it is listed."""
    count = rng.choice(digits)
    return rng.randint(10 ** (count - 1) if count > 1 else 1, 10**count - 1)
