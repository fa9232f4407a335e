"""Three trainings one after another, for real and seconds long: killed in the middle, gone on with, changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra `distill`")

from r1chat.distill.errors import DistillError
from r1chat.distill.host import Host
from r1chat.distill.pipeline import STAGES, is_done
from r1chat.distill.recipe.reading import read_recipe
from r1chat.distill.recipe.runner import _as_settings, for_recipe, run_recipe
from r1chat.distill.recipe.steps import Choices, configured, lay_base, stages_of, step_folder
from r1chat.distill.recipe.table import recipe_table
from r1chat.distill.run_folder import RunFolder

RECIPE = """
name: three
student: tiny
evaluate: {sets: ["generated-test:sums"], n: 3, k: 1, max_tokens: 16}
steps:
  - name: base
    stream: {minutes: 0.01, tokens_per_step: 512}
    measure: false
  - name: taught
    from: base
    generate: {traces: ["written:sums"], max_problems: 20}
    sft: {max_steps: 1, batch_size: 4}
  - name: practised
    from: taught
    grpo: {problems: ["generated:sums"], steps: 2, prompts_per_step: 1, num_generations: 2, max_completion_tokens: 4,
           probe: false, watch_problems: 1}
"""
# What the command does, with a small vocabulary, for seconds: first in a child that dies when it says what begins with
# the last argument, then to its end. What takes seconds to load is loaded once.
PROGRAM = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from trl import GRPOTrainer, SFTTrainer
from r1chat.app.distilling.host import make_host
from r1chat.distill.recipe.reading import find_recipe
from r1chat.distill.recipe.runner import run_recipe
from r1chat.distill.recipe.steps import Choices
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.stream import making, training

making.VOCABULARY_EXAMPLES = 2000
training.POOL = 128
source, root, last, kept = sys.argv[1:]
child = os.fork()

def say(text):
    print(text, flush=True)
    if not child and text.startswith(last):
        os.kill(os.getpid(), signal.SIGKILL)

if child:
    _, status = os.waitpid(child, 0)
    print("killed by", os.WTERMSIG(status), flush=True)
    Path(kept).write_bytes((Path(root) / "run.json").read_bytes())
run_recipe(find_recipe(source), Choices("three", "tiny"), RunFolder(Path(root)), replace(make_host(None), say=say))
"""


