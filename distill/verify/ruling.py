"""What is found of one answer, and why."""

from __future__ import annotations

from typing import NamedTuple

from ...serve.reasoning import CLOSE_TAG, OPEN_TAG
from ..rows import Verdict


class Ruling(NamedTuple):
    """`extracted` is the answer as it was read out of the text, where one was; by it samples are compared."""

    verdict: Verdict
    reason: str
    extracted: str | None = None


def right(reason: str, extracted: str | None = None) -> Ruling:
    return Ruling("right", reason, extracted)


def wrong(reason: str, extracted: str | None = None) -> Ruling:
    return Ruling("wrong", reason, extracted)


def unknown(reason: str, extracted: str | None = None) -> Ruling:
    return Ruling("unknown", reason, extracted)


def after_thought(answer: str) -> str:
    """The text that counts: without a thought that was left in it. A thought that never closes is all there is."""
    _, closed, rest = answer.rpartition(CLOSE_TAG)
    if closed:
        return rest
    return "" if answer.lstrip().startswith(OPEN_TAG) else answer
