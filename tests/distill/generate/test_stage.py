"""The stage: what it asks of a teacher, what it leaves in the run folder, and what it does not ask twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from live_server import LiveServer, start_model
from shaky_teacher import Body, ShakyTeacher, shaky_teacher

from r1chat.distill.errors import DistillError
from r1chat.distill.filter.checks import check_finished
from r1chat.distill.filter.funnel import Drop
from r1chat.distill.generate.collect import Request, collect
from r1chat.distill.generate.config import GenerateConfig
from r1chat.distill.generate.teacher import RESTRICTED, licence_of
from r1chat.distill.host import Served
from r1chat.distill.rows import ProblemRow, RowAppender, Teacher, TraceRow, read_rows
from r1chat.serve.client import Completion
from r1chat.serve.models import bundled

from .conftest import Run

DEMO = Path(str(bundled.__path__[0])) / "r1chat-demo.gguf"


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(DEMO) as server:
        yield server


@pytest.fixture
def teacher() -> Iterator[ShakyTeacher]:
    with shaky_teacher() as teacher:
        yield teacher


def served(server: LiveServer, name: str) -> Any:
    """What a host gives for a model of this machine."""

    @asynccontextmanager
    async def serve(model: str, *, adapter: Path | None = None) -> AsyncIterator[Served]:
        yield Served(server.url, "demo", Teacher(name=name, sha256="ab" * 32, licence="MIT"))

    return serve


def test_the_bundled_model_teaches_and_is_not_asked_twice(run: Run, demo: LiveServer) -> None:
    run.serve = served(demo, "demo")
    wanted: dict[str, Any] = {
        "problems": ("generated:all_but",),
        "max_problems": 5,
        "k": 2,
        "max_tokens": 400,
        "teacher": "demo",
    }
    summary = run.generate(**wanted)
    assert (summary["problems"], summary["traces"], summary["asked"], summary["unanswered"]) == (5, 10, 10, 0)
    assert summary["teacher"]["name"] == "demo" and summary["licences"] == {"MIT": 10}

    problems = list(read_rows(run.folder.problems, ProblemRow))
    rows = run.traces()
    assert [(row.problem, row.sample) for row in rows] == [(p, i) for p in problems for i in range(2)]
    assert len({row.id for row in rows}) == len({row.params["seed"] for row in rows}) == 10
    assert all(row.reasoning and row.answer and row.finish_reason == "stop" for row in rows)
    assert all(row.n_tokens and row.n_reasoning_tokens and row.seconds is not None for row in rows)
    assert sum(row.n_tokens or 0 for row in rows) == summary["tokens"]
    right = sum(f"\\boxed{{{row.problem.gold}}}" in row.answer for row in rows)
    assert right >= 6, "the bundled model solves most of what it was made for"
    assert [e.value for e in run.events if e.metric == "share"][-1] == 1.0

    before = run.folder.traces.read_bytes()
    again = run.generate(**wanted)
    assert (again["asked"], again["reused"]) == (0, 10)
    assert run.folder.traces.read_bytes() == before
    more = run.generate(**{**wanted, "k": 3})
    assert (more["asked"], more["reused"], more["traces"]) == (5, 10, 15)


def test_a_thought_that_the_server_ended_for_the_teacher_teaches_nobody_to_end(run: Run, demo: LiveServer) -> None:
    run.serve = served(demo, "demo")
    run.generate(problems=("generated:all_but",), max_problems=2, k=1, max_tokens=20, teacher="demo")
    rows = run.traces()
    assert [row.finish_reason for row in rows] == ["thought_reserve"] * 2 and all(row.answer for row in rows)
    assert [check_finished(row) for row in rows] == [Drop("unfinished", "thought_reserve")] * 2


def test_traces_of_another_teacher_are_kept_apart_and_come_back(run: Run, teacher: ShakyTeacher) -> None:
    wanted: dict[str, Any] = {"problems": run.problems(5), "k": 2, "teacher": teacher.url}
    run.generate(**wanted)
    first = run.folder.traces.read_bytes()
    teacher.models = ["qwq-32b"]
    assert run.generate(**wanted)["asked"] == 10
    assert {row.teacher.name for row in run.traces()} == {"qwq-32b"}
    assert run.generate(**wanted, temperature=1.0)["asked"] == 10, "other settings are other traces"
    assert run.generate(**wanted, temperature=1.0, seed=7)["asked"] == 10, "so are those of another seed"
    teacher.models = ["deepseek-reasoner"]
    assert run.generate(**wanted)["asked"] == 0
    assert run.folder.traces.read_bytes() == first


def test_a_gold_that_was_mended_reaches_the_traces_without_asking_anew(run: Run, teacher: ShakyTeacher) -> None:
    (path,) = run.problems(2)
    run.generate(problems=(path,), k=1, teacher=teacher.url)
    Path(path).write_text(Path(path).read_text().replace('"answer": "2"', '"answer": "two"'))
    assert run.generate(problems=(path,), k=1, teacher=teacher.url)["asked"] == 0
    assert [row.problem.gold for row in run.traces()] == ["1", "two"]


@pytest.mark.parametrize(
    ("deltas", "reasoning", "answer"),
    [
        ([{"reasoning_content": "A \n"}, {"reasoning_content": "b"}, {"content": "c"}], "A \nb", "c"),
        ([{"reasoning": "A"}, {"content": "c"}], "A", "c"),
        ([{"content": "<think>\nA\n\nb\n</think>\n\nc </think>"}], "A\n\nb", "c </think>"),
        ([{"content": "A, opened by the template\n</thi"}, {"content": "nk>\n\nc"}], "A, opened by the template", "c"),
        ([{"content": "c, and no thought"}], None, "c, and no thought"),
        ([{"content": "<think>\nnever ends"}], "never ends", ""),
    ],
)
def test_the_thought_is_found_wherever_a_server_puts_it(
    run: Run, teacher: ShakyTeacher, deltas: list[Body], reasoning: str | None, answer: str
) -> None:
    teacher.reply_of = lambda body: deltas
    run.generate(problems=run.problems(1), k=1, teacher=teacher.url)
    (row,) = run.traces()
    assert (row.reasoning, row.answer) == (reasoning, answer)


def test_a_url_gets_the_key_and_standard_fields_only(run: Run, teacher: ShakyTeacher) -> None:
    run.key = "sk-secret"
    run.generate(problems=run.problems(3), k=2, teacher=teacher.url)
    assert {ask.authorization for ask in teacher.asks} == {"Bearer sk-secret"}
    fields = {"messages", "model", "stream", "stream_options", "temperature", "top_p", "max_tokens", "seed"}
    assert all(set(ask.body) == fields for ask in teacher.asks)
    assert "sk-secret" not in "".join(path.read_text() for path in run.root.iterdir())


def test_ready_traces_end_before_the_cap_and_are_the_same_ones_each_time(run: Run, tmp_path: Path) -> None:
    lines = [{"prompt": f"p{i}", "reasoning": "r" * 336, "content": "done"} for i in range(10)]
    lines[1]["completion_tokens"] = 300  # type: ignore[assignment]
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = run.generate(traces=(str(path),), max_trace_tokens=700)
    assert (summary["traces"], summary["tokens"]) == (5, 700)
    assert summary["sources"] == {str(path): f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"}
    before = run.folder.traces.read_bytes()
    assert run.generate(traces=(str(path),), max_trace_tokens=700)["traces"] == 5
    assert run.folder.traces.read_bytes() == before
    assert run.generate(traces=(str(path),), max_trace_tokens=100)["traces"] == 1
    assert run.generate(traces=(str(path),))["traces"] == 10


def test_what_ready_traces_took_their_teacher_is_no_cost_of_this_run(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(json.dumps({"prompt": "p", "reasoning": "r", "content": "c", "seconds": 3.0}) + "\n")
    run.generate(traces=(str(path),))
    assert [row.seconds for row in read_rows(run.folder.traces, TraceRow)] == [None]


def test_traces_of_a_file_that_was_edited_are_those_it_has_now(run: Run, tmp_path: Path) -> None:
    lines = [json.dumps({"id": i, "prompt": f"p{i}", "reasoning": f"r{i}", "content": "c"}) + "\n" for i in range(3)]
    path, keys = tmp_path / "traces.jsonl", tmp_path / "keys.json"
    path.write_text("".join(lines))
    run.generate(traces=(str(path),))
    path.write_text("".join(lines[1:]).replace("r2", "r two"))
    keys.write_text('{"2": "6"}')
    run.generate(traces=(f"{path}@{keys}",))
    assert [(row.reasoning, row.problem.gold) for row in run.traces()] == [("r1", None), ("r two", "6")]


def test_files_of_one_name_lose_no_rows_to_each_other(run: Run, tmp_path: Path) -> None:
    traces, problems = [], []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        traces.append(tmp_path / folder / "train.jsonl")
        traces[-1].write_text(json.dumps({"prompt": f"p {folder}", "reasoning": "r", "content": "c"}) + "\n")
        problems.append(tmp_path / folder / "asked.jsonl")
        row = {"id": "1", "prompt": f"p {folder}", "gold": folder, "source": "mine"}
        problems[-1].write_text(json.dumps(row) + "\n")
    run.generate(traces=tuple(map(str, traces)), problems=tuple(map(str, problems)))
    assert [(row.problem.prompt, row.problem.gold) for row in run.traces()] == [("p a", "a"), ("p b", "b")]
    assert len({row.problem.id for row in run.traces()}) == 2


def test_a_problem_that_was_reworded_is_asked_anew(run: Run, teacher: ShakyTeacher, tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    for prompt in ("One?", "Two?"):
        path.write_text(json.dumps({"id": "1", "prompt": prompt, "gold": "1", "source": "mine"}) + "\n")
        run.generate(problems=(str(path),), k=1, teacher=teacher.url)
    assert [row.reasoning for row in run.traces()] == ["I think of Two?\nWait."]


class OddTeacher:
    """Its characters come in halves, and its counts are none."""

    async def ask(self, messages: list[Body], seed: int) -> Completion:
        usage = {"completion_tokens": "7", "completion_tokens_details": [1]}
        return Completion("", "<think>\ud83d\ude00 \udfff</think>fine", "stop", usage, {})


def test_what_no_file_can_hold_does_not_end_a_run(tmp_path: Path) -> None:
    request = Request("id", ProblemRow(id="p", prompt="p", gold=None, source="s"), 0, 1)
    with RowAppender(tmp_path / "rows.jsonl") as rows:
        asyncio.run(collect(OddTeacher(), Teacher(name="t"), GenerateConfig(), [request], rows.append))  # type: ignore[arg-type]
    (row,) = read_rows(tmp_path / "rows.jsonl", TraceRow)
    assert (row.reasoning, row.answer, row.n_tokens) == ("\U0001f600 \ufffd", "fine", None)


def test_problems_beside_ready_traces_lend_them_their_golds(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text('{"prompt": "What is  0 + 1?", "reasoning": "r", "content": "1"}\n')
    run.generate(traces=(str(path),), problems=run.problems(2))
    assert [row.problem.gold for row in run.traces()] == ["1"]


def test_ready_traces_come_before_those_of_the_teacher(run: Run, teacher: ShakyTeacher, tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text('{"prompt": "p", "reasoning": "r", "content": "c"}\n')
    summary = run.generate(traces=(str(path),), problems=run.problems(2), k=1, teacher=teacher.url)
    assert [row.problem.prompt for row in run.traces()] == ["p", "What is 0 + 1?", "What is 1 + 1?"]
    assert (summary["ready"], summary["asked"], summary["licences"]) == (1, 2, {"unknown": 1, "MIT": 2})


@pytest.mark.parametrize(
    ("settings", "ends_with"),
    [
        ({}, "--teacher demo"),
        ({"problems": ("generated",)}, "--teacher demo"),
        ({"teacher": "x"}, "--problems generated"),
    ],
)
def test_a_stage_with_nothing_to_do_says_what_to_name(run: Run, settings: dict[str, Any], ends_with: str) -> None:
    with pytest.raises(DistillError) as error:
        run.generate(**settings)
    assert str(error.value).endswith(ends_with)


def test_of_several_models_one_must_be_named(run: Run, teacher: ShakyTeacher) -> None:
    teacher.models = ["deepseek-chat", "deepseek-reasoner"]
    with pytest.raises(DistillError, match=r"deepseek-chat, deepseek-reasoner.*--teacher-model ID$"):
        run.generate(problems=run.problems(1), k=1, teacher=teacher.url)
    run.generate(problems=run.problems(1), k=1, teacher=teacher.url, teacher_model="deepseek-reasoner")
    assert teacher.asks[0].body["model"] == "deepseek-reasoner"


def test_a_damaged_row_is_named_with_the_command_that_takes_it_out(run: Run, teacher: ShakyTeacher) -> None:
    run.generate(problems=run.problems(2), k=1, teacher=teacher.url)
    lines = run.folder.traces.read_text().splitlines(keepends=True)
    run.folder.traces.write_text(lines[0][:40] + "\n" + lines[1])
    with pytest.raises(DistillError, match=r"line 1: .*sed -i.bak 1d .*traces\.jsonl$"):
        run.generate(problems=run.problems(2), k=1, teacher=teacher.url)


def test_licences_of_well_known_teachers() -> None:
    assert licence_of("deepseek-ai/DeepSeek-R1") == "MIT"
    assert licence_of("deepseek-ai/DeepSeek-R1-Distill-Llama-8B") == "Llama 3"
    assert licence_of("somebody/else") is None
    assert "api.openai.com" in RESTRICTED
