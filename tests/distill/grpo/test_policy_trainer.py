"""What is rewarded becomes more frequent, whatever way a step is made of its completions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from policy_jobs import fixed_reward, policy_job, policy_trainer

from r1chat.distill.grpo.ledger import Rollouts
from r1chat.distill.grpo.sampler import Completion, draws_in_memory
from r1chat.distill.rewards.said import Said
from r1chat.distill.sft.rows import RowEncoder

pytest.importorskip("trl", reason="needs the extra `distill`")


def digits(said: list[Said]) -> list[float | None]:
    """The share of the text that is digits."""
    return [sum(sign.isdigit() for sign in one.text) / max(1, len(one.text)) for one in said]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"loss": "dr_grpo"}, {"minibatches": 2, "num_iterations": 2}])
def test_what_is_rewarded_becomes_more(tmp_path: Path, settings: dict[str, Any]) -> None:
    job = policy_job(tmp_path, steps=12, num_generations=16, learning_rate=5e-3, warmup_steps=0, **settings)
    reward = fixed_reward([], name="digits")
    reward.score = digits  # type: ignore[assignment]
    trainer = policy_trainer(job, [reward], draws_in_memory(RowEncoder(job.base), job.settings, job.seed))
    found: list[float] = []

    def take(rollouts: Rollouts, _: float) -> None:
        found.append(sum(value or 0.0 for value in rollouts.worth) / len(rollouts.worth))

    trainer._taken = take
    trainer.train()
    assert len(found) == 12
    assert sum(found[-3:]) / 3 > 2 * sum(found[:3]) / 3 + 0.1


def test_what_is_judged_is_what_was_drawn_with_special_tokens_that_stand_in_it(tmp_path: Path) -> None:
    job = policy_job(tmp_path)
    encoder = RowEncoder(job.base)
    heard: list[str] = []

    def score(said: list[Said]) -> list[float | None]:
        heard.extend(one.text for one in said)
        return [float(number % 2) for number in range(len(said))]

    reward = fixed_reward([], name="hears")
    reward.score = score  # type: ignore[assignment]
    stray = [encoder.eos_id + 1 if encoder.eos_id == 0 else encoder.eos_id - 1, 40, encoder.eos_id]

    def draw(model: Any, prompts: Any, step: int) -> list[Completion]:
        text = encoder.decode(stray[:-1])
        return [Completion(encoder.encode_prompt(prompt), stray, text, "stop") for prompt in prompts]

    trainer = policy_trainer(job, [reward], draw)
    trainer._generate_and_score_completions([row for row in trainer.train_dataset for _ in range(4)])
    assert set(heard) == {encoder.decode(stray[:-1])}


def test_a_reward_counts_with_its_weight_and_one_without_a_word_counts_nothing(tmp_path: Path) -> None:
    job = policy_job(tmp_path)
    rewards = [fixed_reward([1.0, None] * 4, 2.0, "some"), fixed_reward([0.5, 0.25] * 4, 1.0, "all")]
    trainer = policy_trainer(job, rewards, draws_in_memory(RowEncoder(job.base), job.settings, job.seed))
    taken: list[Rollouts] = []
    trainer._taken = lambda rollouts, _: taken.append(rollouts)
    inputs = trainer._generate_and_score_completions([row for row in trainer.train_dataset for _ in range(4)])
    assert taken[0].worth == [2.5, 0.25] * 4
    assert taken[0].numbers()["reward_some"] == 1.0 and taken[0].numbers()["reward"] == pytest.approx(1.375)
    deviation = (4 * 1.125**2 / 3) ** 0.5 + 1e-4
    assert inputs["advantages"].tolist() == pytest.approx([1.125 / deviation, -1.125 / deviation] * 4, abs=1e-5)
    assert replace(taken[0], worth=[None] * 8).equal_share == 1.0
