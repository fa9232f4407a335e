"""The page of a recipe: what its steps left, side by side, and other seeds of it; nothing that is not there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from r1chat.distill.recipe.comparison import RESULT, compared
from r1chat.distill.recipe.reading import read_recipe
from r1chat.distill.recipe.report import write_report
from r1chat.distill.recipe.runner import _begin
from r1chat.distill.recipe.steps import Choices, step_root
from r1chat.distill.recipe.timeline import over_minutes, siblings
from r1chat.distill.rows import RolloutRow, SampleRow, read_rows, write_rows
from r1chat.distill.run_folder import RunFolder

RECIPE = read_recipe(
    """
name: two-ways
student: tiny
steps:
  - {name: base, stream: {minutes: 1}}
  - {name: taught, from: base, generate: {traces: [written]}, sft: {epochs: 1}}
  - {name: practised, from: base, budget: as taught, grpo: {}}
""",
    "two-ways",
)
SET, N = "generated-test", 30
RIGHT = {"base": 3, "taught": 24, "practised": 12}


def followed(root: Path, *steps: str, seed: int = 0) -> RunFolder:
    """The recipe's folder when these steps are done."""
    folder = RunFolder(root)
    choices = Choices("mine", "tiny", seed)
    _begin(RECIPE, choices, folder)
    for step in RECIPE.steps:
        if step.name in steps:
            measured(RunFolder(step_root(root, RECIPE, step)), step.kind, RIGHT[step.name])
    record = folder.read_json(folder.record)
    folder.write_json(folder.record, {**record, "stages": {name: {"finished": 1.0, "seconds": 60.0} for name in steps}})
    folder.write_json(root / RESULT, compared(RECIPE, choices, root))
    return folder


def measured(folder: RunFolder, kind: str, right: int) -> None:
    rows = [
        SampleRow(model="student", quant="Q8_0", set=SET, problem_id=f"p{n}", sample=0, reasoning="It is 7.",
                  answer="\\boxed{7}", finish_reason="stop", verdict="right" if n < right else "wrong", n_tokens=9)
        for n in range(N)
    ]  # fmt: skip
    write_rows(folder.samples, rows)
    share = right / N
    overall = {"n": N, "k": 1, "pass_at_1": share, "low": max(0.0, share - 0.1), "high": min(1.0, share + 0.1),
               "truncated": 0.0, "mean_tokens": 9.0, "mean_reasoning_tokens": 5.0}  # fmt: skip
    model = {"key": "student", "quant": "Q8_0", "name": "s", "sets": {SET: {"overall": overall, "families": {}}}}
    folder.write_json(folder.evaluation, {"models": [model], "comparisons": []})
    folder.write_json(folder.trained, {"kind": "full", "steps": 4, "seconds": 60.0})
    if kind != "stream":
        practised(folder, kind, share)


def practised(folder: RunFolder, kind: str, share: float) -> None:
    for step in (0, 2, 4):
        folder.log(kind, step, held_out_accuracy=share * step / 4, held_out_length=9.0, minutes=step / 4)
        if kind == "grpo":
            folder.log(kind, step, reward=share, entropy=1.0)
    write_rows(folder.rollouts, [
        RolloutRow(step=step, problem_id="p", prompt="Reach 7.", reasoning="Wait.", answer="7", finish_reason="stop",
                   verdict="right" if step else "wrong", watched=True) for step in (0, 4)
    ])  # fmt: skip


def reported(folder: RunFolder) -> tuple[str, dict[str, Any]]:
    told = write_report(folder, folder.read_json(folder.root / RESULT))
    return (folder.report / "index.html").read_text(encoding="utf-8"), told


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str, dict[str, Any]]:
    folder = followed(tmp_path_factory.mktemp("whole") / "run", *RIGHT)
    return (folder, *reported(folder))


