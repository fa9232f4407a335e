"""The chunks of one reply from another server -> the engine's events, whatever that server calls things.

A thought comes in a field of its own, under either name, or in the text between its tags. Counts are the upstream's;
where it tells none, there are none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ...engine.governor import ReasoningEnd
from ...engine.request import (
    Channel,
    Finished,
    FinishReason,
    ThoughtEnded,
    Timings,
    TokenLogprob,
    TokenOutput,
    Usage,
)
from ...reasoning import Piece, ReasoningParser
from ...upstream.chunks import CallPiece, Chunk, ChunkChoice, Delta, FunctionPiece, UsageBody
from ..outputs import ToolCallDelta
from .logprobs import logprobs_of

UpstreamEvent = TokenOutput | ThoughtEnded | ToolCallDelta | Finished
_REASONS = {"length": FinishReason.LENGTH, "abort": FinishReason.ABORT}


class ReplyReader:
    """One reply. `opens_thought`: text without reasoning fields begins inside a thought. `begun`: text that some
    servers repeat before they go on with it. `budget` is what the thought was given; with `is_answer` there is none,
    and what stands where it would is the answer.
    """

    def __init__(
        self,
        request_id: str,
        *,
        opens_thought: bool = False,
        is_answer: bool = False,
        begun: str = "",
        budget: int | None = None,
    ) -> None:
        self.id = ""
        self.separates = False
        self._request_id = request_id
        self._parser = ReasoningParser(reasoning_open=opens_thought)
        self._is_answer = is_answer
        self._begun = begun
        self._budget = budget
        self._thought = _Thought()
        self._channel: Channel | None = None
        self._end: ThoughtEnded | None = None
        self._finish: ChunkChoice | None = None
        self._usage = UsageBody()
        self._timings: dict[str, Any] = {}
        self._n_new = self._n_told = 0
        self._calls: dict[int, int] = {}
        self._logprobs: list[TokenLogprob] = []
        self._clock = _Clock()

    def read(self, chunk: Chunk) -> Iterator[UpstreamEvent]:
        """What is certain with this chunk."""
        self.id = chunk.id or self.id
        self._usage = chunk.usage or self._usage
        self._timings = chunk.timings or self._timings
        self._n_new = max(self._n_new, (chunk.usage and chunk.usage.completion_tokens) or 0, _predicted(chunk.timings))
        if choice := chunk.choice:
            yield from self._read(choice)

    def finish(self) -> Iterator[UpstreamEvent]:
        """What is left once the last chunk was read, and the Finished."""
        yield from self._parsed(self._parser.flush())
        reason = _REASONS.get((self._finish and self._finish.finish_reason) or "", FinishReason.STOP)
        if self._channel is Channel.REASONING and self._end is None:
            cut = reason is not FinishReason.STOP
            yield self._ended(ReasoningEnd.LENGTH if cut else ReasoningEnd.EOS_IN_THINK)
        yield self._finished(reason)

    def aborted(self) -> Finished:
        """The end of a reply that this server gave up."""
        return self._finished(FinishReason.ABORT)

    def _read(self, choice: ChunkChoice) -> Iterator[UpstreamEvent]:
        delta = choice.delta or Delta()
        self._logprobs += logprobs_of(choice.logprobs)
        if delta.thought:
            self.separates = True
            if text := self._thought.feed(delta.thought):
                yield from self._say(Channel.REASONING, text)
        if choice.reasoning_end and choice.finish_reason is None:
            yield self._ended(choice.reasoning_end, choice.reasoning_tokens, choice.reasoning_end_evidence)
        if text := self._without_begun(delta.content or choice.text or ""):
            yield from self._answer(text)
        for call in delta.tool_calls or ():
            yield from self._call(call)
        if choice.finish_reason:
            self._finish = choice

    def _answer(self, text: str) -> Iterator[UpstreamEvent]:
        if self.separates:
            if self._channel is Channel.REASONING:
                text = text.lstrip("\n")
            if text:
                yield from self._say(Channel.CONTENT, text)
            return
        yield from self._parsed(self._parser.feed(text))

    def _parsed(self, pieces: list[Piece]) -> Iterator[UpstreamEvent]:
        for piece in pieces:
            yield from self._say(Channel.CONTENT if self._is_answer else Channel(piece.channel), piece.text)

    def _say(self, channel: Channel, text: str) -> Iterator[UpstreamEvent]:
        if channel is Channel.CONTENT:
            yield from self._close()
        self._channel = channel
        self._clock.token(channel)
        n_tokens, self._n_told = self._n_new - self._n_told, self._n_new
        logprobs, self._logprobs = tuple(self._logprobs), []
        if channel is Channel.REASONING:
            self._thought.n_tokens = self._n_new
        yield TokenOutput(self._request_id, channel, text, n_tokens, logprobs)

    def _close(self) -> Iterator[ThoughtEnded]:
        """Something that is no thought follows one."""
        if self._channel is Channel.REASONING and self._end is None:
            spent = self._budget is not None and self._thought.n_tokens >= self._budget
            yield self._ended(ReasoningEnd.BUDGET if spent else ReasoningEnd.NATURAL)

    def _ended(self, cause: str, tokens: int | None = None, evidence: str | None = None) -> ThoughtEnded:
        known = cause if cause in set(ReasoningEnd) else ReasoningEnd.NATURAL
        n_tokens = self._thought.n_tokens if tokens is None else tokens
        self._thought.n_tokens = n_tokens
        self._end = ThoughtEnded(self._request_id, str(known), n_tokens, evidence)
        return self._end

    def _call(self, call: CallPiece) -> Iterator[UpstreamEvent]:
        yield from self._close()
        self._clock.token(Channel.CONTENT)
        index, function = call.index or 0, call.function or FunctionPiece()
        arguments = function.arguments or ""
        if index not in self._calls:
            number = self._calls[index] = len(self._calls)
            yield ToolCallDelta(number, arguments, call.id or f"call_{number}", function.name or "")
        elif arguments:
            yield ToolCallDelta(self._calls[index], arguments)

    def _without_begun(self, text: str) -> str:
        """Drops the beginning while it is repeated word for word."""
        if not (self._begun and text):
            return text
        if text.startswith(self._begun):
            text, self._begun = text[len(self._begun) :], ""
        elif self._begun.startswith(text):
            text, self._begun = "", self._begun[len(text) :]
        else:
            self._begun = ""
        return text

    def _finished(self, reason: FinishReason) -> Finished:
        usage = self._usage
        stop = self._finish.stop_reason if self._finish else None
        counted = usage.detail("reasoning_tokens") or self._thought.n_tokens
        return Finished(
            self._request_id,
            reason,
            Usage(
                prompt_tokens=usage.prompt_tokens or 0,
                cached_tokens=usage.detail("cached_tokens"),
                completion_tokens=usage.completion_tokens or self._n_new,
                reasoning_tokens=counted,
                drafted_tokens=_int(self._timings.get("draft_n")),
                accepted_tokens=_int(self._timings.get("draft_n_accepted")),
            ),
            self._clock.timings(),
            reasoning_end=self._end.cause if self._end else None,
            evidence=self._end.evidence if self._end else None,
            stop=stop if isinstance(stop, str) else None,
        )


class _Thought:
    """A thought from a field of its own, without the newlines that touch its tags. `n_tokens`: so far."""

    def __init__(self) -> None:
        self.n_tokens = 0
        self._begun = False
        self._newlines = 0

    def feed(self, text: str) -> str:
        """What certainly belongs to it; newlines wait for what follows."""
        if not self._begun:
            text = text.lstrip("\n")
        body = text.rstrip("\n")
        waiting, self._newlines = self._newlines, len(text) - len(body)
        if not body:
            self._newlines += waiting
            return ""
        self._begun = True
        return "\n" * waiting + body


class _Clock:
    """When things came, as seen from here."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._first: dict[Channel, float] = {}
        self._last = self._began

    def token(self, channel: Channel) -> None:
        self._last = time.perf_counter()
        self._first.setdefault(channel, self._last)

    def timings(self) -> Timings:
        if not self._first:
            return Timings()
        first, answer = min(self._first.values()), self._first.get(Channel.CONTENT, self._last)
        return Timings(prefill_s=first - self._began, reasoning_s=answer - first, answer_s=self._last - answer)


def _predicted(timings: dict[str, Any] | None) -> int:
    return _int((timings or {}).get("predicted_n"))


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
