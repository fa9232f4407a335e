"""How far long work is: a bar a stage on a terminal, a line now and then elsewhere. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

# told a stage, what is done of it, and all of it
Show = Callable[[str, int, int], None]
_LINE_EVERY_S = 10.0


@contextmanager
def stages(names: Mapping[str, str]) -> Iterator[Show]:
    """Shows stages under the names a person reads, in the order in which they begin."""
    if not sys.stderr.isatty():
        yield _lines(names)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(names[stage], total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def _lines(names: Mapping[str, str]) -> Show:
    said: dict[str, float] = {}

    def show(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage in said and now - said[stage] < _LINE_EVERY_S:
            return
        said[stage] = now
        print(f"{names[stage]}: {done / max(total, 1):.0%}", file=sys.stderr, flush=True)

    return show
