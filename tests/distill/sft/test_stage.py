"""From kept traces to a student that transformers reads, or an adapter; what was told on the way is on record."""

from __future__ import annotations

import gc
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from chat_folders import chat_folder

from r1chat.distill.config import DistillConfig
from r1chat.distill.errors import DistillError
from r1chat.distill.host import Host
from r1chat.distill.rows import ProblemRow, Teacher, TraceRow, write_rows
from r1chat.distill.run_folder import Event, RunFolder
from r1chat.distill.sft.config import SftConfig
from r1chat.distill.sft.stage import run_stage, tidy
from r1chat.distill.students import STUDENTS
from r1chat.serve.files import sha256_of

pytest.importorskip("trl", reason="needs the extra `distill`")


def trace(number: int) -> TraceRow:
    problem = ProblemRow(id=f"p{number}", prompt=f"What is {number} + 2?", gold=str(number + 2), source="here")
    return TraceRow(
        id=f"t{number}", problem=problem, teacher=Teacher(name="teacher", licence="MIT"), sample=0,
        reasoning=f"{number} + 2 = {number + 2}. Yes.", answer=f"The answer is \\boxed{{{number + 2}}}.",
        finish_reason="stop", created=0.0, verdict="right",
    )  # fmt: skip


def make_run(root: Path, events: list[Event], *, kind: str = "r1") -> RunFolder:
    folder = RunFolder(root, events.append)
    chat_folder(folder.base, kind, num_hidden_layers=2, tie_word_embeddings=True)
    record = {"path": str(folder.base), "name": "random", "licence": "MIT", "sha256": "base"}
    folder.write_json(folder.base_record, record)
    write_rows(folder.kept, [trace(number) for number in range(12)])
    return folder


def config(folder: RunFolder, **settings: Any) -> DistillConfig:
    sft = SftConfig(**{"batch_size": 4, "max_steps": 4, **settings})
    return DistillConfig(STUDENTS["tiny"], folder.root, "student", sft=sft)


def host(said: list[str]) -> Host:
    def unused(*_: Any) -> Any:
        raise AssertionError("training asks nothing of the host but to say things")

    return Host(serve=unused, register=unused, say=said.append)


@pytest.mark.slow
def test_a_whole_student_is_written_with_the_format_it_was_trained_in(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    events: list[Event] = []
    said: list[str] = []
    folder = make_run(tmp_path, events, kind="chatml")
    summary = run_stage(config(folder), folder, host(said))

    record = folder.read_json(folder.trained)
    assert (record["kind"], record["method"], record["steps"]) == ("full", "full", 4)
    assert record["loss"] == pytest.approx(summary["loss"])
    assert record["epochs"] == pytest.approx(4 * 4 / 12), "four steps of four rows, of which there are twelve"
    assert record["teachers"] == ["teacher"] and record["kept_sha256"] == sha256_of(folder.kept)
    assert record["peak_memory"] > 1e8
    student = AutoModelForCausalLM.from_pretrained(folder.student)
    tokenizer = AutoTokenizer.from_pretrained(folder.student)
    assert tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    ).endswith("<think>\n")
    assert tokenizer.eos_token == "<|im_end|>"
    assert student.config.eos_token_id == tokenizer.eos_token_id
    steps = [event for event in events if event.metric == "loss"]
    assert [event.step for event in steps] == [1, 2, 3, 4]
    assert {event.metric for event in events} == {"loss", "learning_rate", "grad_norm", "share", "tokens_per_second"}
    assert events[-1].stage == "sft"
    findings = json.loads(folder.preflight.read_text())["findings"]
    assert [finding["text"] for finding in findings] == said != []
    tidy(folder)
    assert not list(folder.sft.glob("step-*")), "checkpoints of what is finished take room for nothing"


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_learned_and_the_next_start_goes_on(tmp_path: Path) -> None:
    events: list[Event] = []
    said: list[str] = []
    folder = make_run(tmp_path, events)
    settings = config(folder, method="lora", lora_rank=4)
    listener = folder._listener

    def interrupt(event: Event) -> None:
        events.append(event)
        if (event.step, event.metric) == (2, "loss"):
            signal.raise_signal(signal.SIGINT)

    folder._listener = interrupt
    with pytest.raises(KeyboardInterrupt):
        run_stage(settings, folder, host(said))
    assert any("Ctrl-C again" in line for line in said)
    assert not folder.trained.exists()
    folder._listener = listener
    events.clear()
    run_stage(settings, folder, host(said))
    assert min(event.step for event in events) == 4, "it had saved the step it was at"
    assert folder.read_json(folder.trained)["kind"] == "adapter"
    assert (folder.adapter / "adapter_model.safetensors").exists()
    assert not folder.student.exists()


def test_without_rows_nothing_is_begun(tmp_path: Path) -> None:
    folder = make_run(tmp_path, [])
    write_rows(folder.kept, [])
    with pytest.raises(DistillError, match="r1chat distill filter"):
        run_stage(config(folder), folder, host([]))


def test_a_row_that_breaks_the_format_ends_the_run_before_the_first_step(tmp_path: Path) -> None:
    folder = make_run(tmp_path, [])
    bad = replace_reasoning(trace(3), None)
    write_rows(folder.kept, [trace(1), bad])
    with pytest.raises(DistillError, match="t3"):
        run_stage(config(folder), folder, host([]))
    assert not folder.trained.exists()


def replace_reasoning(row: TraceRow, reasoning: str | None) -> TraceRow:
    import msgspec

    return msgspec.structs.replace(row, reasoning=reasoning)


@pytest.mark.slow
def test_the_weights_are_let_go_before_the_next_stage(tmp_path: Path) -> None:
    import torch

    def living() -> int:
        return sum(issubclass(type(found), torch.nn.Parameter) for found in gc.get_objects())

    folder = make_run(tmp_path, [])
    gc.collect()
    before = living()
    gc.disable()
    try:
        run_stage(config(folder, max_steps=1), folder, host([]))
        assert living() <= before
    finally:
        gc.enable()
