"""Held-out problems are asked while a student is taught, on nobody's time, and change nothing of what it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_folders import chat_folder

from r1chat.distill.config import DistillConfig
from r1chat.distill.errors import DistillError
from r1chat.distill.host import Host
from r1chat.distill.report.watched import read_watched
from r1chat.distill.rows import ProblemRow, RolloutRow, Teacher, TraceRow, read_rows, write_rows
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.sft.config import SftConfig
from r1chat.distill.sft.stage import run_stage
from r1chat.distill.students import STUDENTS

pytest.importorskip("trl", reason="needs the extra `distill`")


def trained(root: Path, **settings: Any) -> RunFolder:
    """Four steps on a random model of two layers."""
    folder = RunFolder(root)
    if not folder.base.exists():
        chat_folder(folder.base, "r1", num_hidden_layers=2, tie_word_embeddings=True)
    folder.write_json(folder.base_record, {"path": str(folder.base), "name": "r", "licence": "MIT", "sha256": "b"})
    problems = [ProblemRow(id=f"p{n}", prompt=f"What is {n} + 2?", gold=str(n + 2), source="here") for n in range(12)]
    write_rows(folder.kept, [
        TraceRow(id=p.id, problem=p, teacher=Teacher(name="t"), sample=0, reasoning=f"It is {p.gold}. Yes.",
                 answer=f"\\boxed{{{p.gold}}}", finish_reason="stop", created=0.0, verdict="right")
        for p in problems
    ])  # fmt: skip
    sft = SftConfig(batch_size=4, max_steps=4, **settings)
    config = DistillConfig(STUDENTS["tiny"], root, "student", sft=sft)
    run_stage(config, folder, Host(serve=print, register=print, say=lambda text: None))  # type: ignore[arg-type]
    return folder


WATCHED = {"watch_set": "generated-test:sums", "watch_problems": 3, "watch_every": 3, "watch_tokens": 8}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return trained(tmp_path_factory.mktemp("watched") / "run", **WATCHED)


def test_the_curve_has_the_start_every_so_many_steps_and_the_end(watched: RunFolder) -> None:
    told = {(e["step"], e["metric"]): e["value"] for e in watched.read_events("sft")}
    for metric in ("held_out_accuracy", "held_out_length", "minutes"):
        assert [step for step, name in told if name == metric] == [0, 3, 4]
    assert 0 < told[0, "held_out_length"] <= 8
    assert told[0, "minutes"] < told[3, "minutes"] <= told[4, "minutes"]
    found = read_watched(watched.rollouts)
    assert found.steps == [0, 3, 4] and len(found.both()) == 3


@pytest.mark.slow
def test_a_student_with_an_adapter_is_watched_too(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", **WATCHED, method="lora", lora_rank=2)
    assert read_watched(run.rollouts).steps == [0, 3, 4]


@pytest.mark.slow
def test_watching_changes_nothing_of_what_is_learnt(watched: RunFolder, tmp_path: Path) -> None:
    plain = trained(tmp_path / "run")
    losses = [[e["value"] for e in run.read_events("sft") if e["metric"] == "loss"] for run in (watched, plain)]
    assert losses[0] == losses[1] and len(losses[0]) == 4
    assert not plain.rollouts.exists()


@pytest.mark.slow
def test_answers_of_a_training_that_is_done_anew_are_forgotten(tmp_path: Path) -> None:
    settings = {**WATCHED, "watch_problems": 1, "watch_every": 100}
    trained(tmp_path / "run", **settings, learning_rate=1e-3)
    again = trained(tmp_path / "run", **settings, learning_rate=1e-4)
    assert [row.step for row in read_rows(again.rollouts, RolloutRow)] == [0, 4]


def test_processes_of_accelerate_cannot_be_watched_and_it_is_said(watched: RunFolder) -> None:
    sft = SftConfig(batch_size=4, max_steps=4, accelerate_config=Path("a.yaml"), **WATCHED)  # type: ignore[arg-type]
    config = replace(DistillConfig(STUDENTS["tiny"], watched.root, "student"), sft=sft)
    with pytest.raises(DistillError, match="watch_set"):
        run_stage(config, watched, Host(serve=print, register=print, say=lambda text: None))  # type: ignore[arg-type]
