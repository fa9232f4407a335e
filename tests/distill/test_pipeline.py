"""The stages of a run on real parts, down to a GGUF that computes what was trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1chat.distill.config import DistillConfig, DistillError, Event, RunFolder


def test_an_unknown_student_and_a_planned_one_are_refused_with_the_command_that_works(tmp_path: Path) -> None:
    for name in ("qwen-1.5b", "gpt-9"):
        with pytest.raises(DistillError, match="r1chat distill --student tiny"):
            DistillConfig(name, tmp_path)


def test_a_run_of_seconds_leaves_a_gguf_that_computes_what_was_trained(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra `distill`")
    from r1chat.distill.pipeline import export_student, learn_vocabulary, train_student
    from r1chat.serve.models.gguf.info import read_info

    events: list[Event] = []
    folder = RunFolder(tmp_path, events.append)
    config = DistillConfig("tiny", tmp_path, minutes=0.01, compile=False)
    learn_vocabulary(folder)
    train_student(config, folder)
    export_student(folder)

    parity = json.loads(folder.parity.read_text())
    assert parity["max_logit_diff"] < 1e-2
    assert parity["tokenizer_mismatches"] == []
    assert parity["strings"] >= 1000
    info = read_info(folder.gguf)
    assert info.context_length >= 4096
    assert folder.gguf.stat().st_size <= 8_000_000
    assert {event.stage for event in events} == {"vocabulary", "export"}

    before = folder.gguf.stat().st_mtime_ns
    learn_vocabulary(folder)
    train_student(config, folder)
    export_student(folder)
    assert folder.gguf.stat().st_mtime_ns == before, "a finished stage is not done again"
