"""Bytes of tokens in, certain text out. The order is: bytes, UTF-8, thought or answer, stop strings.

Stop strings are looked for in the answer only. Text that may still become part of a character, a tag or
a stop string is held back until the next token decides.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from ..reasoning import CLOSE_TAG, OPEN_TAG, Piece, ReasoningParser, ReasoningState, n_overlapping
from .request import Channel

# No decoded text holds half of a surrogate pair.
_NO_TAG = "\ud800"


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Text of one channel, and how many of its tokens were counted since the delta before."""

    channel: Channel
    text: str
    tokens: int


class Detokenizer:
    """One per request. `stopped` turns true with the first stop string; nothing may be fed after it.

    `in_answer` turns true behind the thought, or with the first answer text where there is no thought;
    `has_answer` with the first of it that is no blank. `text` is what the last token added, not yet split.
    With `quotes_tags` tags in the answer are text like any other; none opens a thought but by `begin_thought`.
    """

    def __init__(self, *, reasoning_open: bool, stop: tuple[str, ...] = (), quotes_tags: bool = False) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        open_tag = _NO_TAG if quotes_tags and not reasoning_open else OPEN_TAG
        self._parser = ReasoningParser(reasoning_open=reasoning_open, open_tag=open_tag)
        self.quotes_tags = quotes_tags
        self._counter = _TokenCounter()
        self._tags: _LaterTags | None = None
        self._stop = StopStrings(stop)
        self._known: tuple[Channel, int] | None = None
        self.in_answer = False
        self.has_answer = False
        self.text = ""

    @property
    def stopped(self) -> bool:
        return bool(self._stop.found)

    @property
    def stop_string(self) -> str | None:
        """The one that was found."""
        return self._stop.found or None

    @property
    def reasoning_tokens(self) -> int:
        """Of the whole thought."""
        return self._counter.reasoning + self._counter.undecided

    @property
    def new_reasoning_tokens(self) -> int:
        """Of the thought, without those that were taken over."""
        return self.reasoning_tokens - self._counter.n_known

    @property
    def state(self) -> ReasoningState:
        return self._parser.state

    @property
    def partial_tag(self) -> str:
        """The end of the text so far, where it may become a tag. Half a character behind it makes it none."""
        return "" if self.in_character else self._parser.partial_tag

    @property
    def in_character(self) -> bool:
        """The last token ended inside a character."""
        return bool(self._utf8.getstate()[0])

    def closes_with(self, piece: bytes) -> bool:
        """Whether this token would end the thought."""
        return self._parser.in_reasoning and CLOSE_TAG in self.partial_tag + piece.decode(errors="replace")

    def drop_partial_tag(self) -> int:
        """Unsays a closing tag that has been begun; returns how many tokens that takes back.

        0, and nothing is unsaid, where the tag begins inside a token.
        """
        n_dropped = self._counter.drop_from(self._parser.thought_end) if self.partial_tag else 0
        if n_dropped:
            self._parser.drop_partial_tag()
        return n_dropped

    def begin_thought(self) -> None:
        """The reply's first token opens a thought, where tags would be text."""
        self._parser = ReasoningParser(reasoning_open=True)
        self.text = OPEN_TAG

    def hide_later_tags(self) -> None:
        """Closing tags inside the answer are no part of it, from now on, unless it quotes them."""
        if not self.quotes_tags:
            self._tags = self._tags or _LaterTags()

    def take_over(self, piece: bytes, *, echo: bool = False) -> list[TextDelta]:
        """The bytes of a token that was there before: it counts for nothing, no stop string is looked for in it, and
        its text does not come out, unless as the `echo`.
        """
        stop, self._stop = self._stop, StopStrings(())
        deltas = [TextDelta(delta.channel, delta.text, 0) for delta in self.feed(piece)]
        self._stop = stop
        self._counter.know_all()
        channel = Channel.REASONING if self._parser.in_reasoning else Channel.CONTENT
        self._known = None if echo else (channel, len(self._parser.pending))
        if self._tags and not echo:
            self._tags.know()
        return deltas if echo else []

    def feed(self, piece: bytes) -> list[TextDelta]:
        """One token's bytes."""
        self.text = text = self._utf8.decode(piece)
        was_in_thought = self._parser.in_reasoning
        pieces = self._parser.feed(text)
        self._counter.count(len(text), was_in_thought, self._parser)
        if self._parser.state == "content":
            self.in_answer = True
        deltas = self._deltas(pieces)
        if self.in_answer and self._parser.state == "start" and self._stop.is_in(self._parser.newlines):
            deltas += self._deltas(self._parser.flush())  # whatever follows: the answer ends here
        return deltas

    def finish(self) -> list[TextDelta]:
        """The generation is over: whatever is still held back is plain text."""
        pieces = self._parser.feed(self._utf8.decode(b"", final=True)) + self._parser.flush()
        self._counter.decide_all()
        deltas = self._deltas(pieces)
        rest = (self._stop.feed(self._tags.flush()) if self._tags else "") + self._stop.flush()
        return [*deltas, self._delta(Channel.CONTENT, rest)] if rest else deltas

    def _deltas(self, pieces: list[Piece]) -> list[TextDelta]:
        deltas = []
        for piece in pieces:
            channel = Channel(piece.channel)
            text = self._new(channel, piece.text)
            if channel is Channel.CONTENT:
                self.in_answer = True
                text = self._tags.feed(text) if self._tags else text
                self.has_answer = self.has_answer or bool(text.strip())
                text = self._stop.feed(text)
            if text:
                deltas.append(self._delta(channel, text))
        return deltas

    def _new(self, channel: Channel, text: str) -> str:
        """Without what was held back of text that was taken over."""
        if self._known is None:
            return text
        known_channel, n_known = self._known
        rest = n_known - len(text)
        self._known = (channel, rest) if channel is known_channel and rest > 0 else None
        return text[n_known:] if channel is known_channel else text

    def _delta(self, channel: Channel, text: str) -> TextDelta:
        return TextDelta(channel, text, self._counter.take(channel))


