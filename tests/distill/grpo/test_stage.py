"""From a base to a student that is rewarded more; what was told on the way is on record, and nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from chat_folders import chat_folder
from policy_jobs import PROBLEMS, policy_job

from r1chat.distill.config import DistillConfig
from r1chat.distill.errors import DistillError
from r1chat.distill.evaluate.config import EvaluateConfig
from r1chat.distill.grpo.arguments import required
from r1chat.distill.grpo.config import GrpoConfig
from r1chat.distill.grpo.job import prepare
from r1chat.distill.grpo.ledger import Rollouts
from r1chat.distill.grpo.probe import probe
from r1chat.distill.grpo.sampler import Completion
from r1chat.distill.grpo.stage import run_stage, tidy
from r1chat.distill.hf.tensors import SafetensorsFolder
from r1chat.distill.host import Host
from r1chat.distill.rewards.config import RewardConfig
from r1chat.distill.rows import ProblemRow, RolloutRow, read_rows, write_rows
from r1chat.distill.run_folder import Event, RunFolder
from r1chat.distill.sft.rows import RowEncoder
from r1chat.distill.sources.problems import load_problems
from r1chat.distill.students import STUDENTS

pytest.importorskip("trl", reason="needs the extra `distill`")

# what random weights say in two tokens has letters in it, or has not
LETTERS = RewardConfig(accuracy=1.0, format=0.0, language=1.0)
TOLD = {
    "reward", "reward_accuracy", "reward_language", "accuracy", "length", "entropy", "clipped_share", "equal_share",
    "check_share", "backtrack_share", "rollout_seconds", "update_seconds", "learning_rate", "share", "loss", "grad_norm",
}  # fmt: skip


def make_run(root: Path, listener: Callable[[Event], None] = lambda event: None) -> RunFolder:
    folder = RunFolder(root, listener)
    if not folder.base.exists():
        chat_folder(folder.base, "r1", num_hidden_layers=2, tie_word_embeddings=True)
    folder.write_json(folder.base_record, {"path": str(folder.base), "name": "random", "sha256": "base"})
    return folder


def config(folder: RunFolder, **settings: Any) -> DistillConfig:
    given = {
        "problems": ("generated:sums",), "steps": 4, "prompts_per_step": 2, "num_generations": 8,
        "max_completion_tokens": 2, "learning_rate": 1e-3, "warmup_steps": 0, "final_rate": 0.2, "rewards": LETTERS, "probe": False,
        "watch_set": "generated-test:sums", "watch_problems": 3, "watch_every": 2, **settings,
    }  # fmt: skip
    return DistillConfig(STUDENTS["tiny"], folder.root, "student", grpo=GrpoConfig(**given))


def host(said: list[str]) -> Host:
    def unused(*_: Any) -> Any:
        raise AssertionError("nothing is served, and nothing registered")

    return Host(serve=unused, register=unused, say=said.append)


def weights(folder: Path) -> dict[str, np.ndarray]:
    return {name: np.asarray(tensor[0:]) for name, tensor in SafetensorsFolder(folder).items()}


def same(one: Path, other: Path) -> bool:
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module", autouse=True)
def in_float32() -> Iterator[None]:
    """On a CPU that would take bfloat16, too: other draws might come to an end within two tokens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("r1chat.distill.sft.model._fast_bfloat16", lambda: False)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, list[Event]]:
    """A run in one go, and what it told."""
    events: list[Event] = []
    folder = make_run(tmp_path_factory.mktemp("whole"), events.append)
    run_stage(config(folder), folder, host([]))
    return folder, events


