"""Watches over a reward function, so that a bad value ends the training with a clear line and never reaches it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import DistillError

Values = list[float | None]


def guarded(name: str, work: Callable[[], Sequence[Any]], count: int, timeout_s: float) -> Values:
    """What `work` returns: `count` finite numbers, or None each. It runs in a thread of its own, which is left behind
    where it is late, since nothing can end it. Raises DistillError, naming the reward, for all else.
    """
    done: list[Sequence[Any]] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name=f"reward-{name}", daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive() or time.monotonic() - began > timeout_s:
        raise DistillError(
            f"The reward {name!r} took longer than {timeout_s:g} s for {count} completions. "
            "Raise timeout_s of its rewards, then go on: r1chat distill --recipe FILE.yaml"
        )
    if failed:
        raise _failure(name, failed[0]) from failed[0]
    return checked(name, done[0], count)


def checked(name: str, values: Any, count: int) -> Values:
    """The values as floats. Raises DistillError unless there are `count`, and each is a finite number or None."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise _bad(name, f"returned {type(values).__name__}, not a list")
    if len(values) != count:
        raise _bad(name, f"returned {len(values)} values for {count} completions")
    return [_number(name, value, at) for at, value in enumerate(values)]


def _number(name: str, value: Any, at: int) -> float | None:
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _bad(name, f"gave {value!r} for completion {at}, which is no number") from error
    if not math.isfinite(number):
        raise _bad(name, f"gave {value!r} for completion {at}, which is no finite number")
    return number


def _bad(name: str, what: str) -> DistillError:
    return DistillError(
        f"The reward {name!r} {what}. Mend it, or give it the weight 0, then go on: r1chat distill --recipe FILE.yaml"
    )


def _failure(name: str, error: BaseException) -> DistillError:
    if isinstance(error, DistillError):
        return error
    return _bad(name, f"failed ({type(error).__name__}: {' '.join(str(error).split())[:200]})")
