"""What every task family shares: the problem, its worked solution, and the numbers it is drawn from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Split(StrEnum):
    """Where a problem comes from; everything but TRAIN is for measuring."""

    TRAIN = "train"
    UNSEEN_WORDING = "unseen_wording"
    LARGER = "larger"


@dataclass(frozen=True)
class Problem:
    """A prompt with one right answer, and one way to reach it.

    `gold` is what \\boxed{} must hold (for a prompt outside the field: what the answer must say).
    `reasoning` is the text between the think tags, `answer` what follows them.
    """

    family: str
    prompt: str
    gold: str
    reasoning: str
    answer: str


@dataclass(frozen=True)
class Wordings:
    """Templates of one family. `unseen` ones never occur in training."""

    train: tuple[str, ...]
    unseen: tuple[str, ...]

    def pick(self, rng: random.Random, split: Split) -> str:
        return rng.choice(self.unseen if split is Split.UNSEEN_WORDING else self.train)


def pick_number(rng: random.Random, split: Split, ordinary: tuple[int, int], larger: tuple[int, int]) -> int:
    """A whole number from the range of the split, both ends included."""
    return rng.randint(*(larger if split is Split.LARGER else ordinary))


def pick_digits(rng: random.Random, digits: Sequence[int]) -> int:
    """A whole number with one of these digit counts, each count as likely as it is listed."""
    count = rng.choice(digits)
    return rng.randint(10 ** (count - 1) if count > 1 else 1, 10**count - 1)
