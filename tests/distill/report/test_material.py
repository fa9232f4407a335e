"""What a run left is read as it was meant, also after a crash and a resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from r1chat.distill.errors import DistillError
from r1chat.distill.report.material import curve, read_material, standing
from r1chat.distill.rows import TraceRow, read_rows, write_rows
from r1chat.distill.run_folder import RunFolder

from .conftest import FinishedRun


def test_a_resumed_curve_has_each_step_once_with_its_later_value(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in range(1, 8):
        folder.log("sft", step, loss=float(step))
    for step in range(5, 11):
        folder.log("sft", step, loss=step + 0.5)
    found = curve(folder.read_events(), "sft", "loss")
    assert found.steps == tuple(range(1, 11))
    assert found.values == (1.0, 2.0, 3.0, 4.0, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5)


def test_steps_of_an_abandoned_training_do_not_follow_the_new_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in range(1, 100):
        folder.log("sft", step, loss=9.0)
    for step in range(1, 4):
        folder.log("sft", step, loss=1.0)
    assert curve(folder.read_events(), "sft", "loss").steps == (1, 2, 3)


def test_numbers_that_only_an_abandoned_training_told_are_gone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in range(1, 10):
        folder.log("grpo", step, kl=0.5, reward_length=1.0, loss=9.0)
    for step in range(1, 4):
        folder.log("grpo", step, loss=1.0, reward=0.2)
    events = folder.read_events()
    assert curve(events, "grpo", "kl").steps == ()
    assert curve(events, "grpo", "loss").values == (1.0, 1.0, 1.0)
    assert {event["metric"] for event in standing(events, "grpo")} == {"loss", "reward"}


def test_other_stages_have_curves_of_their_own(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log("base", 1, loss=5.0)
    folder.log("sft", 2, loss=1.0, share=0.5)
    assert curve(folder.read_events(), "sft", "loss").values == (1.0,)


def test_ready_traces_count_as_kept_but_not_as_generated(finished: FinishedRun) -> None:
    folder = finished.folder
    asked = list(read_rows(folder.traces, TraceRow))
    write_rows(folder.traces, [*asked, *(replace(row, id=f"r{row.id}", seconds=None) for row in asked)])
    found = read_material(folder)
    assert (found.asked.rows, found.asked.tokens) == (12, sum(row.n_tokens or 0 for row in asked))
    assert (found.kept.rows, sorted(found.kept.lengths)) == (12, list(range(30, 42)))


def test_thoughts_that_nobody_counted_are_counted_with_the_vocabulary_of_the_student(finished: FinishedRun) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = finished.folder
    tokenizer = Tokenizer(models.WordLevel({"one": 0, "two": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    (folder.root / "nowhere").mkdir()
    tokenizer.save(str(folder.root / "nowhere" / "tokenizer.json"))
    rows = [
        replace(row, reasoning="one two " * n, n_reasoning_tokens=None)
        for n, row in enumerate(read_rows(folder.kept, TraceRow), 1)
    ]
    write_rows(folder.kept, rows)
    assert read_material(folder).kept.lengths == [2 * n for n in range(1, 13)]


def test_answers_of_a_model_that_was_left_out_are_not_counted(finished: FinishedRun) -> None:
    evaluation = finished.folder.read_json(finished.folder.evaluation)
    whole = read_material(finished.folder).samples
    first, *others = evaluation["models"]
    finished.folder.write_json(finished.folder.evaluation, {**evaluation, "models": others})
    found = read_material(finished.folder).samples
    label = f"{first['key']}/{first['quant']}"
    assert found.rows == whole.rows - len(whole.lengths[label]) > 0
    assert label not in found.lengths


@pytest.mark.parametrize(
    ("name", "mend"),
    [("funnel.json", "rm"), ("kept.jsonl", "rm"), ("samples.jsonl", "sed -i.bak 1d"), ("preflight.json", "rm")],
)
def test_a_damaged_file_is_named_with_what_mends_it(finished: FinishedRun, name: str, mend: str) -> None:
    (finished.folder.root / name).write_text('{"no end": }\n')
    with pytest.raises(DistillError, match=rf"{name}.*: {mend} \S+{name}$") as caught:
        finished.report()
    assert "\n" not in str(caught.value)


def test_a_last_row_that_a_crash_cut_off_does_no_harm(finished: FinishedRun) -> None:
    with finished.folder.samples.open("a") as file:
        file.write(json.dumps({"model": "student"})[:-1])
    assert read_material(finished.folder).samples.rows == 96
