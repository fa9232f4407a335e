"""The page of a run: what is in it, what it says of what is missing, and that it is one file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from r1chat.distill.config import DistillConfig
from r1chat.distill.host import Host
from r1chat.distill.report.stage import run_stage
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.students import STUDENTS

from .conftest import FinishedRun

FIGURES = {"funnel", "training", "accuracy", "pass-at-k", "lengths"}


def sections(page: str) -> dict[str, str]:
    return dict(re.findall(r'<section id="(\w+)"(.*?)</section>', page, flags=re.DOTALL))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedRun, str]:
    """A run with its page; for tests that only look."""
    run = FinishedRun(tmp_path_factory.mktemp("shared") / "run")
    return run, run.report()


@pytest.fixture(scope="module")
def page(shared: tuple[FinishedRun, str]) -> str:
    return shared[1]


def test_a_finished_run_has_every_section_and_its_pictures_beside_it(shared: tuple[FinishedRun, str]) -> None:
    run, page = shared
    assert "The student solves 60.0\u00a0% of the problems of unseen, 40.0 points more (37.0 to 43.0)" in page
    assert list(sections(page)) == [
        "accuracy", "data", "forecast", "training", "lengths", "answers", "export", "cost", "protocol",
    ]  # fmt: skip
    assert "This does it:" not in page
    pictures = {path.name for path in run.folder.report.iterdir()} - {"index.html"}
    assert pictures == {f"{name}{scheme}.png" for name in FIGURES for scheme in ("", "-dark")}
    assert page.count("<img ") == len(FIGURES)


def test_numbers_of_every_stage_are_in_the_page(page: str) -> None:
    found = sections(page)
    assert "12 of 16 traces were kept" in found["data"] and "3 wrong, 1 unfinished" in found["data"]
    assert "few rows" in found["forecast"]
    assert "1 of 40" in found["export"] and "0.0004" in found["export"]
    assert "2\u00a0min 15\u00a0s" in found["cost"] and "Energy was not measured" in found["cost"]
    assert "evaluate.max_tokens" in found["protocol"] and "c0ffee" in found["protocol"]
    assert "Problem 10 " in found["answers"] and "Problem 11 " not in found["answers"]
    for text in ("What is 3 + 3?", "teacher thinks", "base answers", "✗ wrong", "✓ right", "✓ right, cut off"):
        assert text in found["answers"]


def test_the_page_fetches_nothing_and_runs_nothing(page: str) -> None:
    assert not re.search(r"<(script|link|iframe|object|base)\b|\son\w+=|@import|url\(", page)
    targets = re.findall(r'(?:src|srcset|href)="([^"]{0,40})', page)
    assert targets and all(target.startswith(("data:image/png;base64,", "#")) for target in targets)


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes_and_says_how_far_it_is(shared: tuple[FinishedRun, str]) -> None:
    run, _ = shared
    before = {path.name: path.read_bytes() for path in run.folder.report.iterdir()}
    told = len(run.folder.read_events("report"))
    run.report()
    assert {path.name: path.read_bytes() for path in run.folder.report.iterdir()} == before
    shares = [event["value"] for event in run.folder.read_events("report")[told:]]
    assert len(shares) > 1 and shares == sorted(shares) and shares[-1] == 1.0


def test_what_is_not_measured_yet_is_told_with_its_command_and_has_no_old_pictures(finished: FinishedRun) -> None:
    finished.folder.evaluation.unlink()
    finished.folder.samples.unlink()
    finished.folder.report.mkdir()
    (finished.folder.report / "accuracy.png").write_bytes(b"of an earlier report")
    page = finished.report()
    for section in ("accuracy", "answers"):
        assert f"r1chat distill evaluate --run-dir {finished.folder.root}" in sections(page)[section]
    assert "What this student gained was not measured yet." in page
    assert "4 wrong" not in sections(page)["data"] and "3 wrong" in sections(page)["data"]
    assert {path.name for path in finished.folder.report.glob("[!.]*-dark.png")} == {
        "funnel-dark.png", "training-dark.png", "lengths-dark.png",
    }  # fmt: skip
    assert not (finished.folder.report / "accuracy.png").exists()


def test_a_run_that_has_only_begun_has_a_page(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a run")
    summary = run_stage(DistillConfig(STUDENTS["tiny"], folder.root, "new"), folder, Host(print, print, print))  # type: ignore[arg-type]
    page = Path(summary["page"]).read_text(encoding="utf-8")
    assert summary["verdict"] is None
    assert page.count("This does it:") == 8
    for command in ("evaluate", "filter", "sft", "export", "generate"):
        assert f"r1chat distill {command} --run-dir &#39;{folder.root}&#39;" in page
    assert "max_trace_tokens" in page
    assert "Versions" not in page, "those of whoever makes the page are not the run's"


def test_a_page_of_two_states_of_a_run_says_so_on_top(finished: FinishedRun) -> None:
    """The funnel may be that of a filter that was done alone since the student was trained."""
    assert "two states" not in finished.report()
    record = finished.folder.read_json(finished.folder.record)
    record["stages"]["sft"]["fingerprint"] = "of other traces"
    finished.folder.write_json(finished.folder.record, record)
    told = f"since sft ran, .*have changed. .*r1chat distill --run-dir {finished.folder.root}</p>"
    assert re.search(told, finished.report())


def test_what_was_not_measured_is_left_out(finished: FinishedRun) -> None:
    """No teacher, one sample a problem, and the texts of the problems lost."""
    evaluation = finished.evaluation()
    evaluation["models"] = [model for model in evaluation["models"] if model["key"] != "teacher"]
    evaluation["comparisons"] = [c for c in evaluation["comparisons"] if not c["to"].startswith("teacher")]
    for model in evaluation["models"]:
        model["sets"]["unseen"]["pass_at_k"] = {"1": 0.5}
    finished.folder.write_json(finished.folder.evaluation, evaluation)
    finished.folder.asked.unlink()
    page = finished.report()
    assert "its teacher" not in page and "teacher thinks" not in page and "base thinks" in page
    assert not (finished.folder.report / "pass-at-k.png").exists()
    assert "What is 3 + 3?" not in sections(page)["answers"] and "Problem p" in sections(page)["answers"]
