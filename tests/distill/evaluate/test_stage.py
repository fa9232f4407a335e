"""The stage against real servers: what it leaves, what it does not draw again, and kill -9."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from live_server import start as start_server

from r1chat.distill.config import DistillConfig
from r1chat.distill.errors import DistillError
from r1chat.distill.evaluate.arms import find_arms
from r1chat.distill.evaluate.config import EvaluateConfig
from r1chat.distill.evaluate.stage import load_sets, run_stage
from r1chat.distill.evaluate.table import evaluation_table
from r1chat.distill.export.config import ExportConfig
from r1chat.distill.generate.config import GenerateConfig
from r1chat.distill.host import Host, Served
from r1chat.distill.rows import ProblemRow, SampleRow, Teacher, TraceRow, read_rows, write_rows
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.students import find_student
from r1chat.serve.models.catalog import resolve

pytest.importorskip("math_verify", reason="needs the extra `distill`")
PROBLEMS = [f"A flock of {30 + i} sheep: how many are left when all but nine run away?" for i in range(8)]
SETTINGS = EvaluateConfig(n=8, k=2, max_tokens=300, teacher=False)
RIGHT = "All but nine ran away.\n</think>\n\nSo \\boxed{9} are left."
WRONG = "Let me subtract.\n</think>\n\nThat leaves \\boxed{8} of them."


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """Servers by the GGUF that they stand for: those who were taught count the sheep right, the base does not."""
    with start_server({"script": RIGHT}) as taught, start_server({"script": WRONG}) as untaught:
        yield {"base-Q8_0": untaught.url, "Q8_0": taught.url, "F16": taught.url, "demo": taught.url}


class Run:
    """A run's folder as export leaves it: the bundled model under every name, with bytes of its own at the end."""

    def __init__(self, root: Path, urls: dict[str, str]) -> None:
        self.folder = RunFolder(root)
        self.folder.gguf.mkdir()
        self.served: list[str] = []
        self.urls = urls
        path = root / "sheep.jsonl"
        path.write_text("".join(json.dumps({"problem": each, "answer": "9"}) + "\n" for each in PROBLEMS))
        self.config = DistillConfig(
            find_student("tiny"),
            root,
            "pupil",
            evaluate=replace(SETTINGS, sets=(str(path),)),
            export=ExportConfig(quants=("Q8_0", "F16")),
        )
        for name in ("base-Q8_0", "Q8_0", "F16"):
            self.write(name)

    def write(self, name: str, mark: bytes = b"") -> None:
        path = self.folder.gguf / f"{name}.gguf"
        shutil.copy(resolve("demo").path, path)
        with path.open("ab") as file:
            file.write(name.encode() + mark)

    def host(self) -> Host:
        @asynccontextmanager
        async def serve(model: str | Path, *, adapter: Path | None = None) -> AsyncIterator[Served]:
            self.served.append(Path(model).stem)
            yield Served(
                self.urls[Path(model).stem], "demo", Teacher(name="demo", quant="Q8_0", sha256="of-the-teacher")
            )

        return Host(serve=serve, register=lambda path, name, card: path, say=lambda line: None)

    def measure(self, **changes: Any) -> dict[str, Any]:
        self.served.clear()
        config = replace(self.config, evaluate=replace(self.config.evaluate, **changes))
        run_stage(config, self.folder, self.host())
        return self.folder.read_json(self.folder.evaluation)

    def rows(self) -> dict[str, SampleRow]:
        rows = list(read_rows(self.folder.samples, SampleRow))
        found = {row.id: row for row in rows}
        assert len(found) == len(rows), "a row is there twice"
        return found


@pytest.fixture
def run(tmp_path: Path, urls: dict[str, str]) -> Run:
    return Run(tmp_path, urls)


