"""The runs that lie in a folder of runs: what each is, how far it has come, and whether it still works.

Reads only; any thread may call. What it has read of a run's events it keeps, for the next look.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal

import msgspec

from ...serve.errors import NotFoundError
from ...serve.models.students import came_from
from ..distilling.progress import STAGES
from ..terminal import last_words
from .events import EventLog
from .processes import BEGUN, LOG, Begun, Processes, begun
from .rollouts import Rollouts

RunState = Literal["running", "done", "stopped", "failed"]
# Runs whose events and rows are kept in memory.
_OPEN_RUNS = 32
_LOG_TAIL = 16_384


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """`share` (0..1) and `left_s` are None where they cannot be told. `numbers` are the newest of each metric. A step
    of a recipe has a `kind`: stream, sft or grpo.
    """

    name: str
    kind: str = ""
    state: Literal["waiting", "running", "done"]
    share: float | None = None
    seconds: float | None = None
    left_s: float | None = None
    numbers: dict[str, float] = {}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run; `id` is its folder's name. `error` is the last word of one that failed. Of a `recipe` the stages are
    its steps. `model`: what came of it and can be asked, by its name.
    """

    id: str
    name: str
    student: str
    state: RunState
    created: float
    updated: float
    share: float
    stage: str | None
    stages: tuple[Stage, ...]
    mine: bool
    traces: str
    verdict: str
    error: str
    has_report: bool
    recipe: str = ""
    model: str = ""


class OpenRun:
    """What is kept of one run between two looks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.Lock()
        self.events = EventLog(root / "events.jsonl")
        self.traces = Rollouts(root / "traces.jsonl")
        self.verified = Rollouts(root / "verified.jsonl")
        self.asked = Rollouts(root / "asked.jsonl")
        self.samples = Rollouts(root / "samples.jsonl")
        self.watched = Rollouts(root / "rollouts.jsonl", watched=True)
        self._steps: dict[str, OpenRun] = {}

    def kinds(self) -> dict[str, int]:
        """What rows there are to look at, and how many bytes were written of each."""
        files = {"watched": ("rollouts",), "answers": ("samples",), "traces": ("verified", "traces")}
        sizes = {kind: [_size(self.root / f"{name}.jsonl") for name in names] for kind, names in files.items()}
        return {kind: sum(filter(None, found)) for kind, found in sizes.items() if found.count(None) < len(found)}

    def steps(self) -> dict[str, OpenRun]:
        """The steps of a recipe that have begun, each a run of its own; none of any other run."""
        names = _json(self.root / "run.json").get("plan")
        for number, name in enumerate(names if isinstance(names, list) else (), 1):
            root = self.root / "steps" / f"{number}-{name}"
            if not isinstance(name, str) or Path(name).name != name or not root.is_dir():
                continue
            known = self._steps.get(name)
            if known is None or known.root != root:  # a step may be put before it
                self._steps[name] = OpenRun(root)
        return self._steps

    def step(self, name: str) -> OpenRun:
        """The run itself for no name. Raises NotFoundError for a name that no step has."""
        found = self.steps().get(name) if name else self
        if found is None:
            raise NotFoundError("This run has no such step.")
        return found


class Runs:
    """The runs in `folder`, which need not be there yet."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self.folder = folder
        self.processes = processes
        self._open: OrderedDict[str, OpenRun] = OrderedDict()
        self._lock = threading.Lock()

    def all_for(self, owner: str) -> list[Run]:
        """Those of the command line and the owner's own, newest first. Those done come without their numbers."""
        found = [self._run(root) for root in self.roots() if self._is_for(root, owner)]
        return sorted(found, key=lambda run: -run.created)

    def get(self, owner: str, run_id: str) -> Run:
        """Raises NotFoundError."""
        return self._run(self.root(owner, run_id), whole=True)

    def root(self, owner: str, run_id: str) -> Path:
        """The folder of a run that `owner` may see. Raises NotFoundError; no other name leads anywhere."""
        root = next((root for root in self.roots() if root.name == run_id), None)
        if root is None or not self._is_for(root, owner):
            raise NotFoundError("There is no such run.")
        return root

    def opened(self, root: Path) -> OpenRun:
        with self._lock:
            run = self._open.pop(root.name, None) or OpenRun(root)
            self._open[root.name] = run
            while len(self._open) > _OPEN_RUNS:
                self._open.popitem(last=False)
        return run

    def log(self, owner: str, run_id: str) -> str:
        """The end of what its process said. Raises NotFoundError."""
        return log_tail(self.root(owner, run_id))

    def roots(self) -> list[Path]:
        """The folders of all runs, whoever may see them."""
        if not self.folder.is_dir():
            return []
        marks = ("run.json", "events.jsonl", BEGUN)
        return [root for root in self.folder.iterdir() if any((root / mark).is_file() for mark in marks)]

    def _is_for(self, root: Path, owner: str) -> bool:
        return begun(root).owner in (None, owner)

    def _run(self, root: Path, *, whole: bool = False) -> Run:
        record, begin = _json(root / "run.json"), begun(root)
        done = {name: each for name, each in _dict(record, "stages").items() if isinstance(each, dict)}
        plan = _plan(record)
        running = self.processes.works(root)
        is_asked = whole or not plan.keys() <= done.keys()
        open_run = self.opened(root) if is_asked else OpenRun(root)  # whoever is read is kept, and few are
        with open_run.lock:
            if is_asked:
                open_run.events.read_on()
            stages = tuple(
                _stage(name, kind, open_run.events, done.get(name), running=running) for name, kind in plan.items()
            )
        state, error = _state(root, is_done=plan.keys() <= done.keys(), begin=begin, running=running)
        config = _dict(record, "config")
        last = max((_time(root / name) for name in ("events.jsonl", "run.json", LOG)), default=0.0)
        name = str(config.get("name") or root.name)
        return Run(
            id=root.name,
            name=name,
            student=_student(config, record),
            state=state,
            created=_number(record, "created") or begin.started or last,
            updated=last,
            share=1.0 if state == "done" else _share(stages),
            stage=next((stage.name for stage in stages if stage.state == "running"), None),
            stages=stages,
            mine=bool(begin.started),
            traces=begin.traces,
            verdict=str(record.get("verdict") or _dict(_dict(done, "report"), "summary").get("verdict") or ""),
            error=error,
            has_report=(root / "report" / "index.html").is_file(),
            recipe=str(record.get("recipe") or ""),
            model=name if state == "done" and came_from(name, str(root.resolve())) else "",
        )


