"""Reads, asks, shows, until the person leaves or the pipe ends."""

from __future__ import annotations

from contextlib import nullcontext

from ...serve.errors import R1ChatError
from ..conversations.records import Message
from ..errors import Status
from .background import Background
from .commands import Commands
from .screen import Terminal
from .session import Session
from .typing_in import Lines
from .watching import HINT, Interrupts, Leave, watch


class Loop:
    """`is_terminal`: a person is at the other end, so that a mistake is told and nothing else comes of it.

    Otherwise the first failure gives the status, and what is wrong with a command ends it.
    """

    def __init__(self, background: Background, session: Session, terminal: Terminal, lines: Lines, owner: str) -> None:
        self._background = background
        self._session = session
        self._terminal = terminal
        self._lines = lines
        self._owner = owner
        self._commands = Commands(session, terminal, lines)
        self._interrupts = Interrupts()
        self._status = 0

    def run(self) -> int:
        """The status for the shell."""
        if self._lines.is_terminal:
            self._terminal.say(f"/help lists commands, /bye leaves. While it thinks, {HINT}")
        try:
            while True:
                self._turn()
        except Leave as leave:
            return leave.status or self._status

    def _turn(self) -> None:
        try:
            line = self._lines.next()
        except EOFError:
            raise Leave() from None
        except KeyboardInterrupt:
            self._at_prompt()
            return
        self._interrupts.count = 0
        if not line:
            return
        try:
            # a pipe's Ctrl-C means that nobody waits any more
            with self._interrupts.held() if self._lines.is_terminal else nullcontext():
                reply = self._begin(line)
                if reply is not None:
                    self._watch(reply)
        except R1ChatError as error:
            if not self._lines.is_terminal:
                raise
            self._terminal.complain(str(error))

    def _begin(self, line: str) -> Message | None:
        if line.startswith("//"):
            return self._session.ask(line[1:])
        return self._commands.run(line) if line.startswith("/") else self._session.ask(line)

    def _watch(self, reply: Message) -> None:
        ended = watch(self._background, self._owner, reply, self._terminal, self._interrupts)
        self._terminal.end(ended)
        if not self._lines.is_terminal and not self._status:
            self._status = _status(ended)

    def _at_prompt(self) -> None:
        if not self._lines.is_terminal or self._interrupts.pressed() >= 3:
            raise Leave(Status.STOPPED)
        self._terminal.say("\n/bye or Ctrl-D leaves, and so does Ctrl-C three times")


def _status(reply: Message) -> int:
    if reply.content.strip():
        return Status.DONE
    return Status.FAILED if reply.state == "failed" else Status.NO_ANSWER
