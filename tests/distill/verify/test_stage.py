"""The stage: every row leaves with its verdict, the same each time; what was cut off is wrong; most may stand for a gold."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from r1chat.distill.config import DistillConfig
from r1chat.distill.host import Host
from r1chat.distill.rows import ProblemRow, Teacher, TraceRow, read_rows, write_rows
from r1chat.distill.run_folder import Event, RunFolder
from r1chat.distill.students import STUDENTS
from r1chat.distill.verify.config import VerifyConfig
from r1chat.distill.verify.stage import run_stage

pytest.importorskip("math_verify")
HOST = Host(serve=lambda *a, **k: None, register=lambda *a: Path(), say=lambda line: None)  # type: ignore[arg-type]


def trace(name: str, sample: int, answer: str, *, gold: str | None = None, finish: str = "stop") -> TraceRow:
    return TraceRow(
        id=f"{name}-{sample}",
        problem=ProblemRow(id=name, prompt="?", gold=gold, source="test"),
        teacher=Teacher(name="t"),
        sample=sample,
        reasoning="it may be 3, \\boxed{3}\n",
        answer=answer,
        finish_reason=finish,
        created=0.0,
    )


ROWS = [
    trace("gold", 0, "\\boxed{3}", gold="3"),
    trace("none", 0, "\\boxed{2x}"),
    trace("gold", 1, "\\boxed{3}", gold="3", finish="length"),
    trace("none", 1, "\\boxed{x+x}"),
    trace("gold", 2, "none", gold="3"),
    trace("none", 2, "\\boxed{3x}"),
    trace("none", 3, "It is two x."),
    trace("tie", 0, "\\boxed{1}"),
    trace("tie", 1, "\\boxed{2}"),
    trace("tie", 2, "\\boxed{1}"),
    trace("tie", 3, "\\boxed{2}"),
    trace("few", 0, "\\boxed{1}"),
    trace("few", 1, "\\boxed{1}"),
    trace("one", 0, "\\boxed{1}"),
]


def verified(root: Path, config: VerifyConfig | None = None) -> RunFolder:
    events: list[Event] = []
    folder = RunFolder(root, events.append)
    write_rows(folder.traces, ROWS)
    settings = DistillConfig(STUDENTS["tiny"], root, "t", verify=config or VerifyConfig(workers=1))
    summary = run_stage(settings, folder, HOST)
    assert summary["rows"] == len(ROWS)
    assert [event.value for event in events if event.metric == "share"][-1] == 1.0
    return folder


@pytest.mark.slow
def test_every_row_has_its_verdict_and_is_otherwise_as_it_was(tmp_path: Path) -> None:
    rows = list(read_rows(verified(tmp_path).verified, TraceRow))
    found = {row.id: (row.verdict, row.verdict_reason) for row in rows}
    assert found == {
        "gold-0": ("right", "equal"),
        "gold-1": ("wrong", "cut off"),
        "gold-2": ("wrong", "by math-verify"),
        "none-0": ("right", "agrees with the consensus"),
        "none-1": ("right", "agrees with the consensus"),
        "none-2": ("wrong", "against the consensus"),
        "none-3": ("unknown", "no gold"),
        **{f"tie-{i}": ("unknown", "no gold, and no consensus") for i in range(4)},
        **{f"few-{i}": ("unknown", "no gold, and no consensus") for i in range(2)},
        "one-0": ("unknown", "no gold"),
    }
    by_id = {row.id: row for row in rows}
    assert (by_id["none-2"].consensus, by_id["none-2"].consensus_share) == ("2x", 2 / 4)
    assert (by_id["gold-0"].pass_rate, by_id["none-0"].pass_rate) == (1 / 3, 2 / 3)
    assert by_id["tie-0"].pass_rate is None
    assert [dropped(row) for row in rows] == ROWS


def test_two_files_that_both_count_from_one_have_votes_of_their_own(tmp_path: Path) -> None:
    rows = [trace("1", sample, f"\\boxed{{{answer}}}") for sample, answer in enumerate("5558888888")]
    mine, others = rows[:3], [
        msgspec.structs.replace(row, problem=msgspec.structs.replace(row.problem, prompt="Another?"))
        for row in rows[3:]
    ]  # fmt: skip
    folder = RunFolder(tmp_path)
    write_rows(folder.traces, [*mine, *others])
    settings = VerifyConfig(workers=1, consensus_samples=3)
    run_stage(DistillConfig(STUDENTS["tiny"], tmp_path, "t", verify=settings), folder, HOST)
    found = list(read_rows(folder.verified, TraceRow))
    assert [row.consensus for row in found] == ["5"] * 3 + ["8"] * 7
    assert {(row.verdict, row.pass_rate) for row in found} == {("right", 1.0)}


def dropped(row: TraceRow) -> TraceRow:
    """Without what the stage fills in."""
    return msgspec.structs.replace(
        row, verdict=None, verdict_reason=None, consensus=None, consensus_share=None, pass_rate=None
    )


@pytest.mark.slow
def test_the_same_traces_give_the_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    one = verified(tmp_path / "one").verified.read_bytes()
    two = verified(tmp_path / "two", VerifyConfig(workers=2)).verified.read_bytes()
    assert one == two


INTERRUPTED = """
import sys
from pathlib import Path
from r1chat.distill.config import DistillConfig
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.students import STUDENTS
from r1chat.distill.verify.stage import run_stage
root = Path(sys.argv[1])
folder = RunFolder(root)
print("begun", flush=True)
run_stage(DistillConfig(STUDENTS["tiny"], root, "t"), folder, None)
"""


@pytest.mark.slow
def test_ctrl_c_ends_it_soon_and_leaves_neither_half_a_file_nor_a_process(tmp_path: Path) -> None:
    bombs = [trace(f"bomb-{i}", 0, f"\\boxed{{9^{{9^{{9^{{{i}}}}}}}}}", gold="4") for i in range(9, 60)]
    write_rows(tmp_path / "traces.jsonl", bombs)
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as run:
        assert run.stdout and run.stdout.readline() == b"begun\n"
        wait_for(lambda: len(children_of(run.pid)) == 2)
        children = children_of(run.pid)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(60) != 0
    assert children
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert sorted(path.name for path in tmp_path.iterdir() if "verified" in path.name) == []


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split() + [
        child
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.name != str(pid)
        for child in (task / "children").read_text().split()
    ]


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")