def log_tail(root: Path) -> str:
    """The end of what the process said."""
    try:
        with (root / LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - _LOG_TAIL))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _state(root: Path, *, is_done: bool, begin: Begun, running: bool) -> tuple[RunState, str]:
    if running:
        return "running", ""
    if is_done:
        return "done", ""
    if not begin.started or begin.stopped:
        return "stopped", ""
    return "failed", last_words(log_tail(root).splitlines())


def _plan(record: dict[str, Any]) -> dict[str, str]:
    """The stages, or the steps of a recipe with their kinds."""
    names = record.get("plan")
    if not isinstance(names, list) or not names:
        return dict.fromkeys(STAGES, "")
    steps = record.get("steps")
    kinds = {step.get("name"): str(step.get("kind") or "") for step in steps if isinstance(step, dict)} if isinstance(
        steps, list) else {}  # fmt: skip
    return {str(name): kinds.get(name, "") for name in names}


def _stage(name: str, kind: str, events: EventLog, record: dict[str, Any] | None, *, running: bool) -> Stage:
    told = events.stages.get(name)
    numbers = {metric: series.last for (stage, metric), series in events.series.items() if stage == name}
    if record is not None:
        return Stage(name=name, kind=kind, state="done", share=1.0, numbers=numbers, seconds=_number(record, "seconds"))
    if told is None:
        return Stage(name=name, kind=kind, state="waiting")
    now = running and events.current == name
    return Stage(
        name=name,
        kind=kind,
        state="running" if now else "waiting",
        share=told.share,
        seconds=told.seconds(),
        left_s=told.left(told.last) if now else None,
        numbers=numbers,
    )


def _share(stages: tuple[Stage, ...]) -> float:
    """Of the whole run, its stages as if each were as long."""
    return sum(stage.share or 0.0 for stage in stages) / len(stages)


def _student(config: dict[str, Any], record: dict[str, Any]) -> str:
    """As it was named; of a folder, its last part."""
    name = str(_dict(config, "student").get("name") or _dict(record, "options").get("student") or "")
    return Path(name).name if name.startswith("/") else name


def _json(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def _dict(record: dict[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _number(record: dict[str, Any], name: str) -> float | None:
    value = record.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
