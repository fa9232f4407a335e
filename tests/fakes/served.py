"""A running `r1chat serve`, as tests of the whole command want it: its own process group, stderr collected."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Served:
    """A running `r1chat serve`; stderr is collected on a thread."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "r1chat.app", *arguments, "--port", "0"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    def url(self) -> str:
        """Once the server says that it is ready."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in self.lines:
                if match := re.search(r"ready\. Page: (\S+)", line):
                    return match[1]
            time.sleep(0.05)
        raise AssertionError(f"not ready: {self.lines}")

    def stop(self, number: signal.Signals) -> int:
        """To the whole group, as a terminal's Ctrl-C goes."""
        os.killpg(self.process.pid, number)
        status = self.process.wait(timeout=60)
        self._reader.join(timeout=10)
        return status

    def close(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._reader.join()


@contextmanager
def served(*arguments: str, **environment: str) -> Iterator[Served]:
    server = Served(*arguments, **environment)
    try:
        yield server
    finally:
        server.close()
