"""Collects the traces of a run: ready ones are taken over, the others asked of a teacher."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from typing import Any

from msgspec import to_builtins

from ..config import DistillConfig
from ..errors import DistillError, quoted
from ..host import Host
from ..lengths import n_tokens
from ..rows import ProblemRow, TraceRow, read_rows, write_rows
from ..run_folder import RunFolder
from ..sources.problems import distinct, load_problems
from ..sources.provenance import provenance
from .asking import Asker
from .collect import collect, params_of, requests_of
from .progress import Progress
from .ready import take_over
from .store import TraceStore
from .teacher import reach

Wanted = dict[str, ProblemRow | None]


@dataclass
class _Run:
    """One pass of the stage. `wanted` are the ids of its traces, in the order they are to lie in."""

    config: DistillConfig
    folder: RunFolder
    host: Host
    problems: list[ProblemRow]
    store: TraceStore
    progress: Progress
    again: str
    wanted: Wanted = field(default_factory=dict)


def run_stage(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    """Leaves problems.jsonl and traces.jsonl. A request whose trace is there is not made again, and a ready trace not
    taken twice. The summary counts what came, with licences, tokens and seconds. Raises DistillError.
    """
    began = time.monotonic()
    again = f"r1chat distill generate --run-dir {quoted(folder.root)}"
    _check(config, again)
    problems = _problems(config)
    write_rows(folder.problems, problems)
    with TraceStore(folder.traces) as store:
        run = _Run(config, folder, host, problems, store, Progress(folder, "generate"), again)
        summary = _take_ready(run)
        if config.generate.teacher is not None:
            summary |= asyncio.run(_ask(run))
        store.settle(run.wanted)
    summary |= _totals(run, summary.get("first_unanswered"))
    specs = dict.fromkeys((*config.generate.problems, *config.generate.traces))
    sources = {spec: provenance(spec) for spec in specs}
    return {"problems": len(problems), **summary, "sources": sources, "seconds": round(time.monotonic() - began, 1)}


def _check(config: DistillConfig, again: str) -> None:
    wanted = config.generate
    if wanted.teacher is None and not wanted.traces:
        raise DistillError(f"There is nothing to learn from yet. Name a teacher or traces: {again} --teacher demo")
    if wanted.teacher is not None and not wanted.problems:
        raise DistillError(f"The teacher has nothing to solve. Name problems: {again} --problems generated")


def _problems(config: DistillConfig) -> list[ProblemRow]:
    """Of all specs in turn, each once."""
    limit = config.generate.max_problems
    loaded = [load_problems(spec, limit=limit, seed=config.problems_seed) for spec in config.generate.problems]
    mixed = (problem for problem in chain.from_iterable(zip_longest(*loaded)) if problem is not None)
    return list(islice(distinct(mixed), limit))


def _take_ready(run: _Run) -> dict[str, Any]:
    cap = run.config.generate.max_trace_tokens
    shown = cap if run.config.generate.teacher is None else None  # the bar is the teacher's where there is one

    def report(rows: int, tokens: int) -> None:
        run.progress.tell(rows, tokens, tokens / shown if shown else None)

    ready = take_over(run.config, run.problems, run.store, report)
    run.wanted.update(dict.fromkeys(ready))
    return {"ready": len(ready)} if run.config.generate.traces else {}


async def _ask(run: _Run) -> dict[str, Any]:
    """All requests that have no trace yet, of the teacher."""
    settings = run.config.generate
    async with reach(settings, run.host, run.again) as reached:
        requests = list(requests_of(run.config, run.problems, reached.teacher))
        run.wanted.update((request.id, request.problem) for request in requests)
        run.store.settle(run.wanted)
        left = [request for request in requests if request.id not in run.store]
        keep = _Keeper(run, done=len(requests) - len(left), total=len(requests))
        asker = Asker(reached.client, {**params_of(settings), **reached.fields}, run.again)
        misses = await collect(asker, reached.teacher, settings, left, keep.keep)
    if misses.count:
        said = f"{misses.count} of {len(requests)} requests got no reply; the first: {misses.first_reason}"
        if misses.passing:  # with the same settings the stage is done
            said += f". Ask again, in another haste: {run.again} --concurrency {settings.concurrency // 2 or 2}"
        run.host.say(said)
    told = {"teacher": to_builtins(reached.teacher), "asked": len(left), "reused": len(requests) - len(left)}
    return told | {"unanswered": misses.count, "first_unanswered": misses.first_reason}


class _Keeper:
    """Stores each trace and shows how far the run is."""

    def __init__(self, run: _Run, done: int, total: int) -> None:
        self._run = run
        self._done = done
        self._total = total
        self._tokens = 0

    def keep(self, row: TraceRow) -> None:
        self._run.store.add(row)
        self._done += 1
        self._tokens += n_tokens(row)
        last = self._done == self._total
        self._run.progress.tell(self._done, self._tokens, self._done / self._total, last=last)


def _totals(run: _Run, unanswered: str | None) -> dict[str, Any]:
    licences: Counter[str] = Counter()
    finished: Counter[str] = Counter()
    rows = tokens = 0
    for row in read_rows(run.folder.traces, TraceRow):
        rows += 1
        tokens += n_tokens(row)
        licences[row.teacher.licence or "unknown"] += 1
        finished[row.finish_reason] += 1
    if not rows:
        reason = f" ({unanswered})" if unanswered else ""
        raise DistillError(f"No trace came of it{reason}. Change what is asked, then run: {run.again}")
    run.progress.tell(rows, tokens, 1.0, last=True)
    return {"traces": rows, "tokens": tokens, "licences": dict(licences), "finish_reasons": dict(finished)}
