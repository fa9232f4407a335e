"""Difficulty within a family: of a few draws the one whose worked solution is the shortest, or the longest."""

from __future__ import annotations

from enum import StrEnum

from . import generate
from .problem import Problem

DRAWS = 4


class Level(StrEnum):
    """ANY is the family as it is drawn."""

    ANY = "any"
    EASY = "easy"
    HARD = "hard"


def generate_at(family: str, seed: int, level: Level) -> Problem:
    """A training problem of this level; the same seed always gives the same one. With ANY that of generate."""
    if level is Level.ANY:
        return generate(family, seed)
    drawn = [generate(family, seed * DRAWS + number) for number in range(DRAWS)]
    return (max if level is Level.HARD else min)(drawn, key=lambda problem: len(problem.reasoning))
