"""What the options of `r1chat distill` come to."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from chat_folders import chat_folder

from r1chat.app.commands.distill import add_parser
from r1chat.app.distilling.options import FIELDS, build_config, check_jail, combined, placed
from r1chat.app.distilling.progress import STAGES
from r1chat.app.errors import UsageError
from r1chat.distill.config import DistillConfig
from r1chat.distill.errors import DistillError
from r1chat.distill.pipeline import NAMES
from r1chat.distill.plan import make_plan
from r1chat.distill.students import STUDENTS


def given(*argv: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return vars(parser.parse_args(["distill", *argv]))


def config(tmp_path: Path, *argv: str) -> DistillConfig:
    return build_config(given(*argv), tmp_path)


def test_the_stages_that_help_names_are_those_there_are() -> None:
    assert STAGES == NAMES


@pytest.mark.parametrize(
    "wrong",
    [
        "--samples=0", "--samples=x", "--seed=-1", "--temperature=nan", "--temperature=-1", "--epochs=0",
        "--learning-rate=inf", "--base-minutes=-1", "--max-pass-rate=1.5",
    ],
)  # fmt: skip
def test_numbers_that_mean_nothing_are_refused_at_once(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        given(wrong)
    assert f"argument {wrong.partition('=')[0]}: " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("option", ["sandbox", "keep-unverified", "packing", "adapter", "by-family", "greedy"])
def test_what_was_switched_on_can_be_switched_off_by_a_later_command(tmp_path: Path, option: str) -> None:
    stored = given("--student", "tiny", f"--{option}")
    stage, field = FIELDS[option.replace("-", "_")]
    later = build_config({**stored, **given(f"--no-{option}")}, tmp_path)
    assert getattr(getattr(build_config(stored, tmp_path), stage), field) is True
    assert getattr(getattr(later, stage), field) is False


def test_epochs_of_a_later_command_count_whatever_steps_were_asked_for_before(tmp_path: Path) -> None:
    stored = given("--student", "tiny", "--max-steps", "5")
    later = build_config(combined(stored, given("--epochs", "3")), tmp_path)
    assert (later.sft.epochs, later.sft.max_steps) == (3.0, None)
    both = build_config(combined(stored, given("--epochs", "3", "--max-steps", "7")), tmp_path)
    assert both.sft.max_steps == 7


def test_what_an_earlier_command_asked_for_can_be_taken_back(tmp_path: Path) -> None:
    plain = config(tmp_path, "--student", "tiny")
    wishes = ("max-steps=5", "max-problems=9", "accelerate-config=a.yaml", "learning-rate=0.5", "per-problem=1")
    stored = given("--student", "tiny", *(f"--{wish}" for wish in wishes))
    assert build_config(stored, tmp_path) != plain
    back = given(*(f"--{wish.partition('=')[0]}=none" for wish in wishes))
    assert build_config(combined(stored, back), tmp_path) == plain


@pytest.mark.parametrize("student", ["tiny", "small", "demo"])
def test_a_student_made_here_needs_nothing_else_and_asks_the_bundled_model(tmp_path: Path, student: str) -> None:
    run = config(tmp_path, "--student", student)
    assert (run.generate.teacher, run.generate.problems, run.generate.traces) == ("demo", ("generated",), ())
    assert run.evaluate.sets == ("generated-test", "generated-unseen_wording")


def test_a_real_student_takes_ready_traces_and_real_problems_to_be_measured_on(tmp_path: Path) -> None:
    run = config(tmp_path, "--student", "qwen-1.5b")
    assert (run.generate.teacher, run.generate.traces) == (None, ("openr1-math",))
    assert run.evaluate.sets == ("gsm8k", "math-500")


def test_what_is_measured_on_is_not_asked_for_training(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gsm8k is what the student is measured on"):
        config(tmp_path, "--student", "qwen-0.5b", "--teacher", "r1:7b", "--problems", "gsm8k")


def test_a_base_made_here_is_measured_on_held_out_problems_alone(tmp_path: Path) -> None:
    """It learns from all others, and nobody can say which it met."""
    with pytest.raises(UsageError, match=r"generated:sums .*: r1chat distill --eval generated-test:sums$"):
        config(tmp_path, "--student", "tiny", "--eval", "generated:sums")
    assert config(tmp_path, "--student", "qwen-0.5b", "--eval", "generated:sums").evaluate.sets == ("generated:sums",)
    stored = given("--student", "tiny", "--eval", "generated:sums")
    assert build_config(stored, tmp_path, ["report"]), "of a run that was measured so before that was refused"


def test_traces_of_ones_own_take_the_place_of_the_usual_ones(tmp_path: Path) -> None:
    run = config(tmp_path, "--student", "tiny", "--traces", "a.jsonl", "--traces", "b.jsonl")
    assert (run.generate.traces, run.generate.teacher, run.generate.problems) == (("a.jsonl", "b.jsonl"), None, ())


def test_every_option_reaches_its_setting_and_comes_back_from_the_record(tmp_path: Path) -> None:
    words = {
        "problems": "p.jsonl", "traces": "t.jsonl", "teacher": "http://t", "teacher_model": "m", "samples": "3",
        "max_problems": "5", "max_trace_tokens": "6", "concurrency": "7", "temperature": "0.9", "max_tokens": "8",
        "language": "de", "max_row_tokens": "9", "method": "lora", "epochs": "1.5", "max_steps": "10",
        "learning_rate": "0.5", "batch_size": "11", "lora_rank": "12", "accelerate_config": "a.yaml",
        "quants": "q8_0,f16", "eval": "e.jsonl", "eval_problems": "13", "eval_samples": "14",
        "eval_max_tokens": "15", "base_minutes": "0.5", "max_pass_rate": "0.5", "per_problem": "3",
        "micro_batch_tokens": "16",
    }  # fmt: skip
    switches = ("sandbox", "keep_unverified", "packing", "adapter", "greedy", "by_family", "no_eval_teacher")
    assert {name.removeprefix("no_") for name in (*words, *switches)} == set(FIELDS)
    argv = [part for name, value in words.items() for part in ("--" + name.replace("_", "-"), value)]
    argv += ["--" + name.replace("_", "-") for name in switches]
    plain = config(tmp_path, "--student", "tiny")
    options = given("--student", "tiny", *argv)
    run = build_config(options, tmp_path)
    for stage, field in FIELDS.values():
        assert getattr(getattr(run, stage), field) != getattr(getattr(plain, stage), field), field
    stored = json.loads(json.dumps(options, default=str))
    assert build_config(stored, tmp_path) == run


def test_a_folder_without_a_run_needs_a_student(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="r1chat distill --student tiny --run-dir"):
        config(tmp_path, "report")


def test_a_run_whose_base_is_gone_is_still_told_of(tmp_path: Path) -> None:
    base = chat_folder(tmp_path / "base", "r1")
    run = build_config(given("--student", str(base)), tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"config": asdict(run)}, default=str))
    shutil.rmtree(base)
    assert build_config(given("--student", str(base)), tmp_path, stages=["report"]) == run
    with pytest.raises(DistillError, match="There is no student"):
        build_config(given("--student", str(base)), tmp_path)
    with pytest.raises(DistillError, match="There is no student"):
        build_config(given("--student", "nobody"), tmp_path, stages=["report"])


def test_a_run_whose_base_has_left_the_hubs_cache_is_told_of_as_its_files_described_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name alone says less, and the page would tell of two states of the run."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    run = config(tmp_path, "--student", "some/model")
    known = replace(run, student=replace(run.student, shape=STUDENTS["tiny"].shape, parameters=1))
    (tmp_path / "run.json").write_text(json.dumps({"config": asdict(known)}, default=str))
    assert build_config(given("--student", "some/model"), tmp_path, stages=["report"]) == known
    assert build_config(given("--student", "some/model"), tmp_path) == run


def test_the_name_of_the_student_is_fit_for_the_model_list(tmp_path: Path) -> None:
    assert config(tmp_path, "--student", "qwen-1.5b").name == "qwen-1.5b-r1"
    assert config(tmp_path, "--student", "user/Some-1B").name == "Some-1B-r1"


def test_a_quantisation_that_does_not_exist_is_refused_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        given("--student", "tiny", "--quants", "q8_0,q9")
    assert "'q8_0,q9' is no list of f32, f16" in capsys.readouterr().err


def test_a_language_that_is_not_known_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match=r"'xx' is not known.*: r1chat distill --language en"):
        config(tmp_path, "--student", "tiny", "--language", "xx")


@pytest.mark.parametrize(
    ("option", "typo"),
    [
        ("eval", "gsm9k"), ("eval", "generated-tset"), ("eval", "generated-test:sms"), ("problems", "generated:sms"),
        ("problems", "/no/such/rows"), ("traces", "openr1-maths"), ("traces", "written:sms"),
    ],
)  # fmt: skip
def test_what_names_no_problems_and_no_traces_is_told_before_anything_is_asked(option: str, typo: str) -> None:
    with pytest.raises(DistillError, match="r1chat distill"):
        placed(given("--student", "tiny", f"--{option}", typo))


@pytest.mark.parametrize("spec", ["livecodebench", "generated-test:code"])
def test_programs_that_may_not_be_run_are_told_before_anything_is_asked(tmp_path: Path, spec: str) -> None:
    with pytest.raises(UsageError, match=r"r1chat distill --sandbox$"):
        config(tmp_path, "--student", "tiny", "--eval", spec)
    assert config(tmp_path, "--student", "tiny", "--eval", spec, "--sandbox").evaluate.sets == (spec,)


@pytest.mark.parametrize(("option", "spec"), [("problems", "generated:code"), ("eval", "livecodebench")])
def test_programs_that_cannot_be_run_here_are_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, spec: str
) -> None:
    """The measurement may be hours away."""
    run = config(tmp_path, "--student", "tiny", "--sandbox", "--teacher", "demo", f"--{option}", spec)
    check_jail(config(tmp_path, "--student", "tiny", "--sandbox"), STAGES)
    monkeypatch.setattr("r1chat.distill.verify.sandbox.why_no_jail", lambda: "no user namespaces")
    with pytest.raises(UsageError, match=rf"{spec} .*: no user namespaces\. .*: r1chat distill --{option} SPEC$"):
        check_jail(run, STAGES)
    check_jail(run, ["report"])
    check_jail(config(tmp_path, "--student", "tiny", "--sandbox"), STAGES)


def test_a_file_that_is_not_there_is_told_by_the_plan(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match=r"no file .*missing\.jsonl"):
        make_plan(config(tmp_path, "--student", "tiny", "--traces", str(tmp_path / "missing.jsonl")))


def test_a_run_means_the_same_files_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rows.jsonl", "keys.json"):
        (tmp_path / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    specs = {"traces": ["rows.jsonl@keys.json", "openr1-math"], "eval": ["gsm8k=./rows.jsonl", "user/name:main"]}
    assert placed({"student": "tiny", **specs}) == {
        "student": "tiny",
        "traces": [f"{tmp_path}/rows.jsonl@{tmp_path}/keys.json", "openr1-math"],
        "eval": [f"gsm8k={tmp_path}/rows.jsonl", "user/name:main"],
    }


def test_a_path_may_have_the_signs_in_it_that_part_a_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ann@corp=x"
    folder.mkdir()
    for name in ("rows.jsonl", "k=2@home.jsonl"):
        (folder / name).write_text("{}")
    monkeypatch.chdir(folder)
    whole = [f"{folder}/rows.jsonl", f"{folder}/k=2@home.jsonl"]
    assert placed({"traces": whole, "problems": ["rows.jsonl", "k=2@home.jsonl"], "eval": [f"gsm8k={whole[1]}"]}) == {
        "traces": whole,
        "problems": whole,
        "eval": [f"gsm8k={whole[1]}"],
    }
    with pytest.raises(UsageError, match=r"no file .*/ann@corp=x/gone\.jsonl\. "):
        placed({"traces": [f"{folder}/gone.jsonl"]})


@pytest.mark.parametrize("spec", ["gone.jsonl", "gsm8k=gone.jsonl", "gone.json@keys.json"])
def test_a_file_that_is_not_there_is_told_before_anything_begins(spec: str) -> None:
    with pytest.raises(UsageError, match=r"no file gone\.jsonl?\. Name one that is: r1chat distill --eval"):
        placed({"eval": [spec]})
