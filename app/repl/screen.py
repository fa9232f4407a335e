"""What a conversation writes to the terminal: answers to stdout, everything else dim to stderr."""

from __future__ import annotations

import json
import sys

from ..commands.run import summary
from ..conversations.records import Message
from ..terminal import DIM, PLAIN, printable, printable_json


class Terminal:
    """`trace`: the thought is shown. `as_json`: one object for each reply in the place of both."""

    def __init__(self, *, color: bool, trace: bool, as_json: bool) -> None:
        self._dim, self._plain = (DIM, PLAIN) if color else ("", "")
        self._trace = trace and not as_json
        self._as_json = as_json
        self._open: str | None = None

    def reasoning(self, text: str) -> None:
        if self._trace:
            self._begin("thought")
            self._dimmed(text)

    def answer(self, text: str) -> None:
        if not self._as_json:
            self._begin("answer")
            print(printable(text), end="", flush=True)

    def export(self, text: str, *, as_json: bool) -> None:
        """To stdout, whatever else goes there."""
        self._begin("answer")
        print(printable_json(text) if as_json else printable(text), end="", flush=True)

    def note(self, text: str) -> None:
        """A line of its own, in the midst of a reply or between two."""
        self._break()
        self._dimmed(f"[{text}]\n")

    def say(self, text: str) -> None:
        """Lines of the program's own."""
        self._break()
        self._dimmed(f"{text}\n")

    def complain(self, text: str) -> None:
        self._break()
        print(printable(f"r1chat: {text}"), file=sys.stderr, flush=True)

    def end(self, reply: Message) -> None:
        """Ends the last line and sums up, or prints the object."""
        self._break()
        if self._as_json:
            print(_object(reply), flush=True)
            return
        if reply.state == "failed":
            self.complain(reply.error)
        elif reply.state != "done":
            self.note(f"{reply.state}; /more goes on")
        elif not reply.content.strip():
            self.note("it stopped before it answered; /more goes on, or give it room: /set max_tokens default")
        if self._trace and reply.usage:
            self._dimmed(f"{summary(reply.usage, reply.timings)}\n")

    def _begin(self, part: str) -> None:
        if self._open not in (None, part):
            self._break()
        self._open = part

    def _break(self) -> None:
        if self._open == "answer":
            print(flush=True)
        elif self._open == "thought":
            self._dimmed("\n\n")
        self._open = None

    def _dimmed(self, text: str) -> None:
        print(f"{self._dim}{printable(text)}{self._plain}", end="", file=sys.stderr, flush=True)


def _object(reply: Message) -> str:
    return json.dumps(
        {
            "conversation": reply.conversation,
            "message": reply.id,
            "model": reply.model,
            "state": reply.state,
            "answer": reply.content,
            "reasoning": reply.reasoning,
            "finish_reason": reply.finish_reason,
            "reasoning_end": reply.reasoning_end,
            "error": reply.error,
            "usage": reply.usage,
            "timings": reply.timings,
        }
    )
