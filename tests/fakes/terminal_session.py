"""A command on a terminal of its own, typed into and read as a person does: Ctrl-C goes to all that runs there."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

CTRL_C = "\x03"
CTRL_D = "\x04"
UP = "\x1b[A"
PATIENCE_S = 60.0


class TerminalSession:
    """`shown` is all that the terminal got so far."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "r1chat.app", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.shown = ""
        self._n_expected = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, *texts: str) -> str:
        """Waits for one of them, behind what was expected before, and says which came."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := [text for text in texts if text in self.shown[self._n_expected :]]):
            assert time.monotonic() < deadline and self._reader.is_alive(), f"no {texts} in {self.shown!r}"
            time.sleep(0.01)
        first = min(found, key=lambda text: self.shown.index(text, self._n_expected))
        self._n_expected = self.shown.index(first, self._n_expected) + len(first)
        return first

    def ask(self, text: str) -> None:
        """At the prompt."""
        self.expect(">>> ")
        self.type(f"{text}\n")

    def end(self) -> int:
        """The status."""
        return self.process.wait(timeout=PATIENCE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
        self.process.wait()
        self._reader.join(timeout=10)
        os.close(self._master)

    def _read(self) -> None:
        # Linux ends a terminal that nobody holds any more with an error.
        try:
            while data := os.read(self._master, 65536):
                self.shown += data.decode(errors="replace").replace("\r\n", "\n")
        except OSError:
            pass


@contextmanager
def on_terminal(*arguments: str, **environment: str) -> Iterator[TerminalSession]:
    session = TerminalSession(*arguments, **environment)
    try:
        yield session
    finally:
        session.close()
