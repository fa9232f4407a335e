"""`r1chat distill` before any stage begins: whoever mistyped is told in one line, and nobody is let in twice."""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from r1chat.app.commands.distill import add_parser, run
from r1chat.app.distilling.run_folders import alone
from r1chat.app.errors import UsageError


def distill(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers(dest="command"))
    return run(parser.parse_args(["distill", *argv]))


def test_two_at_work_in_one_folder_are_refused(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(UsageError, match=r"Another r1chat is at work.*: r1chat distill"):
        distill("report", "--student", "tiny", "--run-dir", str(tmp_path))
    assert not (tmp_path / "run.json").exists()
    distill("report", "--student", "tiny", "--run-dir", str(tmp_path))


def test_who_only_looks_whether_a_folder_is_taken_bars_nobody(tmp_path: Path) -> None:
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            with FileLock(tmp_path / ".lock"):  # as is_locked() does
                time.sleep(0.001)
            time.sleep(0.001)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(20):
            with alone(tmp_path):
                pass
    finally:
        done.set()
        looking.join()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("evaluate", "--eval", "generated:sums"), "r1chat distill --eval generated-test:sums"),
        (("evaluate", "--eval", "generated:nosuch"), "r1chat distill generate --problems generated:sequence"),
        (("--language", "xx"), "r1chat distill --language en"),
        (("--sandbox", "--eval", "livecodebench"), "r1chat distill --eval SPEC"),
        (("--student", "./nowhere"), "r1chat distill --student qwen-1.5b"),
    ],
)
def test_what_is_refused_of_a_run_that_is_there_ends_with_a_command_for_that_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...], told: str
) -> None:
    """Typed as it stands, it would ask which run."""
    monkeypatch.setattr("r1chat.distill.verify.sandbox.why_no_jail", lambda: "no user namespaces")
    (tmp_path / "run.json").write_text('{"options": {"student": "tiny"}}')
    with pytest.raises(UsageError) as refused:
        distill(*asked, "--run-dir", str(tmp_path))
    of_run = "" if "--student" in told else f" --run-dir {tmp_path}"
    assert str(refused.value).endswith(f": {told}{of_run}")


def test_a_file_is_no_folder_of_a_run(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match=r"cannot be the folder of a run .*: r1chat distill --run-dir DIR"):
        distill("report", "--student", "tiny", "--run-dir", str(file))


def test_a_path_that_no_system_takes_is_no_folder_of_a_run(tmp_path: Path) -> None:
    for student in (["--student", "tiny"], ["--recipe", "r1-zero"]):
        with pytest.raises(UsageError, match=r": r1chat distill "):
            distill("report", *student, "--run-dir", str(tmp_path / ("x" * 300)))


@pytest.mark.parametrize("damage", ["{", '{"options": 3}', "[]", '{"options": {"student": "tiny", "samples": "x"}}'])
def test_a_damaged_record_is_told_in_one_line(tmp_path: Path, damage: str) -> None:
    (tmp_path / "run.json").write_text(damage)
    with pytest.raises(UsageError, match=r"run\.json.*: r1chat distill "):
        distill("report", "--run-dir", str(tmp_path))


def test_the_command_that_mends_says_for_which_run(tmp_path: Path) -> None:
    folder = str(tmp_path / "a run")
    with pytest.raises(UsageError, match=rf"FILE\.jsonl --student tiny --run-dir '{folder}'$"):
        distill("--student", "tiny", "--traces", "gone.jsonl", "--run-dir", folder)
    assert distill("--student", "tiny", "--yes", "--stages", "report", "--run-dir", folder) == 0
    with pytest.raises(UsageError, match=rf": r1chat distill --sandbox --run-dir '{folder}'$"):
        distill("--run-dir", folder, "--eval", "livecodebench")


@pytest.mark.parametrize("stages", ["", ",", "sft,exprot"])
def test_stages_that_are_none_are_refused(tmp_path: Path, stages: str) -> None:
    with pytest.raises(UsageError, match=r"no stage .*--stages base,generate"):
        distill("--student", "tiny", "--run-dir", str(tmp_path), "--stages", stages)


def test_spaces_between_stages_do_not_matter(tmp_path: Path) -> None:
    assert distill("--student", "tiny", "--yes", "--run-dir", str(tmp_path), "--stages", " report, ") == 0