def test_base_and_student_are_measured_in_every_quant_and_compared(run: Run) -> None:
    evaluation = run.measure()
    assert [(m["key"], m["quant"]) for m in evaluation["models"]] == [
        ("base", "Q8_0"), ("student", "Q8_0"), ("student", "F16"),
    ]  # fmt: skip
    assert evaluation["models"][1]["name"] == "pupil"
    assert len({m["sha256"] for m in evaluation["models"]}) == 3
    base, student, _ = (model["sets"]["sheep"] for model in evaluation["models"])
    assert (base["overall"]["pass_at_1"], student["overall"]["pass_at_1"]) == (0, 1)
    assert (student["overall"]["n"], student["overall"]["k"], student["cons_at_k"]) == (8, 2, 1)
    assert student["format_rate"] == base["format_rate"] == 1
    assert student["tokens_per_right"] == student["overall"]["mean_tokens"]
    assert base["tokens_per_right"] is None
    verdicts = {(c["of"], c["to"]): (c["verdict"], c["p"]) for c in evaluation["comparisons"]}
    assert verdicts == {
        ("student/Q8_0", "base/Q8_0"): ("better", pytest.approx(2 / 2**8)),
        ("student/Q8_0", "student/F16"): ("not enough data to tell", 1),
    }
    assert len(set(evaluation["protocol"]["templates"].values())) == 1
    assert len(run.rows()) == 3 * 8 * 2
    table = evaluation_table(evaluation)
    assert "student/Q8_0 less base/Q8_0: +100.0 points (+26.1 to +100.0, p = 0.0078): better" in table
    assert "student/F16" in table


def test_what_was_drawn_is_not_drawn_again(run: Run) -> None:
    run.measure()
    before = run.folder.samples.read_bytes()
    run.measure()
    assert run.served == []
    assert run.folder.samples.read_bytes() == before


def test_answers_drawn_under_another_rule_are_judged_by_that_of_this_run(run: Run) -> None:
    evaluation = run.measure()
    rows = [msgspec.structs.replace(row, verdict="unknown", extracted=None) for row in run.rows().values()]
    cut_off = msgspec.structs.replace(rows[-1], verdict="wrong", finish_reason="length")
    write_rows(run.folder.samples, [*rows[:-1], cut_off])
    again = run.measure()
    assert run.served == []
    assert again["models"][1] == evaluation["models"][1]
    assert {(row.model, row.verdict, row.extracted) for row in run.rows().values() if row.id != cut_off.id} == {
        ("base", "wrong", "8"), ("student", "right", "9"),
    }  # fmt: skip
    assert run.rows()[cut_off.id] == cut_off


def test_of_a_new_student_all_is_drawn_anew_and_of_the_others_nothing(run: Run) -> None:
    run.measure()
    before = run.rows()
    run.write("Q8_0", b"trained on")
    run.measure()
    after = run.rows()
    assert run.served == ["Q8_0"]
    assert len(after) == len(before)
    assert {(row.model, row.quant) for row in after.values() if row.id not in before} == {("student", "Q8_0")}


def test_a_thought_that_does_not_end_is_not_ended_for_the_model_but_counted_as_cut_off(run: Run) -> None:
    with start_server({"script": " ".join(f"word{i}" for i in range(900))}) as endless:
        run.urls = {**run.urls, "Q8_0": endless.url, "F16": endless.url}
        evaluation = run.measure(k=1)
    (scores,) = evaluation["models"][1]["sets"].values()
    assert scores["overall"]["truncated"] == 1.0
    rows = [row for row in run.rows().values() if row.model == "student"]
    assert {row.n_reasoning_tokens for row in rows} == {SETTINGS.max_tokens} and not any(row.answer for row in rows)


@pytest.mark.slow
def test_more_samples_add_to_those_there_and_another_temperature_throws_them_away(run: Run) -> None:
    run.measure()
    before = run.rows()
    run.measure(k=3)
    more = run.rows()
    assert len(more) == 3 * 8 * 3
    assert all(more[id] == row for id, row in before.items())
    run.measure(temperature=0.8)
    assert not set(run.rows()) & set(more)
    run.measure(greedy=True)
    assert {row.sample for row in run.rows().values()} == {0}


