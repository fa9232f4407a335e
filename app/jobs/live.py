"""A reply while it is written: its text so far, what it does, and the record that stays of it.

Knows no task, no store and no page; fed by the client's events. Taking one costs the same however long the text is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from ...serve.client import ContentDelta, Done, ReasoningDelta
from ..conversations.records import Message, State

Event = ReasoningDelta | ContentDelta | Done
Phase = Literal["waiting", "thinking", "answering"]


class Pieces:
    """A text that grows; each reader keeps the number of pieces that it has had."""

    def __init__(self, text: str = "") -> None:
        self._pieces = [text] if text else []

    def __len__(self) -> int:
        return len(self._pieces)

    def append(self, piece: str) -> None:
        self._pieces.append(piece)

    def since(self, n_had: int) -> str:
        """What came after the first `n_had` pieces."""
        return "".join(self._pieces[n_had:])


class LiveReply:
    """`message` is the record as it was when writing began or went on: what its texts hold is there already.

    A delta stands for a token until the server has counted. `position` replies have to end before it is served;
    None: it is, or that is not known.
    """

    def __init__(self, message: Message, clock: Callable[[], float] = time.monotonic) -> None:
        self.message = message
        self.reasoning = Pieces(message.reasoning)
        self.content = Pieces(message.content)
        self.phase: Phase = "waiting"
        self.position: int | None = None
        self.model = message.model
        self.reply_id = ""
        self._clock = clock
        self._began = clock()
        self._thought_began: float | None = None
        self._thought_ended: float | None = None
        self._first_at: float | None = None
        self._n_thought = self._n_answer = 0
        # known before the end, which may be a Stop
        self._reasoning_end = message.reasoning_end
        self._done: Done | None = None

    @property
    def id(self) -> str:
        return self.message.id

    @property
    def conversation(self) -> str:
        return self.message.conversation

    @property
    def reasoning_tokens(self) -> int:
        return self.message.reasoning_tokens + self._n_thought

    @property
    def answer_tokens(self) -> int:
        return self.message.answer_tokens + self._n_answer

    @property
    def thinking_s(self) -> float:
        if self._thought_began is None:
            return self.message.thinking_s
        until = self._clock() if self._thought_ended is None else self._thought_ended
        return self.message.thinking_s + until - self._thought_began

    @property
    def total_s(self) -> float:
        return self.message.total_s + self._clock() - self._began

    @property
    def tokens_per_s(self) -> float:
        """Of what is new; 0 where there is too little to tell."""
        if self._first_at is None:
            return 0.0
        taken = self._clock() - self._first_at
        return (self._n_thought + self._n_answer) / taken if taken > 0.2 else 0.0

    def take(self, event: Event) -> None:
        if isinstance(event, Done):
            self._done = event
            self.reply_id = event.id or self.reply_id
            return
        self.reply_id = event.id or self.reply_id
        now = self._clock()
        self.position = None
        self._first_at = now if self._first_at is None else self._first_at
        if isinstance(event, ReasoningDelta):
            self._thought_began = now if self._thought_began is None else self._thought_began
            self.phase = "thinking"
            self.reasoning.append(event.text)
            self._n_thought += 1
        else:
            self._end_thought(now)
            self._reasoning_end = event.reasoning_end or self._reasoning_end
            self.phase = "answering"
            self.content.append(event.text)
            self._n_answer += 1

    def snapshot(self) -> Message:
        """The record as it stands, still live."""
        return msgspec.structs.replace(
            self.message,
            model=self.model,
            reasoning=self.reasoning.since(0),
            content=self.content.since(0),
            reply_id=self.reply_id or self.message.reply_id,
            reasoning_end=self._reasoning_end,
            reasoning_tokens=self.reasoning_tokens,
            answer_tokens=self.answer_tokens,
            thinking_s=self.thinking_s,
            total_s=self.total_s,
        )

    def ended(self, state: State, error: str = "") -> Message:
        """The record that stays. What the server counted goes before what was counted here."""
        self._end_thought(self._clock())
        ended = msgspec.structs.replace(self.snapshot(), state=state, error=error)
        return ended if self._done is None else msgspec.structs.replace(ended, **self._told(self._done))

    def _told(self, done: Done) -> dict[str, Any]:
        told: dict[str, Any] = {
            # A thought whose vote could change nothing any more did not come to its end.
            **({"state": "stopped"} if done.finish_reason == "stopped" else {}),
            "finish_reason": done.finish_reason or None,
            "reasoning_end": done.reasoning_end or self._reasoning_end,
            "usage": done.usage,
            "timings": done.timings,
        }
        n_thought = (done.usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
        n_all = done.usage.get("completion_tokens")
        if isinstance(n_thought, int) and isinstance(n_all, int):
            told["reasoning_tokens"] = self.message.reasoning_tokens + n_thought
            told["answer_tokens"] = self.message.answer_tokens + max(0, n_all - n_thought)
        if thinking_ms := done.timings.get("reasoning_ms"):
            told["thinking_s"] = self.message.thinking_s + thinking_ms / 1000
        return told

    def _end_thought(self, now: float) -> None:
        if self._thought_began is not None and self._thought_ended is None:
            self._thought_ended = now
