"""Which stars are the same, and which ask nearly the same: by distill's own reading of wording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from ...distill.filter.duplicates import text_key as key_of_text
from ...distill.filter.wording import signs, words
from .records import Similar, Star, Turn

_NEAR = 0.7
_MOST = 5
# Of a question; what follows is a text that it is about.
_WORDS = 300


def text_key(turn: Turn) -> str:
    """Equal for turns that differ in case and layout at most."""
    return key_of_text(signs(turn.question), turn.thought, turn.answer)


def similar_to(star: Star, others: Iterable[Star]) -> list[Similar]:
    """Others that ask just that or nearly so, the nearest first. Those with other numbers only are among them, as a
    person may want few of one kind.
    """
    found = sorted(_near(star, others), key=lambda pair: -pair[0])[:_MOST]
    return [Similar(id=other.id, question=other.turn.question[:200], share=share) for share, other in found]


def _near(star: Star, others: Iterable[Star]) -> Iterator[tuple[float, Star]]:
    # what is set second is looked through once for all
    matcher = SequenceMatcher[str](autojunk=False)
    matcher.set_seq2(words(star.turn.question)[:_WORDS])
    for other in others:
        matcher.set_seq1(words(other.turn.question)[:_WORDS])
        if other.id == star.id or matcher.real_quick_ratio() < _NEAR or matcher.quick_ratio() < _NEAR:
            continue
        if (share := matcher.ratio()) >= _NEAR:
            yield share, other
