"""Log probabilities of tokens: what the model's row gives them, and when they go out with the text they stand for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..reasoning import CLOSE_TAG, TAGS
from .draw import largest
from .request import Channel, TokenLogprob

MAX_TOP = 20


class Ranking(NamedTuple):
    """A token's natural log probability, and the likeliest tokens in its place with theirs, likeliest first."""

    logprob: float
    top: list[tuple[int, float]]


def rank(logits: np.ndarray, token: int, n_top: int, scratch: np.ndarray) -> Ranking:
    """Of a row as the model gave it: float32 [n_vocab], its greatest finite. `scratch`, of its size, is overwritten."""
    greatest = logits.max()
    np.subtract(logits, greatest, out=scratch)
    np.exp(scratch, out=scratch)
    total = float(greatest) + float(np.log(scratch.sum(dtype=np.float64)))
    top: list[tuple[int, float]] = []
    if n_top:
        tokens = largest(logits, min(n_top, len(logits)))
        tokens = tokens[np.argsort(-logits[tokens], kind="stable")]
        top = [(int(token), float(logits[token]) - total) for token in tokens]
    return Ranking(float(logits[token]) - total, top)


@dataclass(slots=True)
class _Waiting:
    """Text of one token, with what came before it and was no text yet, and how much of it is out."""

    text: str = ""
    entries: list[TokenLogprob | None] = field(default_factory=list)
    n_out: int = 0


class LogprobQueue:
    """One request's log probabilities, with `n_top` others in each place, held back like their text.

    Tokens go out with the first of their text. Text that never goes out (tags, the blank lines beside them,
    stop strings) takes its tokens with it. It is found by its characters: what goes out is what was fed, in
    order, less what was left out. `drawn` has the log probability of every token all the same, None of one that
    nobody drew.
    """

    def __init__(self, n_top: int, *, in_thought: bool) -> None:
        self.n_top = n_top
        self.drawn: list[float | None] = []
        self._in_thought = in_thought
        self._waiting: deque[_Waiting] = deque()

    def note(self, entry: TokenLogprob | None) -> None:
        """A token was appended, perhaps the last."""
        self.drawn.append(entry.logprob if entry else None)

    def feed(self, text: str, entry: TokenLogprob | None) -> None:
        """A token was appended, and `text` is what it added; None for one that nobody drew."""
        if text in TAGS:
            return
        if not self._waiting or self._waiting[-1].text:
            self._waiting.append(_Waiting())
        self._waiting[-1].text = text
        self._waiting[-1].entries.append(entry)

    def drop(self, n: int) -> None:
        """The last `n` tokens were taken back."""
        del self.drawn[-n:]
        for _ in range(n):
            self._waiting[-1].entries.pop()
            if not self._waiting[-1].entries:
                self._waiting.pop()

    def take(self, channel: Channel, text: str) -> tuple[TokenLogprob, ...]:
        """The entries of tokens whose text begins to go out with `text`."""
        if self._in_thought and channel is Channel.CONTENT:
            self._skip_tag()
        self._in_thought = channel is Channel.REASONING
        return self._take(text)

    def _skip_tag(self) -> None:
        """Of a closing tag in several tokens."""
        head, tag, _ = "".join(waiting.text[waiting.n_out :] for waiting in self._waiting).partition(CLOSE_TAG)
        if tag:
            self._take(head + tag)

    def _take(self, text: str) -> tuple[TokenLogprob, ...]:
        taken: list[TokenLogprob] = []
        for character in text:
            while self._waiting and (at := self._waiting[0].text.find(character, self._waiting[0].n_out)) < 0:
                self._waiting.popleft()
            if not self._waiting:
                break
            first = self._waiting[0]
            first.n_out = at + 1
            taken += [entry for entry in first.entries if entry]
            first.entries.clear()
        return tuple(taken)