def test_the_headline_sets_an_arm_beside_the_one_that_continues_the_same_student(
    whole: tuple[RunFolder, str, dict[str, Any]],
) -> None:
    folder, page, told = whole
    assert told["verdict"].startswith(
        "After practised the student solves 40.0\u00a0% of unseen problems, 40.0 points fewer ("
    )
    assert told["verdict"].endswith("than after taught.")
    assert folder.read_json(folder.record)["verdict"] == told["verdict"]
    assert "30.0 points more" in page


def test_every_section_is_there_once_and_its_pictures_beside_it(whole: tuple[RunFolder, str, dict[str, Any]]) -> None:
    folder, page, _ = whole
    assert re.findall(r'<section id="([\w.-]+)"', page) == [
        "accuracy", "form", "beside", "learning_taught", "learning_practised", "before_after_practised",
        "rewards_practised", "cost", "protocol",
    ]  # fmt: skip
    names = {"steps", "form", "beside", "learning-taught", "learning-practised", "rewards-practised"}
    assert {path.stem for path in folder.report.glob("*.png")} == names | {f"{name}-dark" for name in names}
    assert "Recipe report" in page and "Distillation report" not in page


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(whole: tuple[RunFolder, str, dict[str, Any]]) -> None:
    folder, page, _ = whole
    assert reported(folder)[0] == page


def test_steps_that_are_not_done_are_left_out(tmp_path: Path) -> None:
    folder = followed(tmp_path / "run", "base")
    page, told = reported(folder)
    assert told["verdict"] is None and "was not measured yet" in page
    assert re.findall(r'<section id="([\w.-]+)"', page) == ["accuracy", "form", "cost", "protocol"]


def test_a_step_that_is_done_anew_just_now_is_left_out_with_what_it_was(tmp_path: Path) -> None:
    folder = followed(tmp_path / "run", *RIGHT)
    record = folder.read_json(folder.record)
    del record["stages"]["practised"]
    folder.write_json(folder.record, record)
    result = compared(RECIPE, Choices("mine", "tiny"), folder.root)
    assert [bool(step["sets"]) for step in result["steps"]] == [True, True, False]
    assert result["steps"][2]["minutes"] is None
    assert {(c["of"], c["to"]) for c in result["comparisons"]} == {("taught", "base")}


def test_a_step_that_is_no_longer_measured_shows_no_older_scores(tmp_path: Path) -> None:
    folder = followed(tmp_path / "run", *RIGHT)
    taught = replace(RECIPE.steps[1], measured=False)
    recipe = replace(RECIPE, steps=(RECIPE.steps[0], taught, RECIPE.steps[2]))
    result = compared(recipe, Choices("mine", "tiny"), folder.root)
    assert [bool(step["sets"]) for step in result["steps"]] == [True, False, True]
    assert {(c["of"], c["to"]) for c in result["comparisons"]} == {("practised", "base")}


def test_where_intervals_are_over_families_those_of_differences_are_too(tmp_path: Path) -> None:
    folder = followed(tmp_path / "run", *RIGHT)
    for step in RECIPE.steps:
        own = RunFolder(step_root(folder.root, RECIPE, step))
        rows = [msgspec.structs.replace(row, family=f"f{int(row.problem_id[1:]) // 15}")
                for row in read_rows(own.samples, SampleRow)]  # fmt: skip
        write_rows(own.samples, rows)
    steps = tuple(replace(step, settings={**step.settings, "evaluate": {"by_family": True}}) for step in RECIPE.steps)
    plain, grouped = (
        compared(recipe, Choices("mine", "tiny"), folder.root)["comparisons"][0]
        for recipe in (RECIPE, replace(RECIPE, steps=steps))
    )
    assert plain["verdict"] == "better" and grouped["verdict"] == "not enough data to tell", "they are two"
    assert grouped["mean"] == pytest.approx(plain["mean"])


