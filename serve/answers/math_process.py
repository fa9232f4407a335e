"""MathProcess: one child that compares mathematics, and is never waited for longer than one asks. No event loop; one
question at a time, from any thread.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass

# sympy takes its time to be imported, longer on a busy machine
_START_S = 60.0
# the child itself ends what takes too long, where it can; then it is heard of within this
_GRACE_S = 0.9
_CHILD = "r1chat.serve.answers.math_child"


@dataclass(frozen=True)
class MathQuestion:
    """Two texts in which math-verify finds their mathematics. It is not symmetric: `gold` is what counts.

    The rest are math-verify's options: which `kinds` are looked for ("latex", "expr"), digits that floats are
    rounded to, whether names of variables matter, and whether a set may stand for a relation. `either_way` asks in
    both orders.
    """

    gold: str
    answer: str
    kinds: tuple[str, ...] = ("latex", "expr")
    precision: int = 6
    strict: bool = True
    set_relations: bool = False
    either_way: bool = False


class MathProcess:
    """Started by the first question; replaced when it did not survive one. `niceness` makes it give way to others."""

    def __init__(self, niceness: int = 0) -> None:
        self._niceness = niceness
        self._child: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._ready = False
        self.asked_s = 0.0  # how long the last question took

    @staticmethod
    def is_installed() -> bool:
        return importlib.util.find_spec("math_verify") is not None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def ask(self, question: MathQuestion, timeout_s: float) -> bool:
        """Whether the answer equals the gold. The start of the child does not count.

        Raises TimeoutError, and ChildProcessError where the question ended whoever computed it (too much memory, too
        deep recursion); the next one finds a child as if nothing had been.
        """
        with self._lock:
            child = self._child or self._start()
            try:
                reply = self._asked(child, question, timeout_s)
            except TimeoutError:
                self._end(child)
                raise
            except (OSError, ValueError) as error:
                self._end(child)
                raise ChildProcessError("the child that compares mathematics ended") from error
            except BaseException:  # Ctrl-C: its answer would be taken for that to the next question
                self._end(child)
                raise
        if reply == "timeout":
            raise TimeoutError(f"no answer in {timeout_s} s")
        if reply == "died":
            raise ChildProcessError("whoever computed the answer ended")
        return bool(reply)

    def kill(self) -> None:
        """Ends the child, also under a question in another thread, which then raises."""
        if self._child is not None:
            _kill(self._child)

    def close(self) -> None:
        """Ends the child and waits until it is gone."""
        self.kill()
        with self._lock:
            if self._child is not None:
                self._end(self._child)

    def _start(self) -> subprocess.Popen[str]:
        self._ready = False
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", _CHILD, str(self._niceness)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            # the order of sympy's sets is the same each time, and so is the verdict
            env={**os.environ, "PYTHONHASHSEED": "0"},
            start_new_session=True,  # Ctrl-C is for the parent, which then ends this one
        )
        return self._child

    def _asked(self, child: subprocess.Popen[str], question: MathQuestion, timeout_s: float) -> bool | str:
        if not self._ready:
            self._read(child, _START_S)
            self._ready = True
        assert child.stdin
        began = time.monotonic()
        try:
            child.stdin.write(json.dumps({**asdict(question), "timeout_s": timeout_s}) + "\n")
            child.stdin.flush()
            reply = json.loads(self._read(child, timeout_s + _GRACE_S))
        finally:
            self.asked_s = time.monotonic() - began
        assert isinstance(reply, (bool, str))
        return reply

    def _read(self, child: subprocess.Popen[str], timeout_s: float) -> str:
        """A line of the child, which is killed if it takes longer: that ends the reading on every system."""
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            _kill(child)

        timer = threading.Timer(timeout_s, expire)
        timer.daemon = True
        timer.start()
        try:
            assert child.stdout
            line = child.stdout.readline()
        finally:
            timer.cancel()
        if expired.is_set():
            raise TimeoutError(f"no answer in {timeout_s} s")
        if not line.endswith("\n"):
            raise ChildProcessError("the child's pipe ended")
        return line

    def _end(self, child: subprocess.Popen[str]) -> None:
        self._child = None
        _kill(child)
        for pipe in (child.stdin, child.stdout):
            with suppress(OSError):  # what was not sent cannot be sent any more
                assert pipe
                pipe.close()
        child.wait()


def _kill(child: subprocess.Popen[str]) -> None:
    """With whoever computes for it."""
    if child.poll() is None and hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
