"""A server of live_server.start in a process of its own, so that it can be killed as a machine's failure kills it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = """
import json, sys, threading
import live_server
if __name__ == "__main__":
    with live_server.start(json.loads(sys.argv[1])) as server:
        print(server.url, flush=True)
        threading.Event().wait()
"""


class KillableServer:
    """`url` once it serves. Its process group holds the engine's child too."""

    def __init__(self, **runner_args: Any) -> None:
        folder = Path(__file__).parent
        paths = os.pathsep.join([str(folder), *sys.path])
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(runner_args)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the server does not start"

    def __enter__(self) -> KillableServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.kill()
        self._process.wait(timeout=10)

    def kill(self) -> None:
        """At once, connections and all."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
