"""What a person is shown before a run begins: whose traces, how many, how long and how large, without any network."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_folders import chat_folder

from r1chat.distill.config import DistillConfig
from r1chat.distill.errors import DistillError
from r1chat.distill.export.config import ExportConfig
from r1chat.distill.generate.config import GenerateConfig
from r1chat.distill.generate.ready import take_over
from r1chat.distill.generate.store import TraceStore
from r1chat.distill.plan import Plan, make_plan
from r1chat.distill.sft import forecast
from r1chat.distill.sft.config import SftConfig
from r1chat.distill.students import find_student

pytest.importorskip("torch", reason="needs the extra `distill`")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    def refuse(*_: Any) -> None:
        raise AssertionError("a plan asks no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(forecast, "measure_flops", lambda: 1e13)


def planned(student: str = "qwen-1.5b", generate: GenerateConfig | None = None, **sft: Any) -> Plan:
    known = generate or GenerateConfig(traces=("openr1-math",), max_trace_tokens=200_000_000)
    return make_plan(DistillConfig(find_student(student), Path("run"), "x-r1", generate=known, sft=SftConfig(**sft)))


def write_traces(path: Path, count: int, words: int) -> Path:
    row = {
        "prompt": "What is 2 + 2?",
        "reasoning": "so it is " * words,
        "content": "\\boxed{4}",
        "model": "deepseek-r1",
    }
    path.write_text("".join(json.dumps({"id": str(i), **row, "licence": "MIT"}) + "\n" for i in range(count)))
    return path


def test_the_plan_of_a_student_whose_base_is_not_here_says_all_that_is_asked_of_it() -> None:
    plan = planned()
    text = "\n".join(plan.lines())
    assert "Qwen/Qwen2.5-Math-1.5B, 1.54 billion weights, Apache-2.0" in text
    assert "3.1 GB to download" in text
    assert "open-r1/OpenR1-Math-220k" in text
    assert "up to 200 million tokens" in text
    assert "4,096 positions; longer traces are dropped, never cut" in text
    assert "lora, learning rate 0.0002, 64 rows a step, 2 epochs" in text
    assert "lora training takes about" in text
    assert "million tokens, which takes about" in text
    assert "disk      about" in text
    assert plan.download == 2 * 1_543_714_304
    assert all(len(line) < 160 for line in plan.lines())


def test_the_cap_on_tokens_bounds_the_rows() -> None:
    counts = [
        planned(generate=GenerateConfig(traces=("openr1-math",), max_trace_tokens=cap)).rows.count
        for cap in (10_000_000, 100_000_000, None)
    ]
    assert counts == sorted(counts, key=lambda count: count or 0)
    assert counts[0] == int(10_000_000 // 5500 * 0.4)
    assert "few for 1.5 billion weights" in "\n".join(
        planned(generate=GenerateConfig(traces=("openr1-math",), max_trace_tokens=20_000_000)).lines()
    )


@pytest.mark.parametrize("counted", [{}, {"n_tokens": 100}])
def test_as_many_ready_traces_are_promised_as_the_cap_lets_through(tmp_path: Path, counted: dict[str, int]) -> None:
    rows = [
        {"id": str(i), "prompt": "p" * 300, "reasoning": "so it is " * 35, "content": "4", **counted} for i in range(30)
    ]
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ready = GenerateConfig(traces=(str(path),), max_trace_tokens=1000)
    taken_over = DistillConfig(find_student("tiny"), tmp_path, "x", generate=ready)
    with TraceStore(tmp_path / "store.jsonl") as store:
        taken = take_over(taken_over, [], store, lambda *_: None)
    assert 0 < len(taken) < 30
    assert any(f"{path}: {len(taken)} traces" in line for line in planned(generate=ready).lines())


def test_rows_of_a_file_here_are_counted_by_what_fits(tmp_path: Path) -> None:
    short, long = write_traces(tmp_path / "short.jsonl", 30, 20), write_traces(tmp_path / "long.jsonl", 5, 9000)
    plan = planned(generate=GenerateConfig(traces=(str(short), str(long))))
    text = "\n".join(plan.lines())
    assert plan.rows.count == 30
    assert f"{short}: 30 traces, of which about 30 fit" in text
    assert f"{long}: 5 traces, of which about 0 fit" in text
    assert plan.rows.row_tokens == pytest.approx(60, rel=0.2)
    assert "Traces by deepseek-r1 are under MIT" in text


def test_a_large_file_is_foreseen_as_a_whole_though_its_beginning_alone_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("r1chat.distill.plan._LOOKED_AT", 10)
    path = write_traces(tmp_path / "many.jsonl", 40, 20)
    plan = planned(generate=GenerateConfig(traces=(str(path),)))
    assert plan.rows.count == 40
    assert f"{path}: about 40 traces, of which about 40 fit" in "\n".join(plan.lines())
    capped = planned(generate=GenerateConfig(traces=(str(path),), max_trace_tokens=1000))
    assert 10 < (capped.rows.count or 0) < 40
    listed = tmp_path / "many.json"
    listed.write_text(json.dumps([json.loads(line) for line in path.read_text().splitlines()]))
    plan = planned(generate=GenerateConfig(traces=(str(listed),)))
    assert f"{listed}: at least 10 traces" in "\n".join(plan.lines())


def test_traces_of_the_hub_that_nobody_knows_are_told_so() -> None:
    plan = planned(generate=GenerateConfig(traces=("some/traces",)))
    assert plan.forecast is None
    assert "some/traces, from the hub" in "\n".join(plan.lines())
    assert "before the first step" in "\n".join(plan.lines())


def test_a_teacher_is_planned_by_what_it_is_asked() -> None:
    generate = GenerateConfig(teacher="r1:7b", problems=("gsm8k",), max_problems=500, k=4)
    plan = planned(generate=generate)
    assert plan.rows.count == 2000
    assert "r1:7b answers at most 500 problems of gsm8k, 4 times each" in "\n".join(plan.lines())
    endless = planned(generate=replace(generate, max_problems=None))
    assert endless.rows.count is None


def test_the_hours_that_a_teacher_here_needs_are_told_beforehand() -> None:
    generate = GenerateConfig(teacher="r1:7b", problems=("gsm8k",), max_problems=500, k=4, max_tokens=8192)
    config = DistillConfig(find_student("qwen-1.5b"), Path("run"), "x-r1", generate=generate)
    line = "its 2,000 answers, of 1,024 tokens say, would take it from 19.0 hours to 6 days here"
    assert line in "\n".join(make_plan(config, (4.0, 10.0)).lines())
    endless = replace(config, generate=replace(generate, max_problems=None))
    assert "each 1,000 answers" in "\n".join(make_plan(endless, (4.0, 10.0)).lines())
    assert "would take" not in "\n".join(make_plan(config).lines())


def test_without_traces_or_teacher_there_is_nothing_to_plan() -> None:
    with pytest.raises(DistillError, match=r"neither traces nor a teacher.*Use: r1chat distill"):
        planned(generate=GenerateConfig())


def test_what_is_in_a_folder_or_the_cache_is_not_downloaded_again(tmp_path: Path) -> None:
    assert planned(str(chat_folder(tmp_path / "base", "chatml"))).download == 0
    snapshot = tmp_path / "hub" / "models--Qwen--Qwen2.5-Math-1.5B" / "snapshots" / "1234"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"")
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("1234")
    assert planned().download == 0
    assert planned("qwen-7b").download > 0


def test_methods_take_less_and_less_memory_and_time_grows_with_epochs() -> None:
    plans = [planned(method=method) for method in ("full", "lora", "qlora")]
    sizes = [plan.forecast.memory.total for plan in plans if plan.forecast]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    once, twice = (planned(epochs=epochs).forecast for epochs in (1.0, 2.0))
    assert once is not None
    assert twice is not None
    assert twice.seconds == pytest.approx(2 * once.seconds, rel=0.01)


def test_a_number_of_steps_is_planned_with_the_epochs_that_it_makes(tmp_path: Path) -> None:
    traces = GenerateConfig(traces=(str(write_traces(tmp_path / "traces.jsonl", 64, 20)),))
    few, many = (planned(generate=traces, max_steps=steps) for steps in (1, 1000))
    assert "64 rows a step, 1,000 steps, about 1000 epochs" in "\n".join(many.lines())
    assert few.forecast is not None
    assert many.forecast is not None
    assert many.forecast.tokens == pytest.approx(1000 * few.forecast.tokens)
    unknown = planned(generate=GenerateConfig(traces=("some/traces",)), max_steps=5)
    assert "64 rows a step, 5 steps\n" in "\n".join(unknown.lines())


def test_disk_counts_each_gguf() -> None:
    config = planned().config
    one, three = (make_plan(replace(config, export=ExportConfig(quants=quants))).disk
                  for quants in (("Q8_0",), ("Q8_0", "F16", "Q4_K_M")))  # fmt: skip
    assert three - one > 2 * 1_543_714_304
