"""Shows a Download on stderr: a bar in a terminal, a line now and then elsewhere. Runs on a thread of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..sizes import human
from .downloads import Download, Snapshot

BAR_EVERY_S = 0.1
LINE_EVERY_S = 10.0
LOOK_EVERY_S = 0.5
LINE_EVERY_SHARE = 0.1


@contextmanager
def shown(download: Download, *, visible: bool = True) -> Iterator[None]:
    """Shows the download for as long as the block runs it."""
    if not visible:
        yield
        return
    ended = threading.Event()
    show = _bar if sys.stderr.isatty() else _lines
    thread = threading.Thread(target=show, args=(download, ended), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _bar(download: Download, ended: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[told]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as progress:
        task = progress.add_task(download.name, total=None, told="")
        over = False
        while not over:
            over = ended.wait(BAR_EVERY_S)
            now = download.snapshot()
            progress.update(task, completed=now.bytes_done, total=now.bytes_total, told=_told(now))


def _lines(download: Download, ended: threading.Event) -> None:
    said, waited, over = "", 0.0, False
    share = -1.0
    while not over:
        over = ended.wait(LOOK_EVERY_S)
        waited += LOOK_EVERY_S
        now = download.snapshot()
        if not now.bytes_total or (not now.bytes_done and not over):
            continue
        moved = now.bytes_done / now.bytes_total - share >= LINE_EVERY_SHARE
        line = f"{now.name}: {human(now.bytes_done)} of {human(now.bytes_total)}, {_told(now)}"
        if (moved or over or waited >= LINE_EVERY_S) and line != said:
            print(line, file=sys.stderr, flush=True)
            said, waited, share = line, 0.0, now.bytes_done / now.bytes_total


def _told(now: Snapshot) -> str:
    """The state in a word, or the rate and the time left."""
    if now.state != "fetching" or now.rate is None:
        return "waiting for another download" if now.state == "waiting" else now.state
    left = "" if now.eta_s is None else f", {duration(now.eta_s)} left"
    return f"{human(now.rate)}/s{left}"


def duration(seconds: float) -> str:
    """`1:05:09` or `5:09`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
