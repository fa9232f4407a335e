"""Which runs there are, how far each is, and that a name from outside leads nowhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from filelock import FileLock

from r1chat.app.distilling.progress import STAGES
from r1chat.app.runs.folders import Run, Runs
from r1chat.app.runs.processes import BEGUN, LOG, Begun, Processes
from r1chat.distill.rows import ProblemRow, RolloutRow, SampleRow, Teacher, TraceRow, Verdict, write_rows
from r1chat.distill.run_folder import RunFolder
from r1chat.serve.errors import NotFoundError
from r1chat.serve.models.catalog import student_path
from r1chat.serve.models.students import register_student


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "runs", Processes())


def made(runs: Runs, name: str, *stages: str, **record: Any) -> RunFolder:
    """A run as distill leaves it when these stages are done."""
    folder = RunFolder(runs.folder / name)
    done = {stage: {"finished": 2.0, "seconds": 1.0, "summary": {"verdict": "Better."}} for stage in stages}
    config = {"name": f"{name}-r1", "student": {"name": "tiny"}}
    folder.write_json(folder.record, {"created": 1.0, "config": config, "stages": done, **record})
    return folder


def begun(folder: RunFolder, log: str = "", **fields: Any) -> None:
    (folder.root / BEGUN).write_bytes(msgspec.json.encode(Begun(started=1.0, pid=0, **fields)))
    (folder.root / LOG).write_text(log)


def only(runs: Runs) -> Run:
    (run,) = runs.all_for("")
    return run


def test_answers_that_were_taken_back_are_gone_before_others_come(runs: Runs) -> None:
    folder = made(runs, "one")
    row = RolloutRow(step=1, problem_id="p", prompt="1 + 1", reasoning="", answer="2", finish_reason="stop",
                     verdict="right", watched=True)  # fmt: skip
    write_rows(folder.rollouts, [row, row])
    watched = runs.opened(folder.root).watched
    watched.read_on()
    assert len(list(watched.rows("p"))) == 2
    write_rows(folder.rollouts, [])
    watched.read_on()
    assert watched.problems() == []
    write_rows(folder.rollouts, [row])
    watched.read_on()
    assert len(list(watched.rows("p"))) == 1


def test_a_process_of_a_run_whose_name_begins_the_same_is_another_runs(tmp_path: Path) -> None:
    roots = tmp_path / "tiny-r1", tmp_path / "tiny-r1-2"
    waits = [sys.executable, "-c", "print(flush=True), input()", "--run-dir", str(roots[1])]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        for root in roots:
            root.mkdir()
            (root / BEGUN).write_bytes(msgspec.json.encode(Begun(started=1.0, pid=process.pid)))
        assert [Processes().works(root) for root in roots] == [False, True]
        process.kill()


def test_where_there_is_no_folder_there_are_no_runs(runs: Runs) -> None:
    assert runs.all_for("") == []


def test_a_finished_run_tells_its_verdict_and_has_a_report(runs: Runs) -> None:
    folder = made(runs, "one", *STAGES)
    folder.report.mkdir()
    (folder.report / "index.html").write_text("<p>")
    run = only(runs)
    assert (run.id, run.name, run.student, run.state, run.share) == ("one", "one-r1", "tiny", "done", 1.0)
    assert (run.verdict, run.has_report, run.mine) == ("Better.", True, False)


def test_a_finished_run_names_the_model_that_came_of_it_for_as_long_as_that_is_here(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1CHAT_MODELS", str(tmp_path / "models"))
    folder = made(runs, "one", *STAGES)
    made_file = tmp_path / "student.gguf"
    made_file.write_bytes(b"GGUF")
    assert only(runs).model == ""
    register_student(made_file, "one-r1", {"source": "/another/run"})
    assert only(runs).model == ""
    student_path("one-r1").unlink()
    register_student(made_file, "one-r1", {"source": str(folder.root.resolve())})
    assert only(runs).model == "one-r1"
    student_path("one-r1").unlink()
    assert only(runs).model == ""


def test_a_run_under_way_is_known_by_its_lock_and_tells_how_far_it_is(runs: Runs) -> None:
    folder = made(runs, "one", "base", "generate")
    folder.log("sft", 7, share=0.25, loss=3.5)
    with FileLock(folder.root / ".lock"):
        run = only(runs)
    assert (run.state, run.stage) == ("running", "sft")
    stages = {stage.name: stage for stage in run.stages}
    assert (stages["base"].state, stages["sft"].state, stages["export"].state) == ("done", "running", "waiting")
    assert (stages["sft"].share, stages["sft"].numbers["loss"]) == (0.25, 3.5)
    assert run.share == pytest.approx(2.25 / 8)
    run = only(runs)
    assert (run.state, run.stage) == ("stopped", None)


@pytest.mark.parametrize(
    ("log", "fields", "state", "error"),
    [
        ("training\nStopped; what is done is kept.\n", {"stopped": True}, "stopped", ""),
        (
            "training\nr1chat: The disk is full. Make room: df -h\n\n",
            {},
            "failed",
            "The disk is full. Make room: df -h",
        ),
        ("", {}, "failed", ""),
    ],
    ids=["stopped", "failed", "killed"],
)
def test_how_a_run_of_the_page_ended_is_told(
    runs: Runs, log: str, fields: dict[str, Any], state: str, error: str
) -> None:
    begun(made(runs, "one", "base"), log, **fields)
    assert (only(runs).state, only(runs).error) == (state, error)


@pytest.mark.parametrize(
    "record", ["", "{", "[]", "3", '{"stages": 3}', '{"stages": {"base": 3}, "created": "x", "config": {"student": 1}}']
)
def test_a_damaged_record_spoils_no_list(runs: Runs, record: str) -> None:
    made(runs, "good", *STAGES)
    folder = RunFolder(runs.folder / "bad")
    folder.record.write_text(record)
    begun(folder)
    (folder.root / BEGUN).write_text("{")
    assert {run.id: run.state for run in runs.all_for("")} == {"good": "done", "bad": "stopped"}


def test_runs_that_the_page_began_are_their_owners(runs: Runs) -> None:
    made(runs, "by-command", *STAGES)
    begun(made(runs, "mine", *STAGES), owner="me")
    assert {run.id for run in runs.all_for("me")} == {"by-command", "mine"}
    assert {run.id for run in runs.all_for("other")} == {"by-command"}
    with pytest.raises(NotFoundError):
        runs.get("other", "mine")


def test_a_run_that_the_person_of_this_machine_began_is_no_guests(runs: Runs) -> None:
    begun(made(runs, "mine", *STAGES), owner="")
    assert [run.id for run in runs.all_for("")] == ["mine"]
    assert runs.all_for("guest") == []


@pytest.mark.parametrize("name", ["..", ".", "", "../secret", "one/../../secret", "/etc", "one\0", "ONE", "missing"])
def test_no_other_name_leads_anywhere(runs: Runs, tmp_path: Path, name: str) -> None:
    made(runs, "one", *STAGES)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "run.json").write_text("{}")
    with pytest.raises(NotFoundError):
        runs.root("", name)


def test_rollouts_are_found_by_problem_while_the_file_grows(runs: Runs) -> None:
    folder = made(runs, "one")
    run = runs.opened(folder.root)
    problems = [ProblemRow(id=f"p{n}", prompt=f"{n}?", gold=str(n), source="test") for n in range(3)]
    rows = [trace(problem, sample) for sample in range(2) for problem in problems]
    write_rows(folder.verified, rows[:3])
    run.verified.read_on()
    assert run.verified.problems() == ["p0", "p1", "p2"]
    assert [row["sample"] for row in run.verified.rows("p1")] == [0]
    with folder.verified.open("ab") as file:
        file.write(b"".join(msgspec.json.encode(row) + b"\n" for row in rows[3:]) + b'{"id": "cut')
    run.verified.read_on()
    assert [row["sample"] for row in run.verified.rows("p1")] == [0, 1]
    assert list(run.verified.rows("p1"))[1]["reasoning"] == "thought 1 of p1"
    assert run.verified.problems(not_right=True) == ["p1"]


def test_a_row_with_spoiled_bytes_costs_no_other_row(runs: Runs) -> None:
    folder = made(runs, "one")
    row = msgspec.json.encode(trace(ProblemRow(id="p1", prompt="1?", gold="1", source="test"), 0))
    folder.verified.write_bytes(row.replace(b"thought", b"\xff\xfe") + b"\n" + row + b"\n")
    run = runs.opened(folder.root)
    run.verified.read_on()
    assert len(list(run.verified.rows("p1"))) == 1


def trace(problem: ProblemRow, sample: int) -> TraceRow:
    verdict: Verdict = "wrong" if (problem.id, sample) == ("p1", 1) else "right"
    return TraceRow(
        id=f"{problem.id}-{sample}", problem=problem, teacher=Teacher(name="t"), sample=sample, answer="a",
        reasoning=f"thought {sample} of {problem.id}", finish_reason="stop", created=0.0, verdict=verdict,
    )  # fmt: skip


def test_samples_of_models_are_found_by_problem(runs: Runs) -> None:
    folder = made(runs, "one")
    rows = [
        SampleRow(model=model, quant="Q8_0", set="s", problem_id="p", sample=0, reasoning=None, answer=model,
                  finish_reason="stop", verdict="right")
        for model in ("teacher", "base", "student")
    ]  # fmt: skip
    write_rows(folder.samples, rows)
    run = runs.opened(folder.root)
    run.samples.read_on()
    assert [row["answer"] for row in run.samples.rows("p")] == ["teacher", "base", "student"]


def test_answers_whose_questions_are_not_there_are_shown_without(runs: Runs) -> None:
    folder = made(runs, "one", "base")
    assert list(runs.opened(folder.root).asked.rows("p0")) == []


def recipe(runs: Runs, *done: str) -> RunFolder:
    """A recipe as distill leaves it when these of its steps are done."""
    folder = RunFolder(runs.folder / "zero")
    steps = [{"name": "base", "kind": "stream"}, {"name": "rl", "kind": "grpo"}]
    record = {"created": 1.0, "recipe": "r1-zero", "config": {"name": "zero-small", "student": {"name": "small"}},
              "plan": ["base", "rl"], "steps": steps, "verdict": "It rose."}  # fmt: skip
    folder.write_json(folder.record, {**record, "stages": {name: {"seconds": 1.0} for name in done}})
    return folder


def test_the_stages_of_a_recipe_are_its_steps(runs: Runs) -> None:
    folder = recipe(runs, "base")
    folder.log("rl", 3, share=0.5, held_out_accuracy=0.25)
    with FileLock(folder.root / ".lock"):
        run = only(runs)
    assert (run.recipe, run.student, run.verdict, run.stage) == ("r1-zero", "small", "It rose.", "rl")
    assert [(stage.name, stage.kind, stage.state) for stage in run.stages] == [
        ("base", "stream", "done"), ("rl", "grpo", "running"),
    ]  # fmt: skip
    assert (run.share, run.stages[1].numbers["held_out_accuracy"]) == (0.75, 0.25)
    assert only(runs).state == "stopped"
    recipe(runs, "base", "rl")
    assert only(runs).state == "done"


def test_rows_of_a_recipe_lie_in_its_steps_and_nowhere_else(runs: Runs) -> None:
    folder = recipe(runs, "base")
    opened = runs.opened(folder.root)
    assert opened.steps() == {}
    answers: list[tuple[int, str, Verdict, bool]] = [
        (0, "a", "right", True), (0, "b", "wrong", True), (1, "c", "wrong", False), (25, "a", "right", True),
        (25, "b", "right", True),
    ]  # fmt: skip
    rows = [
        RolloutRow(step=step, problem_id=problem, prompt="?", reasoning=None, answer=str(step), finish_reason="stop",
                   verdict=verdict, watched=watched)
        for step, problem, verdict, watched in answers
    ]  # fmt: skip
    step = RunFolder(folder.root / "steps" / "2-rl")
    write_rows(step.rollouts, rows)
    assert list(opened.steps()) == ["rl"] and opened.step("rl").kinds() == {"watched": step.rollouts.stat().st_size}
    found = opened.step("rl").watched
    found.read_on()
    assert (found.problems(), found.became_right()) == (["a", "b"], ["b"])
    assert [row["answer"] for row in found.rows("b")] == ["0", "25"]
    for name in ("base", "../2-rl", "2-rl", ".."):
        with pytest.raises(NotFoundError):
            opened.step(name)


def test_a_plan_that_points_elsewhere_leads_nowhere(runs: Runs, tmp_path: Path) -> None:
    folder = recipe(runs)
    (folder.root / "steps").mkdir()
    (tmp_path / "secret").mkdir()
    for plan in (["x/../../../../secret"], [3], "base", [None]):
        folder.write_json(folder.record, {"plan": plan, "steps": 3})
        assert runs.opened(folder.root).steps() == {}
        assert only(runs).state == "stopped"
