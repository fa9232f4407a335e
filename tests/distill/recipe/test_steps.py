"""What a step takes from earlier ones: their student, their time, their answers; and that it notices new ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="needs the extra `distill`")

from r1chat.distill.config import DistillConfig
from r1chat.distill.errors import DistillError
from r1chat.distill.grpo.job import prepare
from r1chat.distill.pipeline import STAGES, fingerprint
from r1chat.distill.recipe.reading import read_recipe
from r1chat.distill.recipe.steps import Choices, configured, lay_base, stages_of, step_folder
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.students import STUDENTS

RECIPE = read_recipe(
    """
name: r
student: tiny
steps:
  - {name: base, stream: {}}
  - {name: more, from: base, budget: as base, stream: {}}
  - {name: rl, from: base, budget: as base, grpo: {}}
  - {name: taught, from: base, generate: {teacher: rl, problems: [generated]}, sft: {}}
  - {name: alone, sft: {}, generate: {teacher: demo, problems: [generated]}}
""",
    "r.yaml",
)
BASE, MORE, RL, TAUGHT, ALONE = RECIPE.steps
CHOICES = Choices("pupil", "tiny")


def student(root: Path, number: int, weights: bytes) -> RunFolder:
    """A step's folder as its stages leave it."""
    folder = step_folder(root, RECIPE, RECIPE.steps[number])
    folder.student.mkdir(exist_ok=True)
    (folder.student / "config.json").write_text("{}")
    (folder.student / "model.safetensors").write_bytes(weights)
    folder.write_json(folder.base_record, {"licence": "MIT", "sha256": ""})
    folder.write_json(folder.trained, {"seconds": 90.0})
    files = {"Q8_0": {"path": "gguf/Q8_0.gguf", "sha256": weights.hex()}}
    folder.write_json(folder.parity, {"files": files})
    return folder


def marks(config: DistillConfig, folder: RunFolder) -> dict[str, str]:
    return {stage.name: fingerprint(stage, config, folder) for stage in STAGES}


def test_what_a_later_step_is_measured_on_is_held_out_of_all_before_it(tmp_path: Path) -> None:
    recipe = read_recipe(
        "name: a\nevaluate: {sets: [one.jsonl]}\nsteps:\n"
        "- {name: b, sft: {watch_set: two.jsonl}, generate: {traces: [x.jsonl]}}\n"
        "- {name: c, stream: {}, measure: false, evaluate: {sets: [none.jsonl]}}\n"
        "- {name: d, grpo: {watch_set: three.jsonl}, evaluate: {sets: [four.jsonl]}}\n", "f.yaml",
    )  # fmt: skip
    for step in recipe.steps:
        held_out = configured(recipe, step, Choices("x", "tiny"), tmp_path).held_out
        assert held_out == ("one.jsonl", "two.jsonl", "four.jsonl", "three.jsonl")


def test_the_order_of_what_is_measured_and_words_about_a_student_train_nothing_again(tmp_path: Path) -> None:
    folder = student(tmp_path, 0, b"1")
    for path in (folder.verified, folder.kept, folder.traces):
        path.write_text("")
    config = configured(RECIPE, RL, CHOICES, tmp_path)
    before = marks(replace(config, held_out=("a.jsonl", "b.jsonl")), folder)
    others = (
        replace(config, held_out=("b.jsonl", "a.jsonl")),
        replace(config, held_out=("a.jsonl", "b.jsonl"), student=replace(config.student, note="other words")),
        replace(config, held_out=("a.jsonl", "b.jsonl"), grpo=replace(config.grpo, probe=False, save_every_s=1.0)),
    )
    for other in others:
        again = marks(other, folder)
        assert all(again[name] == before[name] for name in ("stream", "filter", "sft", "grpo"))
    assert marks(replace(config, held_out=("c.jsonl",)), folder)["grpo"] != before["grpo"]


def test_each_step_is_taught_other_problems_and_all_are_measured_on_the_same(tmp_path: Path) -> None:
    text = "name: a\nsteps:\n" + "".join(
        f"- {{name: s{i}, grpo: {{problems: ['generated:sums'], steps: 4, watch_problems: 0}},"
        " evaluate: {sets: ['generated-test:sums'], n: 4}}\n" for i in range(3)
    )  # fmt: skip
    recipe = read_recipe(text, "f.yaml")
    taught: set[str] = set()
    measured = set()
    for step in recipe.steps:
        config = configured(recipe, step, CHOICES, tmp_path)
        problems = prepare(config, tmp_path, {"path": ".", "sha256": ""}).problems
        assert len(problems) == 32
        taught |= {problem.prompt for problem in problems}
        measured.add(config.evaluation_seed)
    assert len(taught) == 96
    assert len(measured) == 1


