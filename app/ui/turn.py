"""A question and its reply as the page shows them: fed by the client's events, read as snapshots.

Knows nothing of Gradio or HTTP. Lives on the server's event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

from ...serve.client import ContentDelta, Done, ReasoningDelta
from ...serve.errors import R1ChatError
from .markup import GrowingMarkup, render

logger = logging.getLogger(__name__)

State = Literal["waiting", "thinking", "answering", "done", "stopped", "failed"]
Event = ReasoningDelta | ContentDelta | Done
REFRESH_S = 0.1


@dataclass
class Text:
    """A text that arrives in pieces. A delta stands for a token until the server has counted."""

    whole: str = ""
    tokens: int = 0
    _pieces: list[str] = field(default_factory=list)

    def append(self, piece: str) -> None:
        self._pieces.append(piece)
        self.tokens += 1

    def join(self) -> str:
        """Adds what came since the last call to `whole` and returns it: one long copy per look, not per token."""
        new = "".join(self._pieces)
        self._pieces.clear()
        self.whole += new
        return new


class Turn:
    """One exchange. It always ends: done, stopped by the person, or failed; the text so far is kept."""

    def __init__(self, question: str) -> None:
        self.id = uuid4().hex
        self.question = question
        self.state: State = "waiting"
        self.thought, self.answer = Text(), Text()
        self.note = self.error = ""
        self._markup = GrowingMarkup()
        self._began = time.monotonic()
        self._thought_began: float | None = None
        self._header = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def live(self) -> bool:
        """Whether more may come."""
        return self.state in ("waiting", "thinking", "answering")

    async def play(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[dict[str, Any], None]:
        """Reads `events` to their end; yields a snapshot at most ten times a second, and a last one.

        Closing the generator early closes `events`, and with them the request.
        """
        self._task = asyncio.create_task(self._read(events))
        try:
            shown: dict[str, Any] = {}
            while not self._task.done():
                await asyncio.wait({self._task}, timeout=REFRESH_S)
                if self.live and (snapshot := self.snapshot()) != shown:
                    shown = snapshot
                    yield snapshot
        finally:
            self.stop()
            await asyncio.wait({self._task})
        yield await self._finished()

    def stop(self) -> None:
        """Ends the turn where it stands; harmless when it has ended."""
        if self._task is not None:
            self._task.cancel()

    def snapshot(self) -> dict[str, Any]:
        """What the page draws. While live, `trace` and `html` only grow, so that only additions travel."""
        self.thought.join()
        self._markup.feed(self.answer.join())
        return {
            "id": self.id,
            "state": self.state,
            "live": self.live,
            "question": self.question,
            "trace": self.thought.whole,
            "tokens": self.thought.tokens,
            "header": self._header,
            "html": self._markup.html,
            "tail": self._markup.tail,
            "answer": "" if self.live else self.answer.whole,
            "note": self.note,
            "error": self.error,
        }

    async def _finished(self) -> dict[str, Any]:
        snapshot = self.snapshot()
        # A long answer takes a while to lay out; other requests go on meanwhile.
        html = await asyncio.to_thread(render, self.answer.whole)
        return snapshot | {"html": html, "tail": ""}

    async def _read(self, events: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    self._take(event)
        except R1ChatError as error:
            self._break_off("failed")
            self.error = str(error)
        except asyncio.CancelledError:
            self._break_off("stopped")
        except Exception:
            logger.exception("the page cannot show a reply")
            self._break_off("failed")
            self.error = "Something went wrong on the page's side; the server's log says what."

    def _take(self, event: Event) -> None:
        if isinstance(event, ReasoningDelta):
            self._enter("thinking")
            self.thought.append(event.text)
        elif isinstance(event, ContentDelta):
            self._enter("answering")
            self.answer.append(event.text)
        else:
            self._complete(event)

    def _enter(self, state: State) -> None:
        if state == self.state:
            return
        if state == "thinking":
            self._thought_began = time.monotonic()
        else:
            self._close_thought("Thought")
        self.state = state

    def _complete(self, done: Done) -> None:
        self._close_thought("Thought")
        details = done.usage.get("completion_tokens_details") or {}
        self.thought.tokens = details.get("reasoning_tokens") or self.thought.tokens
        seconds = (done.timings.get("reasoning_ms") or 0) / 1000
        if self._header and seconds:
            rate = self.thought.tokens / seconds
            self._header = f"Thought {_seconds(seconds)} · {self.thought.tokens} tok · {rate:.0f} tok/s"
        if done.finish_reason == "length":
            self.note = "Cut off: the reply reached its token limit."
        elif self.state != "answering":
            self.note = "The model ended without an answer."
        self.state = "done"

    def _break_off(self, state: State) -> None:
        if not self.live:
            return
        if self.state == "thinking":
            self._close_thought("Stopped after" if state == "stopped" else "Broke off after")
        elif state == "stopped":
            self.note = f"Stopped after {_seconds(time.monotonic() - self._began)}"
        self.state = state

    def _close_thought(self, verb: str) -> None:
        if self._thought_began is not None and not self._header:
            seconds = _seconds(time.monotonic() - self._thought_began)
            self._header = f"{verb} {seconds} · {self.thought.tokens} tok"


def _seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds} s"
