"""What a base model reads: worked problems as plain text, without roles and tags."""

from __future__ import annotations

from ...serve.models.templates import BOS, EOS
from ..problems import Problem
from .conversations import problem_at

# Conversations take the turns before: a model that has read these meets nothing there for the second time.
TURN = 3


def document_at(index: int) -> tuple[str, str]:
    """(the beginning of a text, the text with the end token): all of it is learnt."""
    return BOS, f"{as_text(problem_at(index, TURN))}{EOS}"


def text_at(index: int) -> str:
    """A text alone."""
    return as_text(problem_at(index, TURN))


def as_text(problem: Problem) -> str:
    """A problem with the way to its answer, one after the other."""
    return f"{problem.prompt}\n{problem.reasoning}\n\n{problem.answer}"