def test_stages_are_those_of_the_kind_and_a_base_comes_first_where_none_is_continued() -> None:
    assert stages_of(BASE) == ("stream", "export", "evaluate")
    assert stages_of(RL) == ("grpo", "export", "evaluate")
    assert stages_of(TAUGHT) == ("generate", "verify", "filter", "sft", "export", "evaluate")
    assert stages_of(ALONE) == ("base", *stages_of(TAUGHT))


def test_a_budget_is_the_time_that_the_other_step_was_trained(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match=r"base has not been trained yet.*r1chat distill --run-dir"):
        configured(RECIPE, RL, CHOICES, tmp_path)
    student(tmp_path, 0, b"1")
    grpo = configured(RECIPE, RL, CHOICES, tmp_path).grpo
    assert (grpo.minutes, grpo.steps) == (1.5, None)
    stream = configured(RECIPE, MORE, CHOICES, tmp_path).stream
    assert (stream.minutes, stream.start) == (1.5, (tmp_path / "steps/1-base/student").resolve())


def test_a_student_made_anew_is_another_base_to_what_continues_it(tmp_path: Path) -> None:
    student(tmp_path, 0, b"1")
    folder = step_folder(tmp_path, RECIPE, RL)
    lay_base(RECIPE, RL, folder, tmp_path)
    first = folder.read_json(folder.base_record)
    assert (first["path"], first["licence"]) == (str((tmp_path / "steps/1-base/student").resolve()), "MIT")
    config = DistillConfig(STUDENTS["tiny"], folder.root, "x")
    before = marks(config, folder)
    student(tmp_path, 0, b"2")
    lay_base(RECIPE, RL, folder, tmp_path)
    after = marks(config, folder)
    assert after["grpo"] != before["grpo"]


def test_a_stream_that_continues_a_student_made_anew_is_done_again(tmp_path: Path) -> None:
    """Its settings name the folder, which is the same."""
    student(tmp_path, 0, b"1")
    folder = student(tmp_path, 1, b"x")
    lay_base(RECIPE, RL, rl := step_folder(tmp_path, RECIPE, RL), tmp_path)
    digest = rl.read_json(rl.base_record)["sha256"]
    folder.write_json(folder.base_record, {"sha256": digest})
    lay_base(RECIPE, MORE, folder, tmp_path)
    assert folder.trained.exists()
    student(tmp_path, 0, b"2")
    lay_base(RECIPE, MORE, folder, tmp_path)
    assert not folder.trained.exists()


def test_a_teacher_that_is_a_step_is_its_file_and_another_one_once_it_is_made_anew(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match=r"rl has left no GGUF.*r1chat distill --run-dir"):
        configured(RECIPE, TAUGHT, CHOICES, tmp_path)
    student(tmp_path, 2, b"1")
    config = configured(RECIPE, TAUGHT, CHOICES, tmp_path)
    assert config.generate.teacher == str((tmp_path / "steps/3-rl/gguf/Q8_0.gguf").resolve())
    who = config.generate.known_teacher
    assert who is not None
    assert (who.name, who.sha256, who.licence) == ("r-rl", b"1".hex(), "MIT")
    folder = step_folder(tmp_path, RECIPE, TAUGHT)
    before = marks(config, folder)["generate"]
    assert marks(configured(RECIPE, TAUGHT, CHOICES, tmp_path), folder)["generate"] == before
    student(tmp_path, 2, b"2")
    assert marks(configured(RECIPE, TAUGHT, CHOICES, tmp_path), folder)["generate"] != before


def test_a_teacher_that_is_no_step_is_a_model_of_that_name(tmp_path: Path) -> None:
    assert configured(RECIPE, ALONE, CHOICES, tmp_path).generate.teacher == "demo"


def test_a_step_without_a_student_to_continue_says_which_one_to_make(tmp_path: Path) -> None:
    folder = step_folder(tmp_path, RECIPE, RL)
    with pytest.raises(DistillError, match=r"step base has left no student.*r1chat distill --run-dir"):
        lay_base(RECIPE, RL, folder, tmp_path)
