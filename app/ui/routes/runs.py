"""Runs of distill over HTTP: what there is, how far it is, its numbers, rollouts and report; begin, stop, go on."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from pydantic import Field

from ....serve.api.security import owner_of
from ....serve.api.wire_types import Text
from ....serve.errors import NotFoundError
from ...runs.folders import OpenRun
from ...runs.starting import RECIPE_STUDENTS, RECIPES, STUDENTS, Choice, Traces
from ...stars.export import exported
from ..markup import render
from ..services import PageServices
from .bodies import Strict

# The report holds its pictures and styles; it needs nothing else, and gets nothing.
_REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
# Of one problem: traces, samples of each model, and steps, that are shown.
_MOST_TRACES = 40
_MOST_SAMPLES = 16
_MOST_STEPS = 12
_MOST_CHARACTERS = 20_000


class NewRun(Strict):
    student: Annotated[Text, Field(max_length=64)]
    name: Annotated[Text, Field(max_length=64)]
    traces: Traces = "generated"
    recipe: Annotated[Text, Field(max_length=64)] = ""

    def choice(self) -> Choice:
        return Choice(student=self.student, name=self.name, traces=self.traces, recipe=self.recipe)


def runs_router(services: PageServices) -> APIRouter:
    """Those of the command line are everybody's, those that the page began their owner's."""
    router = APIRouter(prefix="/runs")

    def opened(request: Request, run_id: str) -> OpenRun:
        return services.runs.opened(services.runs.root(owner_of(request), run_id))

    def stars(request: Request) -> Iterable[bytes]:
        return exported(services.stars.list(owner_of(request), "accepted"), "traces")

    @router.get("")
    def list_runs(request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        accepted = services.stars.counts(owner)["accepted"]
        return {
            "runs": msgspec.to_builtins(services.runs.all_for(owner)),
            "students": STUDENTS,
            "recipes": RECIPES,
            "recipe_students": RECIPE_STUDENTS,
            "n_stars": accepted,
        }

    @router.post("")
    def start_run(body: NewRun, request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        return {"run": _run(services, owner, services.starter.start(owner, body.choice(), stars(request)))}

    @router.post("/plan")
    def plan_run(body: NewRun, request: Request) -> dict[str, Any]:
        return {"lines": services.starter.plan(body.choice(), stars(request))}

    @router.get("/{run_id}")
    def get_run(run_id: str, request: Request) -> dict[str, Any]:
        run = opened(request, run_id)
        told = _run(services, owner_of(request), run_id)
        with run.lock:
            metrics = [{"stage": stage, "metric": metric, "points": len(series)}
                       for (stage, metric), series in run.events.series.items()]  # fmt: skip
            parts = {"": run, **run.steps()}
        rows = [
            {"step": name, "of": kind, "written": n_bytes}
            for name, part in parts.items()
            for kind, n_bytes in part.kinds().items()
        ]
        return {"run": told, "metrics": metrics, "rows": rows}

    @router.get("/{run_id}/curves")
    def get_curves(
        run_id: str, stage: str, metric: Annotated[list[str], Query(max_length=16)], request: Request
    ) -> dict[str, Any]:
        """Those of the numbers asked for that the stage has told."""
        run = opened(request, run_id)
        with run.lock:
            run.events.read_on()
            found = {name: run.events.series.get((stage, name)) for name in metric}
            return {"stage": stage, "curves": {name: series.points() for name, series in found.items() if series}}

    @router.get("/{run_id}/series")
    def get_series(run_id: str, stage: str, metric: str, request: Request) -> dict[str, Any]:
        run = opened(request, run_id)
        with run.lock:
            run.events.read_on()
            series = run.events.series.get((stage, metric))
            if series is None:
                raise NotFoundError("This run has not told such a number.")
            return {"stage": stage, "metric": metric, "points": series.points()}

    @router.get("/{run_id}/rollouts")
    def get_rollouts(
        run_id: str,
        request: Request,
        of: Literal["traces", "answers", "watched"] = "traces",
        step: str = "",
        not_right: bool = False,
        start: Annotated[int, Query(ge=0)] = 0,
        n: Annotated[int, Query(ge=0, le=20)] = 5,
    ) -> dict[str, Any]:
        run = opened(request, run_id).step(step)
        with run.lock:
            return _ROWS[of](run, start, n, not_right)

    @router.get("/{run_id}/log")
    def get_log(run_id: str, request: Request) -> dict[str, Any]:
        return {"text": services.runs.log(owner_of(request), run_id)}

    @router.get("/{run_id}/report")
    def get_report(run_id: str, request: Request) -> FileResponse:
        page = services.runs.root(owner_of(request), run_id) / "report" / "index.html"
        if not page.is_file():
            raise NotFoundError("This run has no report yet.")
        headers = {"content-security-policy": _REPORT_POLICY, "cache-control": "no-cache"}
        return FileResponse(page, media_type="text/html", headers=headers)

    @router.post("/{run_id}/stop")
    def stop_run(run_id: str, request: Request) -> dict[str, Any]:
        services.starter.stop(owner_of(request), run_id)
        return {"run": _run(services, owner_of(request), run_id)}

    @router.post("/{run_id}/go_on")
    def go_on(run_id: str, request: Request) -> dict[str, Any]:
        services.starter.go_on(owner_of(request), run_id)
        return {"run": _run(services, owner_of(request), run_id)}

    return router


def _run(services: PageServices, owner: str, run_id: str) -> Any:
    return msgspec.to_builtins(services.runs.get(owner, run_id))


def _traces(run: OpenRun, start: int, n: int, not_right: bool) -> dict[str, Any]:
    """What the teacher wrote: with verdicts as soon as there are any."""
    judged = (run.root / "verified.jsonl").is_file()
    rows = run.verified if judged else run.traces
    rows.read_on()
    problems = rows.problems(not_right=not_right)
    groups = []
    for problem in problems[start : start + n]:
        found = list(islice(rows.rows(problem), _MOST_TRACES))
        if found:
            groups.append({"problem": _problem(found[0].get("problem")), "rows": [_trace(row) for row in found]})
    return {"total": len(problems), "judged": judged, "groups": groups}


def _answers(run: OpenRun, start: int, n: int, not_right: bool) -> dict[str, Any]:
    """What each measured model answered, and how many of its answers are right, of all there are."""
    run.asked.read_on()
    run.samples.read_on()
    problems = run.samples.problems(not_right=not_right)
    groups = []
    for problem in problems[start : start + n]:
        rows: list[dict[str, Any]] = []
        scores: dict[str, tuple[int, int]] = {}
        for row in run.samples.rows(problem):
            by = f"{row.get('model', '')}/{row.get('quant', '')}"
            right, n_answers = scores.get(by, (0, 0))
            scores[by] = right + (row.get("verdict") == "right"), n_answers + 1
            if n_answers < _MOST_SAMPLES:
                rows.append({"by": by, **_reply(row)})
        groups.append({"problem": _problem(next(run.asked.rows(problem), None)), "rows": rows, "scores": scores})
    return {"total": len(problems), "judged": True, "groups": groups}


def _watched(run: OpenRun, start: int, n: int, not_right: bool) -> dict[str, Any]:
    """What the student answered to the same problems while it learnt, those first that it learnt to solve. Of each
    step the first answer.
    """
    run.watched.read_on()
    learnt = run.watched.became_right()
    known = set(learnt)
    problems = [*learnt, *(each for each in run.watched.problems(not_right=not_right) if each not in known)]
    groups = []
    for problem in problems[start : start + n]:
        first: dict[int, dict[str, Any]] = {}
        for row in run.watched.rows(problem):
            first.setdefault(int(row.get("step") or 0), row)
        rows = _thinned([first[step] for step in sorted(first)])
        groups.append({"problem": _problem(rows[0] if rows else None), "rows": [_rollout(row) for row in rows]})
    return {"total": len(problems), "judged": True, "groups": groups}


def _thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first, the last, and some between."""
    if len(rows) <= _MOST_STEPS:
        return rows
    return [rows[i * (len(rows) - 1) // (_MOST_STEPS - 1)] for i in range(_MOST_STEPS)]


def _problem(row: Any) -> dict[str, Any]:
    row = row if isinstance(row, dict) else {}
    return {"prompt": row.get("prompt") or "", "gold": row.get("gold"), "family": row.get("family") or ""}


def _trace(row: dict[str, Any]) -> dict[str, Any]:
    teacher = row.get("teacher")
    return {"by": teacher.get("name", "") if isinstance(teacher, dict) else "", **_reply(row)}


def _rollout(row: dict[str, Any]) -> dict[str, Any]:
    return {"by": "student", "step": row.get("step"), **_reply(row)}


def _reply(row: dict[str, Any]) -> dict[str, Any]:
    names = ("sample", "reasoning", "finish_reason", "verdict", "verdict_reason", "n_tokens")
    answer = str(row.get("answer") or "")
    return {**{name: row.get(name) for name in names}, "html": render(answer[:_MOST_CHARACTERS])}


_ROWS = {"traces": _traces, "answers": _answers, "watched": _watched}
