"""Whether a person could read an answer, by rules alone, and how far its thought mixes languages."""

from __future__ import annotations

from ...serve.reasoning import TAGS
from ..filter.language import language_share
from ..filter.repetition import check_repetition
from ..rows import SampleRow

# As the traces that are trained on must keep to it.
LANGUAGE_SHARE = 0.95


def readable(row: SampleRow, language: str = "en") -> bool:
    """Whether the reply is one closed thought with an answer behind it, each in its place and neither empty, that
    ended by itself, goes round in no circles, and keeps to the language. Right or wrong plays no part.

    These are the faults DeepSeek-R1 names in R1-Zero: poor readability and mixed languages (arXiv:2501.12948,
    section 2.2.4). Raises DistillError for a language whose script is not known.
    """
    if row.reasoning is None or row.finish_reason != "stop":
        return False
    if not row.reasoning.strip() or not row.answer.strip():
        return False
    if any(tag in text for tag in TAGS for text in (row.reasoning, row.answer)):
        return False
    return mixing(row, language) <= 1 - LANGUAGE_SHARE and check_repetition(f"{row.reasoning}\n{row.answer}") is None


def mixing(row: SampleRow, language: str = "en") -> float:
    """The share of the thought's words, 0..1, in another script than the language's; without a closed thought, of
    the whole reply. Raises DistillError for a language whose script is not known.
    """
    return 1 - language_share(row.answer if row.reasoning is None else row.reasoning, language)