class _TokenCounter:
    """Tokens of the thought: those after the opening tag that are no part of the closing one.

    A tag may be spread over several tokens, and its last one may run on into the answer. So tokens that
    reach into a possible tag stay undecided, by where their text lies, until the parser has decided.
    """

    def __init__(self) -> None:
        self.reasoning = 0
        self.n_known = 0
        self._content = 0
        self._taken = {Channel.REASONING: 0, Channel.CONTENT: 0}
        self._n_chars = 0
        self._undecided: list[tuple[int, int]] = []

    @property
    def undecided(self) -> int:
        return len(self._undecided)

    def count(self, n_chars: int, was_in_thought: bool, parser: ReasoningParser) -> None:
        """One token's text, which the parser was fed."""
        start, self._n_chars = self._n_chars, self._n_chars + n_chars
        if was_in_thought:
            self._undecided.append((start, self._n_chars))
        elif not parser.in_reasoning:
            self._content += 1
        self._decide(parser.thought_end)
        if not parser.in_reasoning:
            self._undecided.clear()
            self.n_known = min(self.n_known, self.reasoning)

    def know_all(self) -> None:
        """What was counted so far was there before."""
        self.n_known = self.reasoning + self.undecided
        self._content = 0
        self._taken = {Channel.REASONING: 0, Channel.CONTENT: 0}

    def drop_from(self, thought_end: int) -> int:
        """Forgets the tokens behind the thought's certain part, unless one of them holds some of that too, or was
        there before.
        """
        if not self._undecided or self._undecided[0][0] < thought_end or self.reasoning < self.n_known:
            return 0
        n_dropped = len(self._undecided)
        self._undecided.clear()
        self._n_chars = thought_end
        return n_dropped

    def decide_all(self) -> None:
        self._decide(self._n_chars)

    def take(self, channel: Channel) -> int:
        """Tokens of `channel` counted and not yet taken."""
        total = max(0, self.reasoning - self.n_known) if channel is Channel.REASONING else self._content
        fresh = total - self._taken[channel]
        self._taken[channel] = total
        return fresh

    def _decide(self, end: int) -> None:
        """Tokens whose text ends at or before `end` belong to the thought."""
        kept = [span for span in self._undecided if span[1] > end]
        self.reasoning += len(self._undecided) - len(kept)
        self._undecided = kept


class _LaterTags:
    """Takes closing tags out of the answer."""

    def __init__(self) -> None:
        self._held = ""
        self._n_known = 0

    def know(self) -> None:
        """What is held back was said before."""
        self._n_known = len(self._held)

    def feed(self, text: str) -> str:
        """The text that is certain now."""
        text = self._held + text
        if text.startswith(CLOSE_TAG):
            self._n_known = 0
        while CLOSE_TAG in text:
            text = text.replace(CLOSE_TAG, "")
        certain = len(text) - n_overlapping(text, CLOSE_TAG)
        self._held = text[certain:]
        begin = min(self._n_known, certain)
        self._n_known -= begin
        return text[begin:certain]

    def flush(self) -> str:
        held, self._held = self._held[self._n_known :], ""
        return held


class StopStrings:
    """Cuts text before the stop string that is complete first; `found` is that one."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self._held = ""
        self.found = ""

    def feed(self, text: str) -> str:
        """The text that is certain now."""
        if not self._stop or self.found:
            return "" if self.found else text
        text = self._held + text
        self._held = ""
        if matches := [(at + len(stop), at, stop) for stop in self._stop if (at := text.find(stop)) >= 0]:
            _, at, self.found = min(matches)
            return text[:at]
        n_held = max(n_overlapping(text, stop) for stop in self._stop)
        certain = len(text) - n_held
        self._held = text[certain:]
        return text[:certain]

    def is_in(self, text: str) -> bool:
        """Whether this text would complete one."""
        return any(stop in self._held + text for stop in self._stop)

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held