def test_a_set_of_prompts_outside_the_field_alone_is_compared_like_any_other(tmp_path: Path) -> None:
    """Its scores are told, so its differences are."""
    folder = followed(tmp_path / "run", *RIGHT)
    for step in RECIPE.steps:
        own = RunFolder(step_root(folder.root, RECIPE, step))
        rows = [msgspec.structs.replace(row, family="outside") for row in read_rows(own.samples, SampleRow)]
        write_rows(own.samples, rows)
    found = compared(RECIPE, Choices("mine", "tiny"), folder.root)["comparisons"]
    assert (found[0]["n"], found[0]["verdict"]) == (N, "better")


def test_readability_is_that_of_the_language_a_step_is_taught_in(tmp_path: Path) -> None:
    folder = followed(tmp_path / "run", *RIGHT)
    for step in RECIPE.steps:
        own = RunFolder(step_root(folder.root, RECIPE, step))
        rows = [msgspec.structs.replace(row, reasoning="Это семь.") for row in read_rows(own.samples, SampleRow)]
        write_rows(own.samples, rows)
    base, taught, practised = RECIPE.steps
    taught = replace(taught, settings={**taught.settings, "filter": {"language": "ru"}})
    paid = {"grpo": {"rewards": {"target_language": "en"}}}

    def readable(*last: Any) -> list[float]:
        steps = compared(replace(RECIPE, steps=(base, taught, *last)), Choices("mine", "tiny"), folder.root)["steps"]
        return [step["sets"][SET]["readable"] for step in steps]

    assert readable(replace(practised, begins="taught")) == [0, 1, 1]
    assert readable(replace(practised, begins="taught", settings=paid)) == [0, 1, 0]


def test_a_set_that_is_asked_anew_just_now_is_left_out(tmp_path: Path) -> None:
    folder = followed(tmp_path / "run", "base")
    own = RunFolder(step_root(folder.root, RECIPE, RECIPE.steps[0]))
    told = own.read_json(own.evaluation)
    sets = told["models"][0]["sets"]
    sets["generated-larger"] = sets[SET]
    own.write_json(own.evaluation, told)
    assert list(compared(RECIPE, Choices("mine", "tiny"), folder.root)["steps"][0]["sets"]) == [SET]


def test_a_recipe_of_which_nothing_is_done_has_a_page(tmp_path: Path) -> None:
    page, told = reported(followed(tmp_path / "run"))
    assert told["verdict"] is None and 'id="cost"' in page


@pytest.mark.slow
def test_other_seeds_beside_it_are_its_band_and_nothing_else_is(tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        followed(tmp_path / f"seed-{seed}", *RIGHT, seed=seed)
    other = followed(tmp_path / "other", *RIGHT, seed=3)
    record = other.read_json(other.record)
    other.write_json(other.record, {**record, "steps": record["steps"][:2]})
    half = followed(tmp_path / "half", *RIGHT, seed=4)
    record = half.read_json(half.record)
    half.write_json(half.record, {**record, "stages": {"base": record["stages"]["base"]}})
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text('{"recipe": "two-ways", "config": 3')
    assert [path.name for path in siblings(tmp_path / "seed-1")] == ["seed-0", "seed-1", "seed-2", "half"]
    page, _ = reported(RunFolder(tmp_path / "seed-1"))
    assert "3 runs that differ in nothing but the seed. Of a stream it draws the first weights, not the" in page
    assert (tmp_path / "seed-1" / "report" / "seeds-practised.png").exists()


def test_a_curve_over_minutes_is_that_of_the_training_alone() -> None:
    def told(step: int, metric: str, value: float) -> dict[str, Any]:
        return {"stage": "grpo", "step": step, "metric": metric, "value": value}

    events = [told(0, "held_out_accuracy", 0.1), told(0, "minutes", 0.0), told(5, "held_out_accuracy", 0.3),
              told(5, "minutes", 2.5), told(9, "held_out_accuracy", 0.9)]  # fmt: skip
    found = over_minutes(events, "grpo")
    assert (found.steps, found.values) == ((0.0, 2.5), (0.1, 0.3))
