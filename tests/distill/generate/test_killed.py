"""kill -9 and Ctrl-C in the middle of collecting: what was written stays, once, and the next start asks for the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from shaky_teacher import Fault, shaky_teacher

from r1chat.distill.rows import RowAppender, TraceRow

from .conftest import Run

# Starts the stage in a forked child and ends it soon after it has written so many more rows (0: at any time from its
# start on), so often as it is told; prints the rows after each end.
PROGRAM = """
import json, os, random, signal, sys, time
from pathlib import Path
from r1chat.distill.config import DistillConfig
from r1chat.distill.generate.config import GenerateConfig
from r1chat.distill.generate.stage import run_stage
from r1chat.distill.host import Host
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.students import STUDENTS

root, (problems, traces, url) = Path(sys.argv[1]), sys.argv[2:5]
path = root / "traces.jsonl"
settings = GenerateConfig(problems=(problems,), traces=(traces,), teacher=url, k=3, concurrency=8)
config, host = DistillConfig(STUDENTS["tiny"], root, "x", generate=settings), Host(None, None, print)
draw = random.Random(11)

def rows():
    return path.read_bytes().split(b"\\n")[:-1] if path.exists() else []

for number, more in json.loads(sys.argv[5]):
    enough = len(rows()) + more
    child = os.fork()
    if child == 0:
        try:
            run_stage(config, RunFolder(root), host)
        finally:
            os._exit(0)
    while len(rows()) < enough and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.005)
    time.sleep(draw.uniform(0, 0.03 if more else 0.2))
    os.kill(child, number)
    os.waitpid(child, 0)
    print(json.dumps([json.loads(line)["id"] for line in rows()]), flush=True)
"""


KILLS = (0, 30, 0, 40, 11, 0, 1, 17, 2, 23)


def ended(run: Run, problems: str, traces: str, url: str, ends: list[tuple[int, int]]) -> list[list[str]]:
    """The ids in traces.jsonl after each end: a signal, and after how many more rows it comes."""
    arguments = [str(run.root), problems, traces, url, json.dumps(ends)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], check=True, stdout=subprocess.PIPE, text=True, timeout=120
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


@pytest.mark.slow
def test_ten_kills_lose_and_double_no_row(run: Run, tmp_path: Path) -> None:
    (problems,) = run.problems(90)
    ready = tmp_path / "ready.jsonl"
    ready.write_text("".join(f'{{"prompt": "p{i}", "reasoning": "r", "content": "c"}}\n' for i in range(50)))
    faults = iter(range(10**9))

    def fault_of(body: object) -> Fault | None:
        return Fault("cut") if next(faults) % 23 == 0 else None

    with shaky_teacher(delay_s=0.03, fault_of=fault_of) as teacher:
        after = ended(run, problems, str(ready), teacher.url, [(9, more) for more in KILLS])
        settings: dict[str, Any] = {
            "problems": (problems,),
            "traces": (str(ready),),
            "teacher": teacher.url,
            "k": 3,
            "concurrency": 8,
        }
        last = run.generate(**settings)
        unbroken = Run(tmp_path / "unbroken")
        unbroken.generate(**settings)

    assert len(after) == 10 and 50 < len(after[-1]) < 320, "the kills came in the middle"
    for ids, later in zip(after, [*after[1:], [row.id for row in run.traces()]], strict=True):
        assert len(ids) == len(set(ids)) and set(ids) <= set(later), "what was written stays, once"
    assert last["traces"] == 50 + 90 * 3
    assert [_without_time(row) for row in run.traces()] == [_without_time(row) for row in unbroken.traces()]
    again = len(teacher.answered) - 2 * 270
    assert again <= 10 * 8, "only what was in flight when it was killed is asked for twice"


def _without_time(row: TraceRow) -> object:
    return (row.id, row.problem, row.sample, row.reasoning, row.answer, row.params, row.finish_reason)


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_there(run: Run) -> None:
    (problems,) = run.problems(100)
    ready = run.root.parent / "ready.jsonl"
    ready.write_text('{"prompt": "p", "reasoning": "r", "content": "c"}\n')
    with shaky_teacher(delay_s=0.05) as teacher:
        (ids,) = ended(run, problems, str(ready), teacher.url, [(2, 9)])
        assert 9 <= len(ids) < 301
        summary = run.generate(problems=(problems,), traces=(str(ready),), teacher=teacher.url, k=3, concurrency=8)
    assert summary["reused"] == len(ids) - 1 and summary["traces"] == 301


def test_a_row_that_was_cut_off_is_asked_for_again(run: Run) -> None:
    with shaky_teacher() as teacher:
        run.generate(problems=run.problems(3), k=1, teacher=teacher.url)
        whole = run.folder.traces.read_bytes()
        run.folder.traces.write_bytes(whole[:-20])
        assert run.generate(problems=run.problems(3), k=1, teacher=teacher.url)["asked"] == 1
    assert len(run.traces()) == 3


def test_a_kill_between_the_two_files_loses_no_row_of_another_teacher(run: Run) -> None:
    """settle copies aside first: what both files then hold counts once."""
    with shaky_teacher() as teacher:
        run.generate(problems=run.problems(3), k=1, teacher=teacher.url)
        rows = run.traces()
        with RowAppender(run.root / "traces-aside.jsonl") as aside:
            for row in rows[:2]:
                aside.append(row)
        assert run.generate(problems=run.problems(3), k=1, teacher=teacher.url)["asked"] == 0
        assert run.traces() == rows
        teacher.models = ["another"]
        run.generate(problems=run.problems(3), k=1, teacher=teacher.url)
    aside_rows = (run.root / "traces-aside.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in aside_rows] == [row.id for row in rows]
