"""Which stars are the same, and which ask nearly the same: by distill's own measure of wording."""

from __future__ import annotations

from collections.abc import Iterable

from ...distill.filter.duplicates import text_key as key_of_text
from ...distill.filter.wording import runs, signs, words
from .records import Similar, Star, Turn

_RUN = 3  # words
_NEAR = 0.5
_MOST = 5


def text_key(turn: Turn) -> str:
    """Equal for turns that differ in case and layout at most."""
    return key_of_text(signs(turn.question), turn.thought, turn.answer)


def similar_to(star: Star, others: Iterable[Star]) -> list[Similar]:
    """Others that ask nearly the same or just that, the nearest first."""
    mine = _phrases(star.turn.question)
    shares = (
        Similar(id=other.id, question=other.turn.question[:200], share=_jaccard(mine, _phrases(other.turn.question)))
        for other in others
        if other.id != star.id
    )
    return sorted((each for each in shares if each.share >= _NEAR), key=lambda each: -each.share)[:_MOST]


def _phrases(question: str) -> set[str]:
    said = words(question)
    return set(runs(said, min(_RUN, max(1, len(said)))))


def _jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(1, len(one | other))
