"""Questions about the vocabulary, answered in the child on a thread of their own: long texts hold nobody up."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Protocol

from .messages import PiecesQuery, QueryAnswer, TokenizeQuery
from .request import ModelInfo, Segment

logger = logging.getLogger(__name__)

Query = TokenizeQuery | PiecesQuery


class Vocabulary(Protocol):
    """The part of an engine that is asked."""

    @property
    def info(self) -> ModelInfo: ...
    def tokenize(self, prompt: tuple[Segment, ...]) -> list[int]: ...
    def token_text(self, token: int) -> bytes: ...


class QueryThread:
    """Answers in the order of the questions. `send` is called on this thread."""

    def __init__(self, send: Callable[[QueryAnswer], None]) -> None:
        self._send = send
        self._queue: SimpleQueue[tuple[Vocabulary, Query]] = SimpleQueue()
        Thread(target=self._run, name="queries", daemon=True).start()

    def ask(self, vocabulary: Vocabulary, query: Query) -> None:
        self._queue.put((vocabulary, query))

    def _run(self) -> None:
        """Never returns: what a dead thread was asked would wait for ever, so its end is the process's."""
        try:
            while True:
                self._send(answered(*self._queue.get()))
        except BaseException:
            logger.exception("answering a question failed")
            os._exit(1)


def answered(vocabulary: Vocabulary, query: Query) -> QueryAnswer:
    if isinstance(query, TokenizeQuery):
        tokens = tuple(vocabulary.tokenize(query.segments))
    elif bad := [token for token in query.tokens if not 0 <= token < vocabulary.info.n_vocab]:
        error = f"There is no token {bad[0]}; this model's are numbered up to {vocabulary.info.n_vocab - 1}."
        return QueryAnswer(query.query_id, error=error)
    else:
        tokens = query.tokens
    return QueryAnswer(query.query_id, tokens, tuple(map(vocabulary.token_text, tokens)))
