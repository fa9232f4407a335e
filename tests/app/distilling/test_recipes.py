"""`r1chat distill --recipe` up to where the first step would begin, and the folder of a recipe in other commands."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="needs the extra `distill`")

from r1chat.app.commands.distill import add_parser, run
from r1chat.app.errors import UsageError

RECIPE = "name: own\nstudent: tiny\nsteps:\n  - {name: only, stream: {minutes: 1}}\n"


def distill(*argv: str, data: Path | None = None) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers(dest="command"))
    return run(argparse.Namespace(**{**vars(parser.parse_args(["distill", *argv])), "data": data}))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def begun(tmp_path: Path, own: Path) -> Path:
    """The folder of a run of it whose only step is not done."""
    root = tmp_path / "run"
    root.mkdir()
    (root / "run.json").write_text(json.dumps({"options": {"recipe": str(own), "seed": 3}}))
    return root


def test_without_a_yes_the_plan_is_shown_and_nothing_begun(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert distill("--recipe", str(own), "--seed", "2", data=tmp_path / "data") == 2
    said = capsys.readouterr().err
    assert "step 1    only  training on conversations, 1 minute; from random weights" in said
    assert f"folder    {tmp_path / 'data' / 'runs' / 'own-tiny-seed-2'}" in said
    assert "Nothing was begun. To begin: r1chat" in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("option", [["--epochs", "3"], ["--teacher", "demo"], ["--base-minutes", "2"]])
def test_what_stands_in_its_file_is_no_option(own: Path, tmp_path: Path, option: list[str]) -> None:
    with pytest.raises(UsageError, match=rf"{option[0]} is no option of a recipe.*--recipe FILE\.yaml$"):
        distill("--recipe", str(own), *option, "--run-dir", str(tmp_path / "run"), "--yes")


@pytest.mark.parametrize("stage", [["evaluate"], ["--stages", "sft,export"]])
def test_a_single_stage_of_a_recipe_is_refused(begun: Path, stage: list[str]) -> None:
    with pytest.raises(UsageError, match=rf"goes on where it stopped.*r1chat distill --run-dir {begun}$"):
        distill(*stage, "--run-dir", str(begun))


def test_a_mistake_in_the_file_is_a_mistake_in_use(own: Path, begun: Path) -> None:
    own.write_text(RECIPE.replace("minutes: 1", "minuts: 1"))
    with pytest.raises(UsageError, match=r"own\.yaml, line 4: .*no field 'minuts'"):
        distill("--run-dir", str(begun))


def test_a_report_is_written_of_what_there_is(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert distill("report", "--run-dir", str(begun), "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["recipe"], result["seed"], result["name"]) == ("own", 3, "own-tiny-seed-3")
    assert [(step["name"], step["minutes"], step["sets"]) for step in result["steps"]] == [("only", None, {})]
    assert not (begun / "steps").exists()


def test_a_report_of_nothing_is_refused_and_begins_nothing(own: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no run yet\. Begin one: r1chat distill --recipe"):
        distill("report", "--recipe", str(own), data=tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_report_speaks_of_the_run_that_is_there(begun: Path) -> None:
    with pytest.raises(UsageError, match=rf"own\.yaml with seed 3\. Use: r1chat distill report --run-dir {begun}$"):
        distill("report", "--run-dir", str(begun), "--seed", "4")


@pytest.mark.parametrize("choice", [["--seed", "4"], ["--student", "small"]])
def test_what_would_replace_a_run_is_shown_first(
    begun: Path, choice: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    before = (begun / "run.json").read_bytes()
    assert distill("--run-dir", str(begun), *choice) == 2
    assert "own.yaml with seed 3, which is there" in capsys.readouterr().err
    assert (begun / "run.json").read_bytes() == before


def test_a_run_of_no_recipe_is_left_alone(own: Path, tmp_path: Path) -> None:
    root = tmp_path / "plain"
    root.mkdir()
    (root / "run.json").write_text(json.dumps({"options": {"student": "tiny"}}))
    with pytest.raises(UsageError, match=r"follows no recipe.*--run-dir \S*plain-2$"):
        distill("--recipe", str(own), "--run-dir", str(root), "--yes")


def test_a_run_of_a_recipe_is_no_plain_one_under_its_name(begun: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "runs").mkdir(parents=True)
    begun.rename(data / "runs" / "mine")
    with pytest.raises(UsageError, match="is a run of a recipe"):
        distill("--student", "tiny", "--name", "mine", "--yes", data=data)