def test_the_teacher_is_measured_where_the_run_has_one(run: Run) -> None:
    run.config = replace(run.config, generate=GenerateConfig(teacher="demo"))
    evaluation = run.measure(teacher=True)
    assert evaluation["models"][0]["key"] == "teacher"
    assert evaluation["models"][0]["sha256"] == "of-the-teacher"
    assert ("student/Q8_0", "teacher/Q8_0") in [(c["of"], c["to"]) for c in evaluation["comparisons"]]


def test_a_teacher_that_is_left_out_once_keeps_its_answers(run: Run) -> None:
    run.config = replace(run.config, generate=GenerateConfig(teacher="demo"))
    run.measure(teacher=True)
    before = run.rows()
    without = run.measure(teacher=False)
    assert [model["key"] for model in without["models"]] == ["base", "student", "student"]
    assert run.rows() == before
    run.served.clear()
    assert run.measure(teacher=True)["models"][0]["key"] == "teacher"
    assert run.rows() == before


def test_a_teacher_that_is_a_url_is_asked_there(run: Run) -> None:
    run.config = replace(run.config, generate=GenerateConfig(teacher=f"{run.urls['demo']}/v1", teacher_model="demo"))
    evaluation = run.measure(teacher=True)
    assert run.served == ["base-Q8_0", "Q8_0", "F16"]
    assert evaluation["models"][0]["name"] == "demo"


def test_an_adapter_is_measured_on_the_base_it_lies_beside(run: Run) -> None:
    run.write("base-F16")
    (run.folder.gguf / "adapter.gguf").write_bytes(b"first")
    config = replace(run.config, export=replace(run.config.export, adapter=True))
    base, *students = find_arms(config, run.folder)
    assert [(arm.key, arm.quant, Path(arm.model).stem) for arm in students] == [
        ("student", "Q8_0", "base-Q8_0"), ("student", "F16", "base-F16"),
    ]  # fmt: skip
    assert {arm.adapter for arm in students} == {run.folder.gguf / "adapter.gguf"}
    assert base.adapter is None
    (run.folder.gguf / "adapter.gguf").write_bytes(b"second")
    assert find_arms(config, run.folder)[0].sha256 == base.sha256
    assert find_arms(config, run.folder)[1].sha256 not in (students[0].sha256, base.sha256)


def test_damaged_answers_are_told_with_the_command(run: Run) -> None:
    run.folder.samples.write_text("not JSON\n{}\n")
    with pytest.raises(DistillError, match=r"samples\.jsonl, line 1.*: sed -i.bak 1d \S+samples\.jsonl$"):
        run.measure()


def test_a_student_that_was_not_exported_is_told_with_the_command(run: Run) -> None:
    (run.folder.gguf / "F16.gguf").unlink()
    with pytest.raises(
        DistillError, match=r"F16\.gguf is not .*: rm -f \S+parity\.json && r1chat distill export --run-dir"
    ):
        run.measure()


SCRIPT = """
    import sys
    from contextlib import asynccontextmanager
    from pathlib import Path
    from r1chat.distill.config import DistillConfig
    from r1chat.distill.evaluate.config import EvaluateConfig
    from r1chat.distill.evaluate.stage import run_stage
    from r1chat.distill.export.config import ExportConfig
    from r1chat.distill.host import Host, Served
    from r1chat.distill.rows import Teacher
    from r1chat.distill.run_folder import RunFolder
    from r1chat.distill.students import find_student

    root, url = Path(sys.argv[1]), sys.argv[2]
    sets = (str(root / "sheep.jsonl"),)
    settings = EvaluateConfig(sets=sets, n=8, k=2, max_tokens=300, teacher=False, concurrency=2)

    @asynccontextmanager
    async def serve(model, *, adapter=None):
        yield Served(url, "demo", Teacher(name="demo"))

    host = Host(serve=serve, register=lambda path, name, card: path, say=print)
    export = ExportConfig(quants=("Q8_0", "F16"))
    run_stage(DistillConfig(find_student("tiny"), root, "pupil", evaluate=settings, export=export), RunFolder(root), host)
"""


