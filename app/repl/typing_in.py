"""Reads what a person types, or what a pipe holds: lines, several as one between triple quotes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

QUOTES = '"""'
PROMPT = ">>> "
GOES_ON = "... "
KEPT_LINES = 1000


class Lines:
    """From the terminal with a prompt, history and editing; from anything else as they are.

    `history` is a file of lines typed before; None keeps none.
    """

    def __init__(self, history: Path | None) -> None:
        self.is_terminal = sys.stdin.isatty()
        # A byte that is no text must not end the conversation.
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
        self._history = history
        self._readline = _readline() if self.is_terminal else None
        if self._readline and history is not None:
            with suppress(OSError):
                self._readline.read_history_file(history)

    def close(self) -> None:
        if self._readline and self._history is not None:
            self._readline.set_history_length(KEPT_LINES)
            with suppress(OSError):
                self._history.touch(0o600)
                self._readline.write_history_file(self._history)

    def next(self, prefilled: str = "") -> str:
        """What was typed, without its triple quotes. Raises EOFError, KeyboardInterrupt."""
        text = self._line(PROMPT, prefilled)
        if not text.lstrip().startswith(QUOTES):
            return text.strip()
        text = text.lstrip().removeprefix(QUOTES)
        while not text.rstrip().endswith(QUOTES):
            try:
                text += "\n" + self._line(GOES_ON)
            except EOFError:  # the end closes them, too
                break
        return text.rstrip().removesuffix(QUOTES).strip("\n")

    def _line(self, prompt: str, prefilled: str = "") -> str:
        if not self.is_terminal:
            return input()
        if self._readline and prefilled:
            self._readline.set_startup_hook(lambda: self._readline and self._readline.insert_text(prefilled))
        try:
            with _interruptible():
                if sys.stdout.isatty():
                    return input(prompt)
                # input() would write the prompt among the answers.
                print(prompt, end="", file=sys.stderr, flush=True)
                return input()
        finally:
            if self._readline:
                self._readline.set_startup_hook(None)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the reading, whatever it meant before: a command that asks for a line holds it back."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _readline() -> ModuleType | None:
    """Importing it is what gives input() its editing; some systems have none."""
    try:
        import readline
    except ImportError:
        return None
    if "libedit" not in (readline.__doc__ or ""):
        # Python switches it off; without it each line of a pasted question is asked by itself.
        readline.parse_and_bind("set enable-bracketed-paste on")
    return readline