def test_a_run_leaves_a_student_its_record_and_its_numbers(whole: tuple[RunFolder, list[Event]]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, events = whole
    record = folder.read_json(folder.trained)
    assert (record["kind"], record["steps"], record["rows"], record["batch_size"]) == ("full", 4, 64, 16)
    assert record["tokens"] == 64 * 2
    assert not same(folder.base, folder.student)
    AutoModelForCausalLM.from_pretrained(folder.student)
    prompt = AutoTokenizer.from_pretrained(folder.student).apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt.endswith("<think>\n")
    for step in range(1, 5):
        told = {event.metric for event in events if event.step == step}
        assert told - {"held_out_accuracy", "held_out_length", "minutes"} == TOLD
    watched = [event.step for event in events if event.metric == "held_out_accuracy"]
    assert watched == [0, 2, 4]
    assert [event.value for event in events if event.metric == "share"] == [0.25, 0.5, 0.75, 1.0]
    rates = [event.value for event in events if event.metric == "learning_rate"]
    assert rates == pytest.approx([1e-3, 1e-3, 8e-4, 6e-4]), "a fourth of the way down a step, from the second on"
    assert {event.stage for event in events} == {"grpo"}
    tidy(folder)
    assert not list(folder.grpo.glob("step-*")), "checkpoints of what is finished take room for nothing"


def test_the_watched_answers_are_kept_each_time_and_a_few_of_every_step(whole: tuple[RunFolder, list[Event]]) -> None:
    rows = list(read_rows(whole[0].rollouts, RolloutRow))
    watched = [row for row in rows if row.watched]
    assert [row.step for row in watched] == [0] * 3 + [2] * 3 + [4] * 3
    assert len({row.problem_id for row in watched}) == 3
    own = [row for row in rows if not row.watched]
    assert [row.step for row in own] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert own[0].problem_id != own[1].problem_id
    assert all(row.finish_reason == "length" and row.verdict == "wrong" and row.answer == "" for row in own)
    assert set(own[0].rewards) == {"accuracy", "language"}


@pytest.mark.slow
def test_ctrl_c_keeps_the_step_and_the_next_start_ends_as_an_unbroken_run(
    whole: tuple[RunFolder, list[Event]], tmp_path: Path
) -> None:
    said: list[str] = []

    def interrupt(event: Event) -> None:
        if (event.step, event.metric) == (2, "loss"):
            signal.raise_signal(signal.SIGINT)

    folder = make_run(tmp_path, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_stage(config(folder), folder, host(said))
    assert any("Ctrl-C again" in line for line in said)
    assert not folder.trained.exists()
    again: list[Event] = []
    folder = make_run(tmp_path, again.append)
    run_stage(config(folder), folder, host(said))
    assert min(event.step for event in again) == 4, "it had saved the step it was at"
    assert same(folder.student, whole[0].student)
    assert folder.read_json(folder.trained)["rows"] == 64


@pytest.mark.slow
def test_a_run_that_dies_goes_on_behind_its_checkpoint_and_keeps_no_row_twice(
    whole: tuple[RunFolder, list[Event]], tmp_path: Path
) -> None:
    def die(event: Event) -> None:
        if (event.step, event.metric) == (3, "share"):
            raise RuntimeError("the power is off")

    folder = make_run(tmp_path, die)
    settings = config(folder, save_every_s=0.0)
    with pytest.raises(RuntimeError):
        run_stage(settings, folder, host([]))
    again: list[Event] = []
    folder = make_run(tmp_path, again.append)
    run_stage(settings, folder, host([]))
    assert min(event.step for event in again) == 3
    assert same(folder.student, whole[0].student)
    assert list(read_rows(folder.rollouts, RolloutRow)) == list(read_rows(whole[0].rollouts, RolloutRow))


@pytest.mark.slow
def test_a_run_that_dies_behind_its_last_step_trains_no_other_and_remembers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import load_file

    events: list[Event] = []
    folder = make_run(tmp_path, events.append)
    settings = config(folder, steps=None, minutes=0.001, method="lora", lora_rank=2, watch_problems=0)
    with monkeypatch.context() as patch:
        patch.setattr(
            "r1chat.distill.grpo.trainer._save", lambda *_: (_ for _ in ()).throw(RuntimeError("the power is off"))
        )
        with pytest.raises(RuntimeError):
            run_stage(settings, folder, host([]))
    told = {event.metric: event.value for event in events}
    steps = max(event.step for event in events)
    events.clear()
    run_stage(settings, folder, host([]))
    record = folder.read_json(folder.trained)
    assert not events and record["steps"] == steps
    assert (record["loss"], record["reward"]) == (told["loss"], told["reward"])
    trained = load_file(folder.adapter / "adapter_model.safetensors")
    assert any(tensor.any() for name, tensor in trained.items() if "lora_B" in name), "as at the start they are zero"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_reference_becomes_the_policy_of_its_step_also_after_a_break(tmp_path: Path, method: Any) -> None:
    told: dict[int, float] = {}

    def listen(event: Event) -> None:
        if event.metric == "kl":
            assert event.step not in told, "a break undoes nothing here"
            told[event.step] = event.value
            if event.step == 1:  # heard at the end of the second
                signal.raise_signal(signal.SIGINT)

    settings: dict[str, Any] = {
        "steps": 4, "beta": 0.01, "reset_reference_every": 2, "learning_rate": 2e-2, "method": method, "lora_rank": 4,
        "watch_problems": 0, "prompts_per_step": 8,  # of two the answers may all earn the same, and nothing moves
    }  # fmt: skip
    folder = make_run(tmp_path, listen)
    with pytest.raises(KeyboardInterrupt):
        run_stage(config(folder, **settings), folder, host([]))
    run_stage(config(folder, **settings), folder, host([]))
    assert told[1] == told[3] == pytest.approx(0, abs=1e-6), "the third begins with the reference of the second"
    assert told[2] > 1e-5 < told[4]
    place = folder.student if method == "full" else folder.adapter
    assert folder.read_json(folder.trained)["kind"] == ("full" if method == "full" else "adapter")
    assert not (place / "ref").exists()


def test_nothing_that_is_measured_on_is_trained_on_in_whatever_words(tmp_path: Path) -> None:
    puzzle = load_problems("generated-test:countdown", limit=1)[0]
    sums = load_problems("generated-test:sums", limit=2)
    trained = load_problems("generated:sums", limit=2)
    rows = [
        msgspec.structs.replace(puzzle, id="a", prompt="The puzzle in other words.", source="file"),
        msgspec.structs.replace(sums[0], id="b", prompt=f"Good day! {sums[0].prompt} Thank you."),
        *trained,
        msgspec.structs.replace(trained[0], id="twice"),
    ]
    write_rows(tmp_path / "mine.jsonl", rows)
    write_rows(tmp_path / "asked.jsonl", [trained[1]])
    folder = make_run(tmp_path / "run")
    settings = config(folder, problems=(str(tmp_path / "mine.jsonl"),), prompts_per_step=1, watch_problems=0)
    evaluated = replace(settings, evaluate=EvaluateConfig(sets=("generated-test:sums", str(tmp_path / "asked.jsonl"))))
    job = prepare(evaluated, folder.grpo, folder.read_json(folder.base_record))
    assert [row.prompt for row in job.problems] == [trained[0].prompt]


def test_what_is_rewarded_in_a_box_only_is_asked_for_in_one(tmp_path: Path) -> None:
    rows = [
        ProblemRow(id="1", prompt="What is 1 + 1, please?", gold="2", source="file"),
        ProblemRow(id="2", prompt="Box 2 + 3 as \\boxed{}.", gold="5", source="file"),
        ProblemRow(id="3", prompt="Name a fruit.", gold="fig", source="file", verifier="exact"),
        ProblemRow(id="4", prompt="Why?", gold=None, source="file"),
        *load_problems("generated:sums", limit=2),
    ]
    write_rows(tmp_path / "mine.jsonl", rows)
    folder = make_run(tmp_path / "run")
    job = prepare(
        config(folder, problems=(str(tmp_path / "mine.jsonl"),), prompts_per_step=1, steps=9, watch_problems=0),
        folder.grpo, folder.read_json(folder.base_record),
    )  # fmt: skip
    asked = {row.id: row.prompt for row in job.problems}
    told = f"{rows[0].prompt}\n\nPlease reason step by step, and put your final answer within \\boxed{{}}."
    assert asked == {row.id: told if row.id == "1" else row.prompt for row in rows}


def test_a_file_is_practised_in_no_order_and_what_is_generated_in_its_own(tmp_path: Path) -> None:
    rows = [ProblemRow(id=f"{n}", prompt=f"\\boxed{{{n}}}?", gold=f"{n}", source="file") for n in range(64)]
    write_rows(tmp_path / "sorted.jsonl", rows)
    folder = make_run(tmp_path / "run")

    def practised(spec: str) -> list[str]:
        settings = config(folder, problems=(spec,), steps=32, watch_problems=0)
        return [row.prompt for row in prepare(settings, folder.grpo, folder.read_json(folder.base_record)).problems]

    mixed = practised(str(tmp_path / "sorted.jsonl"))
    asked = [row.prompt for row in rows]
    assert mixed != asked and sorted(mixed) == sorted(asked) and practised(str(tmp_path / "sorted.jsonl")) == mixed
    drawn, own = [row.prompt for row in load_problems("generated:sums", limit=64)], practised("generated:sums")
    assert own and own == [prompt for prompt in drawn if prompt in own]


def test_two_files_that_both_count_from_one_keep_their_own_answers(tmp_path: Path) -> None:
    for name, numbers in (("a", (1, 1)), ("b", (2, 3))):
        prompt, gold = f"What is {numbers[0]} + {numbers[1]}, please?", str(sum(numbers))
        write_rows(tmp_path / f"{name}.jsonl", [ProblemRow(id="1", prompt=prompt, gold=gold, source="file")])
    folder = make_run(tmp_path / "run")
    files = tuple(str(tmp_path / f"{name}.jsonl") for name in "ab")
    job = prepare(
        config(folder, problems=files, prompts_per_step=1, watch_problems=0),
        folder.grpo, folder.read_json(folder.base_record),
    )  # fmt: skip
    by_id = {row.id: row for row in job.problems}
    assert sorted(row.gold or "" for row in by_id.values()) == ["2", "5"]


def test_what_mends_a_late_reward_does_not_begin_the_training_anew(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    marks = {
        prepare(config(folder, rewards=changed), folder.grpo, folder.read_json(folder.base_record))
        .fingerprint()
        for changed in (RewardConfig(), RewardConfig(timeout_s=500.0), RewardConfig(general=0.5))
    }  # fmt: skip
    assert len(marks) == 2


def test_only_what_was_solved_all_along_is_learnt(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from r1chat.distill.grpo.watch import Watch

    job = policy_job(tmp_path)
    for solved, is_learnt in ((20, True), (1, False)):
        watch = Watch(job, None, lambda *_: None, lambda *_: None, lambda: False)  # type: ignore[arg-type]
        for number in range(20):
            worth: list[float | None] = [float(number >= 20 - solved)] * 2
            watch.take(Rollouts([], [], {"accuracy": worth}, worth, 2), 0.0)
        assert watch._is_learnt() is is_learnt


def test_patience_outlives_a_stop(tmp_path: Path) -> None:
    """Who stops it every few steps would never be told that nothing is left to learn."""
    pytest.importorskip("trl")
    from r1chat.distill.grpo.watch import Watch
    from r1chat.distill.sft import checkpoints

    job = policy_job(tmp_path)
    watch = Watch(job, None, lambda *_: None, lambda *_: None, lambda: False)  # type: ignore[arg-type]
    for _ in range(19):
        watch.take(Rollouts([], [], {"accuracy": [1.0, 1.0]}, [1.0, 1.0], 2), 0.0)
    (checkpoints.aside(job.folder) / "checkpoint-19").mkdir(parents=True)
    watch.seal(19)
    again = Watch(job, None, lambda *_: None, lambda *_: None, lambda: False)  # type: ignore[arg-type]
    assert not again._is_learnt()
    again.take(Rollouts([], [], {"accuracy": [1.0, 1.0]}, [1.0, 1.0], 2), 0.0)
    assert again._is_learnt()


def test_problems_that_do_not_fill_the_last_step_are_all_asked(tmp_path: Path) -> None:
    job = policy_job(tmp_path)
    asked = {f"text {row.id}": row for row in PROBLEMS[:3]}
    prompts = required(job, RowEncoder(job.base), asked)["train_dataset"]["prompt"]
    assert list(prompts) == ["text p0", "text p1", "text p2"] * 2


@pytest.mark.slow
def test_it_ends_with_its_minutes(tmp_path: Path) -> None:
    events: list[Event] = []
    folder = make_run(tmp_path, events.append)
    run_stage(config(folder, steps=None, minutes=0.02, watch_problems=0), folder, host([]))
    record = folder.read_json(folder.trained)
    assert record["steps"] >= 1 and 1.2 <= record["seconds"] < 60
    assert [event.value for event in events if event.metric == "share"][-1] == 1.0


def test_a_base_that_never_ends_is_told_before_the_first_step(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    with pytest.raises(DistillError, match=r"All of 64 completions were cut off at 2 tokens.*: 4$"):
        run_stage(config(folder, probe=True), folder, host([]))
    assert not folder.trained.exists()


def test_a_student_that_solves_nearly_all_is_given_time_to_fail() -> None:
    problem = ProblemRow(id="p", prompt="?", gold="1", source="test")

    def rollouts(*accuracy: float) -> Rollouts:
        said = [Completion([], [1, 2], "x</think>y", "stop") for _ in accuracy]
        return Rollouts([problem] * len(said), said, {"accuracy": list(accuracy)}, accuracy, len(said))

    drawn = iter([rollouts(1, 1)] * 5 + [rollouts(0, 0), rollouts(1, 1), rollouts(1, 0)])
    probe(lambda number: next(drawn), 64)
    with pytest.raises(DistillError, match="@hard"):
        probe(lambda number: rollouts(1, 1), 64)
    drawn = iter([rollouts(0, 0)] * 4)
    with pytest.raises(DistillError, match=r"others: problems: \[generated:sums\]"):
        probe(lambda number: next(drawn), 64)


def test_ctrl_c_is_heard_while_it_is_probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def rolled_out(*given: Any) -> Rollouts:
        drawn.append(given[-1])
        signal.raise_signal(signal.SIGINT)
        return Rollouts(PROBLEMS[:2], [Completion([], [1, 2], "x", "length")] * 2, {}, (0.0, 0.0), 2)

    monkeypatch.setattr("r1chat.distill.grpo.trainer.roll_out", rolled_out)
    folder = make_run(tmp_path)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_stage(config(folder, probe=True), folder, host(said))
    assert drawn == [0] and len(said) == 1


def test_ctrl_c_is_heard_before_the_held_out_problems_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from r1chat.distill.sft.model import load_model

    def loaded(*given: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return load_model(*given)

    monkeypatch.setattr("r1chat.distill.sft.model.load_model", loaded)
    monkeypatch.setattr("r1chat.distill.grpo.held_out.HeldOut.ask", lambda *_: pytest.fail("they are asked"))
    folder = make_run(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_stage(config(folder), folder, host([]))


@pytest.mark.slow
def test_rewards_that_never_differ_end_the_training(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    never = config(folder, steps=40, rewards=RewardConfig(format=0.0), watch_problems=0)
    with pytest.raises(DistillError, match="last 20 steps every group"):
        run_stage(never, folder, host([]))


@pytest.mark.parametrize(
    ("settings", "mend"),
    [
        ({"num_generations": 1}, "num_generations: 8"),
        ({"minibatches": 3}, "minibatches: 1"),
        ({"steps": None}, "steps: 300"),
        ({"temperature": 0.0}, "temperature: 1.0"),
        ({"reset_reference_every": 5}, "beta: 0.001"),
        ({"problems": ("generated-test:sums",)}, "problems: "),
        ({"max_completion_tokens": 5000}, "max_completion_tokens: 40"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_what_mends_them(
    tmp_path: Path, settings: dict[str, Any], mend: str
) -> None:
    folder = make_run(tmp_path)
    with pytest.raises(DistillError, match=mend):
        run_stage(config(folder, **settings), folder, host([]))
