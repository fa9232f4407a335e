"""Bytes of tokens in, certain text out. The order is: bytes, UTF-8, thought or answer, stop strings.

Stop strings are looked for in the answer only. Text that may still become part of a character, a tag or
a stop string is held back until the next token decides.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from ..reasoning import Piece, ReasoningParser
from .request import Channel

CLOSE_TAG = "</think>"


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Text of one channel, and how many of its tokens were counted since the delta before."""

    channel: Channel
    text: str
    tokens: int


class Detokenizer:
    """One per request. `stopped` turns true with the first stop string; nothing may be fed after it.

    `in_answer` turns true behind the thought, or with the first answer text where there is no thought.
    """

    def __init__(self, *, reasoning_open: bool, stop: tuple[str, ...] = ()) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._parser = ReasoningParser(reasoning_open=reasoning_open, close_tag=CLOSE_TAG)
        self._counter = _TokenCounter()
        self._stop = StopStrings(stop)
        self.in_answer = False

    @property
    def stopped(self) -> bool:
        return self._stop.found

    @property
    def reasoning_tokens(self) -> int:
        return self._counter.reasoning + self._counter.undecided

    def feed(self, piece: bytes) -> list[TextDelta]:
        """One token's bytes."""
        text = self._utf8.decode(piece)
        state = self._parser.state
        pieces = self._parser.feed(text)
        self._counter.count(text, state, self._parser)
        if self._parser.state == "content":
            self.in_answer = True
        return self._deltas(pieces)

    def finish(self) -> list[TextDelta]:
        """The generation is over: whatever is still held back is plain text."""
        pieces = self._parser.feed(self._utf8.decode(b"", final=True)) + self._parser.flush()
        self._counter.decide_all()
        deltas = self._deltas(pieces)
        rest = self._stop.flush()
        return [*deltas, self._delta(Channel.CONTENT, rest)] if rest else deltas

    def _deltas(self, pieces: list[Piece]) -> list[TextDelta]:
        deltas = []
        for piece in pieces:
            channel = Channel(piece.channel)
            text = piece.text
            if channel is Channel.CONTENT:
                self.in_answer = True
                text = self._stop.feed(text)
            if text:
                deltas.append(self._delta(channel, text))
        return deltas

    def _delta(self, channel: Channel, text: str) -> TextDelta:
        return TextDelta(channel, text, self._counter.take(channel))


class _TokenCounter:
    """Tokens of the thought: those after the opening tag that are no part of the closing one.

    A tag may be spread over several tokens, and its last one may run on into the answer. So tokens that
    reach into held-back text stay undecided, by where their text ends, until the parser has decided.
    """

    def __init__(self) -> None:
        self.reasoning = 0
        self._content = 0
        self._taken = {Channel.REASONING: 0, Channel.CONTENT: 0}
        self._n_chars = 0
        self._undecided: list[int] = []
        self._maybe_tag = ""

    @property
    def undecided(self) -> int:
        return len(self._undecided)

    def count(self, text: str, state: str, parser: ReasoningParser) -> None:
        """One token's `text`, which the parser was fed in `state`."""
        self._n_chars += len(text)
        seen = self._maybe_tag + text
        if state == "reasoning":
            self._undecided.append(self._n_chars)
        if parser.state == "reasoning":
            n_held = _n_overlapping(seen, CLOSE_TAG)
            self._maybe_tag = seen[len(seen) - n_held :]
            self._decide(self._n_chars - n_held)
        elif state == "reasoning":
            self._decide(self._n_chars - len(seen) + seen.index(CLOSE_TAG))
            self._undecided.clear()
        else:
            self._content += 1

    def decide_all(self) -> None:
        self._decide(self._n_chars)

    def take(self, channel: Channel) -> int:
        """Tokens of `channel` counted and not yet taken."""
        total = self.reasoning if channel is Channel.REASONING else self._content
        fresh = total - self._taken[channel]
        self._taken[channel] = total
        return fresh

    def _decide(self, end: int) -> None:
        """Tokens whose text ends at or before `end` belong to the thought."""
        kept = [token_end for token_end in self._undecided if token_end > end]
        self.reasoning += len(self._undecided) - len(kept)
        self._undecided = kept


class StopStrings:
    """Cuts text before the stop string that is complete first; `found` once there was one."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """The text that is certain now."""
        if not self._stop or self.found:
            return "" if self.found else text
        text = self._held + text
        self._held = ""
        if matches := [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]:
            self.found = True
            return text[: min(matches)[1]]
        n_held = max(_n_overlapping(text, stop) for stop in self._stop)
        certain = len(text) - n_held
        self._held = text[certain:]
        return text[:certain]

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held


def _n_overlapping(text: str, stop: str) -> int:
    """How long the longest ending of `text` is that a stop string may begin with."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)
