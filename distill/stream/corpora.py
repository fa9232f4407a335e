"""The corpora by their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import conversations, documents, zero
from .batches import ExampleAt
from .config import CorpusName


@dataclass(frozen=True)
class Corpus:
    """`text_at`: an example without roles and tags, which the vocabulary is learnt from."""

    example_at: ExampleAt
    text_at: Callable[[int], str]


def find_corpus(name: CorpusName) -> Corpus:
    """The corpus of a training."""
    return _CORPORA[name]


_CORPORA: dict[CorpusName, Corpus] = {
    "documents": Corpus(documents.document_at, documents.text_at),
    "zero": Corpus(zero.example_at, zero.text_at),
    "conversations": Corpus(conversations.conversation_at, conversations.text_at),
}
