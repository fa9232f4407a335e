"""Runs a program that a model wrote, where it can do no harm: see jailer.py for how. Linux only.

It does not protect from a hole in the kernel, and what lies in /usr, /lib and Python's own folder can be read. Where
the kernel or a container forbids namespaces there is no jail, and then nothing is run.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

from .jailer import SPARE_S

# what the jail's keeper is given to end by itself
_GRACE_S = 2.0
_ENVIRONMENT = {"HOME": "/work", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
_JAILER = Path(__file__).with_name("jailer.py")


@dataclass(frozen=True)
class Run:
    """One run of a program: `stdin` is what it reads. After it `expression` is evaluated, or the function `call` with
    `args`.
    """

    stdin: str = ""
    expression: str = ""
    call: str = ""
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a program ended: "failed" with an exception or a status other than 0, "no jail" without having run.

    `value` is what was evaluated, encoded as in jailer.py. `why` is for "no jail".
    """

    kind: Literal["done", "failed", "timeout", "no jail"]
    stdout: str = ""
    value: Any = None
    why: str = ""


def run_in_jail(program: str, runs: Sequence[Run], timeout_s: float, setup: str = "") -> list[Outcome]:
    """What became of each run, of at most `timeout_s`, in their order; the first that is not "done" is the last. They
    share nothing but their jail. `setup` is run before the program, in its namespace. Of the output the first MiB
    counts. Leaves no process and no file.
    """
    if sys.platform != "linux":
        return [Outcome("no jail", why="it needs Linux")]
    told = {"setup": setup, "program": program, "runs": [asdict(run) for run in runs], "timeout_s": timeout_s}
    with (
        tempfile.TemporaryDirectory(prefix="r1chat-jail-") as folder,
        tempfile.TemporaryFile() as job,
        tempfile.TemporaryFile() as result,
    ):
        job.write(json.dumps({**told, "folder": folder}).encode())
        job.seek(0)
        status = _keep(job, result, timeout_s * len(runs) + SPARE_S + _GRACE_S)
        result.seek(0)
        found = [_outcome(line) for line in result.read().splitlines(keepends=True) if line.endswith(b"\n")]
    if status and not found:
        return [Outcome("no jail", why=f"its keeper ended with status {status}")]
    ended = len(found) == len(runs) or (found and found[-1].kind != "done")
    return found if ended else [*found, Outcome("timeout" if status is None else "failed")]


@functools.cache
def why_no_jail() -> str:
    """What keeps programs from being run on this machine; "" where nothing does. Takes some tenths of a second once."""
    (tried,) = run_in_jail("", [Run()], SPARE_S)
    return tried.why if tried.kind == "no jail" else ""


def _keep(job: IO[bytes], result: IO[bytes], timeout_s: float) -> int | None:
    """The keeper's status; None where it had to be ended."""
    keeper = subprocess.Popen(
        [sys.executable, "-P", "-s", "-S", "-B", str(_JAILER), str(job.fileno()), str(result.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(job.fileno(), result.fileno()),
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
    try:
        return keeper.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        keeper.kill()  # with it, whatever is in the jail
        keeper.wait()


def _outcome(line: bytes) -> Outcome:
    told = json.loads(line)
    if told["kind"] == "done":
        return Outcome("done", told["stdout"], _value(told["value"]))
    return Outcome(told["kind"], why=told.get("why", ""))


def _value(written: str) -> Any:
    """Of a program that ended itself before anything was evaluated it equals nothing, None neither."""
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        return {"other": "nothing"}