def start(run: Run) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(run.folder.root), run.urls["demo"]]
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL)


def count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_killed_it_goes_on_where_it_stopped_and_doubles_nothing(run: Run) -> None:
    for at in (3, 21, 40):
        child = start(run)
        deadline = time.monotonic() + 60
        while count(run.folder.samples) < at and child.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        # as a machine leaves it that went down while the last line was written
        with run.folder.samples.open("ab") as file:
            file.write(b'{"id":"half a li')
        before = run.folder.samples.read_bytes().rpartition(b"\n")[0].splitlines()
        assert len(before) >= at
        drawn = {json.loads(line)["id"] for line in before}
        assert len(drawn) == len(before)
    run.measure()
    rows = run.rows()
    assert len(rows) == 3 * 8 * 2
    assert drawn <= set(rows)
    kept = {json.loads(line)["id"]: line for line in run.folder.samples.read_bytes().splitlines()}
    assert all(kept[json.loads(line)["id"]] == line for line in before)


def test_a_set_that_was_added_behind_the_training_says_how_much_of_it_was_trained_on(run: Run) -> None:
    """The filter knew nothing of it."""
    traces = [
        TraceRow(
            id=prompt, problem=ProblemRow(id=prompt, prompt=prompt, gold="9", source="here"), teacher=Teacher(name="a"),
            sample=0, reasoning="So nine.", answer="9", finish_reason="stop", created=0.0,
        )
        for prompt in (PROBLEMS[0], PROBLEMS[1], "What is 1 + 1?")
    ]  # fmt: skip
    write_rows(run.folder.kept, traces)
    said: list[str] = []
    run_stage(run.config, run.folder, replace(run.host(), say=said.append))
    told = "2 traces that were trained on ask what sheep asks"
    assert any(line.startswith(told) and line.endswith(f"r1chat distill --run-dir {run.folder.root}") for line in said)
    evaluation = run.folder.read_json(run.folder.evaluation)
    assert evaluation["protocol"]["trained_on"] == {"sheep": 2}
    assert told in evaluation_table(evaluation)
    write_rows(run.folder.kept, traces[2:])
    assert "trained_on" not in run.measure()["protocol"]


def test_problems_that_nothing_can_judge_are_left_out(run: Run) -> None:
    path = run.folder.root / "mixed.jsonl"
    path.write_text('{"problem": "1 + 1?", "answer": "2"}\n{"problem": "What is love?"}\n')
    config = replace(run.config, evaluate=replace(SETTINGS, sets=(str(path),)))
    assert {name: [p.prompt for p in found] for name, found in load_sets(config).items()} == {"mixed": ["1 + 1?"]}


def test_a_set_without_a_right_answer_is_refused(run: Run) -> None:
    path = run.folder.root / "open.jsonl"
    path.write_text('{"problem": "What is love?"}\n')
    config = replace(run.config, evaluate=replace(SETTINGS, sets=(str(path),)))
    with pytest.raises(DistillError, match="has no problem with a right answer"):
        load_sets(config)


def test_code_is_not_measured_without_the_sandbox(run: Run) -> None:
    path = run.folder.root / "code.jsonl"
    check = {"tests": [{"input": "1", "output": "2"}]}
    path.write_text(json.dumps({"problem": "Add one.", "verifier": "code", "check": check}) + "\n")
    config = replace(run.config, evaluate=replace(SETTINGS, sets=(str(path),)))
    with pytest.raises(DistillError, match="Allow it: r1chat distill --sandbox"):
        load_sets(config)
