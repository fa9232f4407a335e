"""Runs begun from the page: real processes of the real command, planned, begun, stopped and refused."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from r1chat.app.runs import starting
from r1chat.app.runs.folders import Runs
from r1chat.app.runs.processes import BEGUN, Processes, begun, is_locked
from r1chat.app.runs.starting import RECIPE_STUDENTS, RECIPES, STUDENTS, Choice, Starter
from r1chat.distill.recipe.reading import bundled
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.students import STUDENTS as KNOWN
from r1chat.serve.errors import InvalidRequestError, NotFoundError

TINY = Choice(student="tiny", name="set-test-r1", traces="generated")
STARS = Choice(student="tiny", name="set-test-r1", traces="stars")
ROW = b'{"question": "What is 1+1?", "answer": "2", "reasoning": "One and one are two.", "response": "\\\\boxed{2}"}\n'


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "runs", Processes())


@pytest.fixture
def starter(runs: Runs) -> Starter:
    return Starter(runs, runs.processes)


def test_the_students_are_those_of_distill() -> None:
    of_recipes = {"small", "demo"}
    assert tuple(name for name in KNOWN if name not in of_recipes) == STUDENTS
    assert tuple(name for name, student in KNOWN.items() if student.base is None) == RECIPE_STUDENTS


def test_of_two_that_look_at_a_run_at_once_neither_takes_the_other_for_it(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    with ThreadPoolExecutor(4) as lookers:
        assert not any(lookers.map(lambda _: is_locked(tmp_path), range(2000)))


def test_the_recipes_are_those_that_need_no_gpu() -> None:
    assert {name for name in bundled() if not name.endswith("-1.5b")} == set(RECIPES)


@pytest.mark.slow
def test_the_plan_is_the_commands_and_begins_nothing(runs: Runs, starter: Starter) -> None:
    lines = starter.plan(STARS, [ROW])
    assert lines[0].startswith("student   set-test-r1, which continues a small model made here")
    assert any(line.startswith("traces    stars.jsonl: 1 traces") for line in lines)
    assert any(line.endswith(f"GB in {runs.folder / 'set-test-r1'}") for line in lines)
    assert not runs.folder.exists()


def test_a_plan_is_not_waited_for_when_the_server_ends(starter: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "command", lambda: [sys.executable, "-c", "import time; time.sleep(120)"])
    with ThreadPoolExecutor(2) as pool:
        plans = [pool.submit(starter.plan, TINY, []) for _ in range(2)]
        began = time.monotonic()
        while starter._planner is None:
            time.sleep(0.01)
        starter.close()
        for plan in plans:
            with pytest.raises(InvalidRequestError):
                plan.result()
    assert time.monotonic() - began < 30


def test_a_plan_that_begins_just_when_the_server_ends_is_not_waited_for(
    starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    popen = subprocess.Popen

    def late(*how: Any, **more: Any) -> subprocess.Popen[bytes]:
        starter.close()
        return popen([sys.executable, "-c", "import time; time.sleep(60)"], **more)

    monkeypatch.setattr(starting.subprocess, "Popen", late)
    began = time.monotonic()
    with pytest.raises(InvalidRequestError):
        starter.plan(TINY, [])
    assert time.monotonic() - began < 30


def test_the_plan_of_a_recipe_is_its_steps(runs: Runs, starter: Starter) -> None:
    pytest.importorskip("yaml", reason="needs the extra `distill`")
    lines = starter.plan(Choice(recipe="r1-zero", student="small", name="mine", traces="generated"), [])
    assert lines[0].startswith("recipe    r1-zero: ")
    assert lines[1].startswith("student   mine, of small, 2.6 million weights")
    assert [line.split()[:3] for line in lines if line.startswith("step")] == [
        ["step", "1", "base"],
        ["step", "2", "rl"],
    ]
    assert lines[-1] == f"folder    {runs.folder / 'mine'}"
    assert not runs.folder.exists()


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        (Choice(recipe="../r1", student="", name="a", traces="generated"), "recipe"),
        (Choice(recipe="r1", student="qwen-1.5b", name="a", traces="generated"), "student"),
        (Choice(student="", name="a", traces="generated"), "student"),
        (Choice(student="../x", name="a", traces="generated"), "student"),
        (Choice(student="tiny", name="../a", traces="generated"), "name"),
        (Choice(student="tiny", name="--yes", traces="generated"), "name"),
        (Choice(student="tiny", name="", traces="generated"), "name"),
        (Choice(student="tiny", name="taken", traces="generated"), "name"),
        (STARS, "traces"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(runs: Runs, starter: Starter, choice: Choice, param: str) -> None:
    RunFolder(runs.folder / "taken")
    for act in (lambda: starter.plan(choice, []), lambda: starter.start("", choice, [])):
        with pytest.raises(InvalidRequestError) as refused:
            act()
        assert refused.value.param == param
    assert [root.name for root in runs.folder.iterdir()] == ["taken"]


@pytest.mark.parametrize("recipe", ["", "r1"])
def test_a_name_that_a_model_has_is_told_before_anything_begins(starter: Starter, recipe: str) -> None:
    with pytest.raises(InvalidRequestError, match="There is a model called demo already"):
        starter.plan(Choice(recipe=recipe, student="tiny", name="demo", traces="generated"), [])


@pytest.mark.slow
def test_a_run_works_by_itself_until_it_is_stopped_and_can_go_on(runs: Runs, starter: Starter) -> None:
    pytest.importorskip("torch", reason="needs the extra `distill`")
    run_id = starter.start("me", STARS, [ROW])
    root = runs.folder / run_id
    try:
        assert runs.get("me", run_id).state == "running"
        wait_until(lambda: is_locked(root) and (root / "run.json").is_file())
        with pytest.raises(InvalidRequestError, match="The run set-test-r1 is at work"):
            starter.start("me", Choice(student="tiny", name="second", traces="generated"), [])
        with pytest.raises(NotFoundError):
            starter.stop("other", run_id)
        # another server, which did not begin it, finds and stops it by what lies in its folder
        later = Runs(runs.folder, Processes())
        assert later.get("me", run_id).state == "running"
        Starter(later, later.processes).stop("me", run_id)
        wait_until(lambda: runs.get("me", run_id).state != "running")
    finally:
        runs.processes.stop(root)
    assert (runs.get("me", run_id).state, runs.get("me", run_id).traces) == ("stopped", "stars")
    assert not is_locked(root)
    assert (root / "stars.jsonl").read_bytes() == ROW
    assert begun(root).stopped


def test_what_never_began_cannot_go_on(runs: Runs, starter: Starter) -> None:
    root = runs.folder / "early"
    root.mkdir(parents=True)
    (root / BEGUN).write_text('{"started": 1}')
    with pytest.raises(InvalidRequestError, match="ended before it began"):
        starter.go_on("", "early")
    with pytest.raises(InvalidRequestError, match="not at work"):
        starter.stop("", "early")


def wait_until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)
