"""Splits generated text into the thought and the answer. Pure text: knows no tokens, no wire, no engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

OPEN_TAG, CLOSE_TAG = TAGS = ("<think>", "</think>")
ReasoningState = Literal["start", "reasoning", "content"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text whose channel is certain; never empty."""

    channel: Literal["reasoning", "content"]
    text: str


class ReasoningParser:
    """Feeds text in, gets pieces out; the same pieces' text however the input is cut, in linear time.

    The first opening tag begins the thought and the first closing tag ends it; every later tag is
    literal text. Newlines touching either tag are dropped. Text that may still become a tag, and
    newlines that may still touch one, are held back until the next text decides, or `flush`.

    With `reasoning_open` the prompt already wrote the opening tag: parsing starts inside the thought,
    and one opening tag that the model repeats at the very beginning is swallowed.
    """

    def __init__(self, *, reasoning_open: bool, open_tag: str = OPEN_TAG, close_tag: str = CLOSE_TAG) -> None:
        self._open_tag = open_tag
        self._close_tag = close_tag
        self._state: ReasoningState = "reasoning" if reasoning_open else "start"
        self._after_tag = reasoning_open
        self._may_repeat_open = reasoning_open
        # Newlines are counted, not stored, so that a storm of them is not rescanned at each feed.
        self._newlines = 0
        self._partial = ""
        self._n_fed = 0
        self._closed_at = 0

    @property
    def state(self) -> ReasoningState:
        """start: no opening tag yet, text is content. reasoning: inside. content: the closing tag was seen."""
        return self._state

    @property
    def in_reasoning(self) -> bool:
        """True after the opening tag until the closing one is complete."""
        return self._state == "reasoning"

    @property
    def thought_end(self) -> int:
        """Characters fed so far, up to a closing tag or what may become one. 0 before the thought."""
        if self._state == "reasoning":
            return self._n_fed - len(self._partial)
        return self._closed_at

    @property
    def partial_tag(self) -> str:
        """What may become a tag: the end of the text so far, if it is held back for that."""
        return self._partial

    @property
    def newlines(self) -> str:
        """Those that are held back because a tag may follow."""
        return "\n" * self._newlines

    @property
    def held(self) -> bool:
        """True while some text is held back."""
        return bool(self._partial or self._newlines)

    @property
    def pending(self) -> str:
        """The text held back; after its newlines at most one character less than a tag."""
        return self.newlines + self._partial

    def feed(self, text: str) -> list[Piece]:
        """The pieces that became certain with `text`, in order."""
        pieces: list[Piece] = []
        buffer = self._partial + text
        self._partial = ""
        self._n_fed += len(text)
        while buffer:
            buffer = self._advance(buffer, pieces)
        return pieces

    def drop_partial_tag(self) -> None:
        """As if `partial_tag` had never been fed."""
        self._n_fed -= len(self._partial)
        self._partial = ""

    def flush(self) -> list[Piece]:
        """The end of the text: what was held back is no tag after all."""
        pieces: list[Piece] = []
        self._emit(self._partial, pieces, keep_newlines=True)
        self._partial = ""
        return pieces

    def _advance(self, buffer: str, pieces: list[Piece]) -> str:
        """Consumes `buffer` up to and with the next tag; returns the rest."""
        was_after_tag = self._after_tag
        if self._after_tag:
            buffer = buffer.lstrip("\n")
            if self._may_repeat_open:
                if buffer.startswith(self._open_tag):
                    self._may_repeat_open = False
                    return buffer[len(self._open_tag) :]
                if self._open_tag.startswith(buffer):
                    self._partial = buffer
                    return ""
            if not buffer:
                return ""
            self._after_tag = self._may_repeat_open = False
        if self._state == "content":
            pieces.append(Piece("content", buffer))
            return ""
        tag = self._close_tag if self._state == "reasoning" else self._open_tag
        at = buffer.find(tag)
        if at < 0:
            self._hold_back(buffer, tag, pieces)
            self._after_tag = was_after_tag and self._partial == buffer
            return ""
        self._emit(buffer[:at].rstrip("\n"), pieces)
        self._newlines = 0
        if self._state == "reasoning":
            self._closed_at = self._n_fed - len(buffer) + at
        self._state = "content" if self._state == "reasoning" else "reasoning"
        self._after_tag = True
        return buffer[at + len(tag) :]

    def _hold_back(self, buffer: str, tag: str, pieces: list[Piece]) -> None:
        """Emits what cannot belong to a tag any more and keeps the rest."""
        body = buffer[: len(buffer) - n_overlapping(buffer, tag)]
        self._partial = buffer[len(body) :]
        text = body.rstrip("\n")
        self._emit(text, pieces)
        self._newlines += len(body) - len(text)

    def _emit(self, text: str, pieces: list[Piece], *, keep_newlines: bool = False) -> None:
        """Appends `text` behind the newlines held before it; newlines alone stay held unless told."""
        if not text and not (keep_newlines and self._newlines):
            return
        channel: Literal["reasoning", "content"] = "reasoning" if self.in_reasoning else "content"
        pieces.append(Piece(channel, "\n" * self._newlines + text))
        self._newlines = 0


class Split(NamedTuple):
    """A whole text in its parts; `state` is where it ends."""

    thought: str
    answer: str
    state: ReasoningState


def split(text: str, *, reasoning_open: bool) -> Split:
    """What a ReasoningParser makes of a text that is all there."""
    parser = ReasoningParser(reasoning_open=reasoning_open)
    pieces = parser.feed(text) + parser.flush()
    thought, answer = (
        "".join(piece.text for piece in pieces if piece.channel == channel) for channel in ("reasoning", "content")
    )
    return Split(thought, answer, parser.state)


def ends_in_thought(prompt: str) -> bool:
    """Whether the prompt's last words open a thought."""
    return prompt.rstrip().endswith(OPEN_TAG)


def n_overlapping(text: str, tag: str) -> int:
    """How long the longest ending of `text` is that `tag` may begin with."""
    longest = min(len(text), len(tag) - 1)
    return next((n for n in range(longest, 0, -1) if tag.startswith(text[-n:])), 0)
