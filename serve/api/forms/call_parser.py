"""Finds tool calls in an answer's text as it comes. Pure text: knows no wire and no grammar, trusts no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .tools import CALL_CLOSE, CALL_OPEN

# What may lie between a call's tag and its arguments, and behind those: longer, it is no call of ours.
MAX_HEAD = 256
_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*"([^"\\]*)"\s*,\s*"arguments"\s*:\s*(?=\{)')
_TAIL = re.compile(r"\s*\}\s*" + re.escape(CALL_CLOSE))
_TAIL_BEGUN = re.compile(r"\s*(\}\s*)?")
_STRUCTURE = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\]')


class Spoken(NamedTuple):
    """Text that belongs to no call; never empty."""

    text: str


class Called(NamedTuple):
    """A call of a known tool begins; its arguments follow."""

    name: str


class Argument(NamedTuple):
    """The next piece of the arguments' JSON."""

    text: str


Part = Spoken | Called | Argument


class CallParser:
    """Feeds text in, gets parts out; the same ones, joined, however the text is cut, in linear time.

    A call begins when its tool is known to be one of `names` and its arguments begin as an object; what only
    looks like one stays text. Blanks around calls are dropped, and those that may turn out to lie there are
    held back, as is what may become a call. Arguments go out as they come, up to the brace that closes them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._state: Callable[[str], str] = self._speak
        self._parts: list[Part] = []
        self._held = ""
        self._blanks: list[str] = []
        self._after_call = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, text: str) -> list[Part]:
        """The parts that became certain with `text`, in order."""
        self._run(text)
        return self._taken()

    def called(self) -> list[Part]:
        """A call that is not in the text comes here: what was held back was text, but for blanks."""
        self._speak_up()
        self._blanks = []
        self._after_call = True
        return self._taken()

    def flush(self) -> list[Part]:
        """The end of the text: what was held back is no call after all."""
        self._speak_up()
        if self._state == self._speak and not self._after_call and (blanks := "".join(self._blanks)):
            self._parts.append(Spoken(blanks))
        self._held = ""
        self._blanks = []
        return self._taken()

    def _speak_up(self) -> None:
        """What might have become a call is text."""
        while self._state == self._head:
            self._refuse()
            self._run("")
        if self._state == self._speak:
            held, self._held = self._held, ""
            self._say(held)

    def _run(self, text: str) -> None:
        rest = self._held + text
        self._held = ""
        while rest:
            rest = self._state(rest)

    def _taken(self) -> list[Part]:
        parts, self._parts = self._parts, []
        return parts

    def _speak(self, text: str) -> str:
        at = text.find(CALL_OPEN)
        if at < 0:
            at = _overlap(text)
            self._held = text[at:]
            self._say(text[:at])
            return ""
        self._say(text[:at])
        self._state = self._head
        return text[at + len(CALL_OPEN) :]

    def _say(self, text: str) -> None:
        """Blanks wait for what comes behind them: a call drops them."""
        spoken = text.rstrip()
        if not spoken:
            self._blanks.append(text)
            return
        self._parts.append(Spoken(spoken.lstrip() if self._after_call else "".join(self._blanks) + spoken))
        self._after_call = False
        self._blanks = [text[len(spoken) :]]

    def _head(self, text: str) -> str:
        head = _HEAD.match(text[:MAX_HEAD])
        if head and head[1] in self._names:
            self._parts.append(Called(head[1]))
            self._blanks = []
            self._state = self._arguments
            return text[head.end() :]
        if head or len(text) >= MAX_HEAD:
            self._refuse()
            return text
        self._held = text
        return ""

    def _refuse(self) -> None:
        self._say(CALL_OPEN)
        self._state = self._speak

    def _arguments(self, text: str) -> str:
        end = self._end_of_arguments(text)
        self._parts.append(Argument(text[:end]))
        if self._depth == 0:
            self._state = self._tail
        return text[end:]

    def _end_of_arguments(self, text: str) -> int:
        """Where they are closed, or all of `text`."""
        at = int(self._escaped)
        self._escaped = False
        while found := (_IN_STRING if self._in_string else _STRUCTURE).search(text, at):
            at = found.end()
            if found[0] == "\\":
                at += 1
                self._escaped = at > len(text)
            elif found[0] == '"':
                self._in_string = not self._in_string
            else:
                self._depth += 1 if found[0] in "{[" else -1
                if self._depth == 0:
                    return at
        return len(text)

    def _tail(self, text: str) -> str:
        tail = _TAIL.match(text[:MAX_HEAD])
        if tail is None and len(text) < MAX_HEAD and _may_become_tail(text):
            self._held = text
            return ""
        self._after_call = True
        self._state = self._speak
        return text[tail.end() :] if tail else text


def _may_become_tail(text: str) -> bool:
    begun = _TAIL_BEGUN.match(text)
    assert begun is not None, "it matches nothing, too"
    rest = text[begun.end() :]
    return CALL_CLOSE.startswith(rest) and (begun[1] is not None or not rest)


def _overlap(text: str) -> int:
    """Where an end of `text` begins that may become the tag of a call."""
    at = text.rfind("<")
    return at if at >= 0 and CALL_OPEN.startswith(text[at:]) else len(text)
