"""A recipe's file: what stands in it is what is done, and whatever is wrong is told in one line with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="needs the extra `distill`")

from r1chat.distill.errors import DistillError
from r1chat.distill.problems import FAMILIES
from r1chat.distill.recipe import plan, runner
from r1chat.distill.recipe.plan import check_plan, plan_lines
from r1chat.distill.recipe.reading import bundled, find_recipe, read_recipe
from r1chat.distill.recipe.recipe import RecipeError
from r1chat.distill.recipe.steps import Choices, configured
from r1chat.distill.run_folder import RunFolder

GIVEN = """\
name: two
evaluate: {n: 50, k: 2}
steps:
  - name: base
    stream: {minutes: 3, corpus: zero}
    measure: false
  - name: rl
    from: base
    evaluate: {k: 8}
    grpo:
      minutes: 5
      learning_rate: 1e-6   # a word, to YAML 1.1
      rewards: {language: 0.5}
"""


def test_settings_that_stand_there_are_taken_and_the_others_are_the_stages_own(tmp_path: Path) -> None:
    recipe = read_recipe(GIVEN, "two.yaml")
    assert [(step.name, step.kind, step.begins, step.measured) for step in recipe.steps] == [
        ("base", "stream", None, False), ("rl", "grpo", "base", True),
    ]  # fmt: skip
    config = configured(recipe, recipe.steps[1], Choices("pupil", "tiny", 7), tmp_path)
    assert (config.grpo.learning_rate, config.grpo.rewards.language, config.grpo.rewards.accuracy) == (1e-6, 0.5, 1.0)
    assert (config.grpo.minutes, config.grpo.steps) == (5.0, None), "what nobody wrote ends no training"
    assert (config.evaluate.n, config.evaluate.k, config.evaluate.base) == (50, 8, False)
    assert (config.name, config.seed, config.export.register) == ("pupil", 7, True)
    assert not configured(recipe, recipe.steps[0], Choices("pupil", "tiny"), tmp_path).export.register


@pytest.mark.parametrize("name", bundled())
def test_every_recipe_that_comes_along_is_read_planned_and_has_a_student_that_fits(name: str, tmp_path: Path) -> None:
    recipe = find_recipe(name)
    assert recipe.name == name
    choices = Choices(name, recipe.student)
    check_plan(recipe, choices)
    lines = plan_lines(recipe, choices, str(tmp_path))
    assert sum(line.startswith("step ") for line in lines) == len(recipe.steps)
    assert max(map(len, lines)) < 240
    assert any(step.kind == "grpo" for step in recipe.steps)


def test_the_plan_tells_how_long_it_once_took(tmp_path: Path) -> None:
    recipe = read_recipe(f"takes: an hour on two cores\n{GIVEN}", "two.yaml")
    assert "takes     an hour on two cores" in plan_lines(recipe, Choices("two", "tiny"), str(tmp_path))
    untold = plan_lines(read_recipe(GIVEN, "two.yaml"), Choices("two", "tiny"), str(tmp_path))
    assert not any(line.startswith("takes") for line in untold)


def test_the_last_stages_of_r1_ask_every_family() -> None:
    *_, rejection, last = find_recipe("r1").steps
    for asked in (rejection.settings["generate"]["problems"], last.settings["grpo"]["problems"]):
        assert [spec.removeprefix("generated:").split(",") for spec in asked] == [list(FAMILIES)]


def test_rounds_learn_each_from_the_one_before_and_the_last_bears_the_name() -> None:
    text = GIVEN + (
        "  - name: again\n    from: base\n    rounds: 3\n    sft: {}\n"
        "    generate: {teacher: rl, problems: [generated]}\n  - name: end\n    from: again\n    grpo: {}\n"
    )
    steps = read_recipe(text, "f.yaml").steps
    assert [(step.name, step.begins, step.teacher) for step in steps[2:]] == [
        ("again-round-1", "base", "rl"), ("again-round-2", "base", "again-round-1"),
        ("again", "base", "again-round-2"), ("end", "again", None),
    ]  # fmt: skip


WRONG = {
    "": r"f\.yaml: Expected `object`",
    "a: [": r"f\.yaml, line 1: this is no YAML",
    "a: &a [*a]": r"f\.yaml: this is no YAML",
    "name: a\nname: b": r"f\.yaml, line 2: name: 'name' stands there twice",
    "name: a\nsteps: []": r"f\.yaml, line 2: steps: .*length >= 1",
    "name: a b\nsteps: [{name: b, grpo: {}}]": r"f\.yaml, line 1: name: small letters, digits, dots and dashes",
    "name: a\nstudent: nope\nsteps: [{name: b, grpo: {}}]": r"line 2: student: There is no student 'nope'",
    "name: a\nsteps:\n- name: b\n  grpo:\n    los: 3": r"line 5: steps\[0\]\.grpo\.los: there is no field 'los'.*, loss,",
    "name: a\nsteps:\n- name: b\n  grpo:\n    loss: x": r"line 5: .*'x' is none of bnpo, dapo, dr_grpo, grpo",
    "name: a\nsteps:\n- name: b\n  grpo: {minutes: 0}": r"line 4: .*minutes: Expected `float` > 0",
    "name: a\nsteps:\n- name: b\n  grpo: {num_generations: 1}": r"line 4: .*>= 2",
    "name: a\nsteps:\n- name: b\n  grpo: {rewards: {format: -1}}": r"line 4: .*rewards\.format: Expected `float` >= 0",
    "name: a\nsteps:\n- name: b\n  grpo: {steps: null}": r"line 4: .*it would never end",
    "name: a\nsteps:\n- name: b\n  stream: {start: x}": r"line 4: .*no field 'start'",
    "name: a\nsteps:\n- name: b\n  grpo: {}\n  stream: {}": r"line 3: .*b has stream and grpo",
    "name: a\nsteps:\n- name: b": r"line 3: .*b has none of them",
    "name: a\nsteps:\n- name: b\n  grpo: {}\n  filter: {}": r"line 5: .*a step of grpo has no filter",
    "name: a\nsteps:\n- name: b\n  from: c\n  grpo: {}": r"line 4: .*no earlier step 'c'",
    "name: a\nsteps:\n- name: b\n  budget: as b\n  grpo: {}": r"line 4: .*no earlier step 'b'",
    "name: a\nsteps:\n- name: b\n  budget: b\n  grpo: {}": r"line 4: .*budget: it is written `as STEP`",
    "name: a\nsteps:\n- name: b\n  sft: {}": r"line 3: .*b learns from nothing",
    "name: a\nsteps:\n- {name: b, stream: {}}\n- {name: b, stream: {}}": r"line 4: .*there is a step b already",
    "name: a\nsteps:\n- {name: b, stream: {}}\n- {name: c, budget: as b, grpo: {steps: 3}}": r"line 4: .*either a budget",
    "name: a\nsteps:\n- {name: b, sft: {}, generate: {teacher: c, problems: [generated]}}\n- {name: c, stream: {}}":
        r"line 3: .*generate.teacher: there is no earlier step 'c'",
    "name: a\nsteps:\n- {name: b, sft: {}, generate: {teacher: b, problems: [generated]}}": r"no earlier step 'b'",
    "name: a\nsteps:\n- {name: b, grpo: {top_p: 95}}": r"line 3: .*top_p: Expected `float` <= 1",
    "name: a\nsteps:\n- {name: b, sft: {}, rounds: 2, generate: {traces: [x]}}": r"line 3: .*rounds need a teacher",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_one_line_with_its_place_and_a_command(text: str) -> None:
    with pytest.raises(RecipeError, match=WRONG[text]) as error:
        read_recipe(text, "f.yaml")
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("Mend it, then: r1chat distill --recipe f.yaml")


@pytest.mark.parametrize("source", ["r0", "gone.yaml", "."])
def test_a_recipe_that_is_not_there_is_told_in_one_line(source: str) -> None:
    with pytest.raises(RecipeError, match=r"^There is no .*r1chat distill --recipe \S+$"):
        find_recipe(source)


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    folder = tmp_path / "x.yaml"
    folder.mkdir()
    with pytest.raises(RecipeError, match="cannot be read"):
        find_recipe(str(folder))


def test_a_student_that_is_there_already_cannot_be_made_from_nothing() -> None:
    with pytest.raises(RecipeError, match=r"r1 makes its student from nothing .*--recipe r1 --student demo$"):
        check_plan(find_recipe("r1"), Choices("x", "qwen-1.5b"))


@pytest.mark.parametrize("name", bundled())
def test_what_comes_along_can_be_begun(name: str) -> None:
    recipe = find_recipe(name)
    check_plan(recipe, Choices("x", recipe.student))


SOURCES = {
    "grpo: {problems: ['generated:sum']}": r"b\.grpo\.problems: There is no family 'sum'",
    "grpo: {watch_set: 'generated-tests'}": r"b\.grpo\.watch_set: There are no problems generated-tests",
    "grpo: {watch_set: 'generated-larger:outside'}": r"generated-larger has no problems of outside",
    "grpo: {problems: [gone.jsonl]}": r"b\.grpo\.problems: There is no file gone\.jsonl",
    "evaluate: {sets: [math500]}\n  grpo: {}": r"b\.evaluate\.sets: 'math500' names no problems",
    "sft: {}\n  generate: {traces: ['written:x']}": r"b\.generate\.traces: There is no family 'x'",
    "sft: {}\n  generate: {traces: [gone.jsonl@keys.json]}": r"There is no file gone\.jsonl",
}


@pytest.mark.parametrize("settings", SOURCES)
def test_a_source_that_is_not_there_is_told_before_the_steps_before_it_are_done(settings: str) -> None:
    recipe = read_recipe(f"name: a\nsteps:\n- name: b\n  {settings}", "f.yaml")
    with pytest.raises(RecipeError, match=rf"^f\.yaml: .*{SOURCES[settings]}.*: r1chat distill --recipe f\.yaml$"):
        check_plan(recipe, Choices("x", "tiny"))


@pytest.mark.parametrize(
    "settings", ["stream: {}\n  evaluate: {sets: ['generated:sums']}", "grpo: {watch_set: 'generated:sums'}"]
)
def test_a_student_that_is_made_here_is_measured_on_held_out_problems_alone(settings: str) -> None:
    recipe = read_recipe(f"name: a\nsteps:\n- name: b\n  {settings}", "f.yaml")
    with pytest.raises(RecipeError, match=r"generated:sums .* generated-test:sums, then: r1chat distill --recipe f"):
        check_plan(recipe, Choices("x", "tiny"))
    if "stream" not in settings:
        check_plan(recipe, Choices("x", "qwen-0.5b"))


@pytest.mark.parametrize(
    ("settings", "mend"),
    [
        ("temperature: 0", "temperature: 1.0"),
        ("minibatches: 7", "minibatches: 1"),
        ("reset_reference_every: 9", "beta: 0.001"),
    ],
)
def test_settings_that_contradict_each_other_are_told_at_the_plan(settings: str, mend: str) -> None:
    recipe = read_recipe(f"name: a\nsteps: [{{name: b, grpo: {{{settings}}}}}]", "f.yaml")
    with pytest.raises(RecipeError, match=rf"^f\.yaml: b\.grpo: .* Set {mend}, then: r1chat distill --recipe f\.yaml$"):
        check_plan(recipe, Choices("x", "tiny"))


@pytest.mark.parametrize(
    "settings",
    [
        "grpo: {problems: ['generated:sums,code']}",
        "grpo: {problems: ['generated:code@hard']}",
        "grpo: {watch_set: 'generated-test:code'}",
        "generate: {teacher: demo, problems: ['generated:code']}, sft: {}",
        "stream: {}, evaluate: {sets: ['generated-test:code']}",
    ],
)
def test_programs_are_asked_for_only_where_they_may_be_run(settings: str) -> None:
    text = f"name: a\n{{}}steps: [{{{{name: b, {settings.replace('{', '{{').replace('}', '}}')}}}}}]"
    with pytest.raises(RecipeError, match=r"b asks for programs.*verify: \{sandbox: true\}, then: r1chat distill"):
        check_plan(read_recipe(text.format(""), "f.yaml"), Choices("x", "tiny"))
    check_plan(read_recipe(text.format("verify: {sandbox: true}\n"), "f.yaml"), Choices("x", "tiny"))


def test_where_no_sandbox_works_it_is_told_in_the_plan_and_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (plan, runner):
        monkeypatch.setattr(module, "why_no_jail", lambda: "no user namespaces")
    recipe, choices = find_recipe("r1"), Choices("x", "demo")
    assert any(line.startswith("warning   the sandbox for programs does not") for line in plan_lines(recipe, choices, ""))
    folder = RunFolder(tmp_path)
    with pytest.raises(DistillError, match=r"does not work here: no user namespaces.*run: r1chat distill --run-dir"):
        runner.run_recipe(recipe, choices, folder, None)  # type: ignore[arg-type]
    assert not folder.record.exists()
    without = read_recipe("name: a\nsteps: [{name: b, stream: {}, measure: false}]", "f.yaml")
    assert not any("sandbox" in line for line in plan_lines(without, Choices("x", "tiny"), ""))


def test_an_unknown_student_is_told_with_the_recipes_own() -> None:
    with pytest.raises(RecipeError, match=r"no student 'nix'.*Use: r1chat distill --recipe r1 --student demo$"):
        check_plan(find_recipe("r1"), Choices("x", "nix"))


def test_the_recipe_in_the_documentation_is_one() -> None:
    text = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    recipe = read_recipe(example, "mine.yaml")
    check_plan(recipe, Choices("x", recipe.student))
    assert [(step.kind, step.begins) for step in recipe.steps] == [("stream", None), ("sft", "base"), ("grpo", "base")]


@pytest.mark.parametrize(
    ("student", "grpo", "warned"),
    [
        ("tiny", "{}", "hardly moves a student made here. In the recipe, set: learning_rate: 1e-4"),
        ("tiny", "{learning_rate: 1e-6}", ""),
        ("qwen-1.5b", "{}", "hardly moves an adapter. In the recipe, set: learning_rate: 1e-5"),
        ("qwen-1.5b", "{method: full}", ""),
    ],
)
def test_a_rate_that_moves_nothing_is_told_by_the_plan(tmp_path: Path, student: str, grpo: str, warned: str) -> None:
    recipe = read_recipe(f"name: a\nsteps:\n- {{name: rl, grpo: {grpo}}}\n", "a.yaml")
    told = [line for line in plan_lines(recipe, Choices("a", student), str(tmp_path)) if line.startswith("warning")]
    assert len(told) == bool(warned) and all(line.startswith("warning   rl: ") and warned in line for line in told)