class Done:
    """The recipe's folder at the end, what was said, and the folder's run.json when the first process had died."""

    def __init__(self, folder: Path) -> None:
        source, kept, self.root, self.models = (folder / name for name in ("three.yaml", "kept", "run", "models"))
        source.write_text(RECIPE)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(source), str(self.root), "taught: Thought", str(kept)],
            env={**os.environ, "R1CHAT_MODELS": str(self.models), "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.said = done.stdout.splitlines()
        self.folder = RunFolder(self.root)
        self.when_killed = json.loads(kept.read_text())

    def record(self) -> dict[str, Any]:
        return self.folder.read_json(self.folder.record)

    def stage(self, step: str, name: str) -> dict[str, Any]:
        """The record of a step's stage."""
        run = json.loads((self.root / "steps" / step / "run.json").read_text())
        return dict(run["stages"][name])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Killed before the second step is trained, then done to its end."""
    return Done(tmp_path_factory.mktemp("recipe"))


def test_what_was_done_before_a_kill_is_not_done_again(whole: Done) -> None:
    assert list(whole.when_killed["stages"]) == ["base"]
    killed = whole.said.index("killed by 9")
    assert whole.said[killed + 1] == "base: already done"
    died = (whole.root.parent / "kept").stat().st_mtime
    assert whole.stage("1-base", "stream")["finished"] < died
    assert whole.stage("2-taught", "filter")["finished"] < died < whole.stage("2-taught", "sft")["finished"]


def test_each_step_continues_the_one_that_it_names_and_all_are_measured(whole: Done) -> None:
    assert whole.record()["plan"] == list(whole.record()["stages"]) == ["base", "taught", "practised"]
    for step, before in (("2-taught", "1-base"), ("3-practised", "2-taught")):
        base = json.loads((whole.root / "steps" / step / "base.json").read_text())
        assert base["path"] == str((whole.root / "steps" / before / "student").resolve())
    result = whole.folder.read_json(whole.root / "recipe.json")
    assert [(step["name"], step["kind"], step["from"]) for step in result["steps"]] == [
        ("base", "stream", None), ("taught", "sft", "base"), ("practised", "grpo", "taught"),
    ]  # fmt: skip
    assert not result["steps"][0]["sets"], "it is not measured"
    for step in result["steps"][1:]:
        [scores] = step["sets"].values()
        assert (scores["n"], scores["k"]) == (3, 1)
        assert {"pass_at_1", "low", "high", "truncated", "mean_tokens", "readable", "mixing", "checks"} <= set(scores)
        assert step["minutes"] > 0
    assert [(c["of"], c["to"]) for c in result["comparisons"]] == [("practised", "taught")]
    assert (whole.folder.report / "index.html").is_file()


def undone(root: Path, name: str) -> list[tuple[str, str]]:
    """Steps and stages that would be done again."""
    recipe, found = read_recipe(RECIPE, "three.yaml"), []
    for step in recipe.steps:
        folder = step_folder(root, recipe, step)
        lay_base(recipe, step, folder, root)
        config = configured(recipe, step, Choices(name, "tiny"), root)
        stages = [stage for stage in STAGES if stage.name in stages_of(step) and not stage.always]
        found += [(step.name, stage.name) for stage in stages if not is_done(stage, config, folder)]
    return found


def test_a_run_that_was_moved_is_done_and_another_name_writes_its_last_file_anew(whole: Done, tmp_path: Path) -> None:
    assert undone(whole.root, "three") == []
    moved = tmp_path / "moved"
    shutil.copytree(whole.root, moved)
    assert undone(moved, "three") == []
    assert undone(moved, "four") == [("practised", "export")]


def test_the_table_has_a_line_for_each_step(whole: Done) -> None:
    table = recipe_table(whole.folder.read_json(whole.root / "recipe.json"))
    firsts = [line.split()[0] for line in table.splitlines()]
    assert firsts == ["generated-test:sums,", "step", "taught", "practised", "practised"]


def test_what_stops_a_step_ends_with_the_command_for_the_whole_recipe(tmp_path: Path) -> None:
    recipe = read_recipe("name: r\nsteps:\n- {name: base, stream: {}}", "r.yaml")
    with pytest.raises(DistillError) as told:
        run_recipe(recipe, Choices("x", "qwen-1.5b"), RunFolder(tmp_path), Host(print, print, print))  # type: ignore[arg-type]
    assert str(told.value).startswith("Step base: qwen-1.5b is no model that is made here")
    assert str(told.value).endswith(f"Use: student: small in the recipe, then: r1chat distill --run-dir {tmp_path}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("No trace is left. Take others: r1chat distill generate --run-dir /x/steps/1-a --traces FILE.jsonl",
         "No trace is left. Take others: traces: FILE.jsonl in the recipe, then: AGAIN"),
        ("Train more gently: r1chat distill sft --learning-rate 0.0005",
         "Train more gently: learning_rate: 0.0005 in the recipe, then: AGAIN"),
        ("It runs code. Allow it: r1chat distill --sandbox",
         "It runs code. Allow it: verify: {sandbox: true} in the recipe, then: AGAIN"),
        ("Give its key: R1CHAT_TEACHER_KEY=KEY r1chat distill evaluate", "Give its key: R1CHAT_TEACHER_KEY=KEY AGAIN"),
        ("To train on those: r1chat distill --run-dir /x/steps/1-a", "To train on those: AGAIN"),
        ("The disk is full.", "The disk is full. Then: AGAIN"),
        ("There is a model s. Delete it: r1chat rm s", "There is a model s. Delete it: r1chat rm s"),
    ],
)  # fmt: skip
def test_what_mends_a_run_of_its_own_is_told_as_what_mends_the_recipe(text: str, told: str) -> None:
    again = "r1chat distill --run-dir /x"
    assert for_recipe(text, again) == told.replace("AGAIN", again)


def test_a_step_that_is_done_anew_takes_what_was_said_of_those_behind_it_back(tmp_path: Path) -> None:
    recipe = read_recipe("name: r\nsteps:\n- {name: a, stream: {}}\n- {name: b, from: a, stream: {}}", "r.yaml")
    folder = RunFolder(tmp_path)
    folder.write_json(folder.record, {"stages": {"a": {"finished": 1.0}, "b": {"finished": 2.0}}, "verdict": "Better."})
    with pytest.raises(DistillError):
        run_recipe(recipe, Choices("x", "qwen-1.5b"), folder, Host(print, print, print))  # type: ignore[arg-type]
    record = folder.read_json(folder.record)
    assert record["stages"] == {} and "verdict" not in record


def test_options_of_the_command_are_told_as_settings_of_the_file() -> None:
    again = "r1chat distill --run-dir x"
    smaller = _as_settings("Use a smaller --batch-size, or more --epochs", again)
    assert smaller == "Use a smaller batch_size, or more epochs"
    assert _as_settings(f"Again: {again}", again) == f"Again: {again}"
    of_a_step = "1 got no reply. Ask again: r1chat distill generate --run-dir x/steps/2-b --concurrency 8"
    assert _as_settings(of_a_step, again) == f"1 got no reply. Ask again: concurrency: 8 in the recipe, then: {again}"


def test_only_the_last_students_name_is_in_the_list_of_models(whole: Done) -> None:
    assert [path.name for path in whole.models.rglob("*.gguf")] == ["three.gguf"]


def test_the_numbers_of_each_step_are_repeated_under_its_name(whole: Done) -> None:
    events = whole.folder.read_events("practised")
    own = RunFolder(whole.root / "steps/3-practised").read_events("grpo")
    rewards = [(event["step"], event["value"]) for event in own if event["metric"] == "reward"]
    assert rewards
    assert [(event["step"], event["value"]) for event in events if event["metric"] == "reward"] == rewards
    shares = [event["value"] for event in events if event["metric"] == "share"]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
