"""Advantages, losses and the KL divergence of two prompts with four completions each, beside plain arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from policy_jobs import PROBLEMS, fixed_reward, policy_job, policy_trainer

from r1chat.distill.grpo.sampler import Completion
from r1chat.distill.sft.rows import RowEncoder

pytest.importorskip("trl", reason="needs the extra `distill`")

REWARDS = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.5, 1.0]
# (reward - mean) / (deviation + 1e-4), the deviation of n - 1: sqrt(0.25) of the first group, sqrt(0.6875 / 3) of the other
FIRST = [0.25 / 0.5001, 0.25 / 0.5001, -0.75 / 0.5001, 0.25 / 0.5001]
SECOND = [(reward - 0.375) / ((0.6875 / 3) ** 0.5 + 1e-4) for reward in REWARDS[4:]]
LOW, HIGH, BETA = 0.2, 0.28, 0.04


def test_the_advantages_are_those_of_the_sample_deviation() -> None:
    assert pytest.approx([0.5, 0.5, -1.5, 0.5], abs=1e-3) == FIRST
    assert pytest.approx(0.577, abs=1e-3) == (1 - 0.75) / 0.1875**0.5, "the population's, which DeepSeekMath's text has"


def completions(encoder: RowEncoder) -> list[Completion]:
    """Of different lengths; each is said to have been a little more or less likely when it was drawn."""
    import torch

    torch.manual_seed(5)
    drawn = []
    for at in range(8):
        ids = torch.randint(20, 900, (3 + at,)).tolist()
        prompt = encoder.encode_prompt(PROBLEMS[at // 4].prompt)
        drawn.append(Completion(prompt, ids, encoder.decode(ids), "length"))
    return drawn


def log_probs(model: Any, one: Completion) -> Any:
    """Of a completion's tokens, each after all before it; nothing but the model's logits."""
    import torch

    logits = model(torch.tensor([one.prompt_ids + one.ids])).logits[0]
    rows = logits.log_softmax(-1)[len(one.prompt_ids) - 1 : -1]
    return rows.gather(1, torch.tensor(one.ids)[:, None])[:, 0]


def step(folder: Path, **settings: Any) -> tuple[Any, Any, list[Completion], list[Any]]:
    """A trainer, what it makes of the completions, and how likely these were when they were drawn."""
    import torch

    job = policy_job(folder, epsilon=LOW, epsilon_high=HIGH, beta=BETA, **settings)
    drawn = completions(RowEncoder(job.base))
    trainer = policy_trainer(job, [fixed_reward(REWARDS)], lambda *_: drawn)
    with torch.no_grad():
        for weight in trainer.ref_model.parameters():
            weight.mul_(1.02)
        moved = [0.5 * torch.sin(torch.arange(len(one.ids)) + at) for at, one in enumerate(drawn)]
        before = [log_probs(trainer.model, one) + off for one, off in zip(drawn, moved, strict=True)]
    drawn[:] = [
        Completion(one.prompt_ids, one.ids, one.text, "length", old.tolist())
        for one, old in zip(drawn, before, strict=True)
    ]
    rows = [row for row in trainer.train_dataset for _ in range(4)]
    return trainer, trainer._generate_and_score_completions(rows), drawn, before


def token_losses(trainer: Any, drawn: list[Completion], before: list[Any]) -> tuple[list[Any], Any]:
    """-min(ratio A, clipped ratio A) + beta KL of each token, by completion, and the mean KL over all tokens."""
    import torch

    losses, divergences, clipped = [], [], 0
    with torch.no_grad():
        for one, old, advantage in zip(drawn, before, FIRST + SECOND, strict=True):
            now, reference = log_probs(trainer.model, one), log_probs(trainer.ref_model, one)
            ratio = torch.exp(now - old)
            kept = torch.minimum(ratio * advantage, ratio.clamp(1 - LOW, 1 + HIGH) * advantage)
            clipped += int((kept != ratio * advantage).sum())
            divergence = torch.exp(reference - now) - (reference - now) - 1
            losses.append(-kept + BETA * divergence)
            divergences.append(divergence)
    assert 5 < clipped < 40, "some of the 52 tokens are beyond the range, and others are not"
    return losses, torch.cat(divergences).mean()


@pytest.mark.parametrize("loss", ["grpo", "dr_grpo", "dapo"])
def test_loss_and_divergence_are_those_worked_out_by_hand(tmp_path: Path, loss: str) -> None:
    import torch

    trainer, inputs, drawn, before = step(tmp_path, loss=loss)
    assert inputs["advantages"].tolist() == pytest.approx(FIRST + SECOND, abs=1e-5)
    ours, divergence = token_losses(trainer, drawn, before)
    expected = {
        "grpo": sum(row.mean() for row in ours) / 8,  # each completion counts the same
        "dr_grpo": sum(row.sum() for row in ours) / (8 * 12),  # over the longest there may be
        "dapo": torch.cat(ours).sum() / sum(len(row) for row in ours),  # each token counts the same
    }[loss]
    with torch.no_grad():
        found = trainer.compute_loss(trainer.model, inputs)
    assert float(found) == pytest.approx(float(expected), abs=2e-6)
    assert trainer._metrics["train"]["kl"][-1] == pytest.approx(float(divergence), rel=1e-3)
    assert float(divergence) > 1e-4


def test_unscaled_advantages_are_the_differences_from_the_mean(tmp_path: Path) -> None:
    trainer, inputs, _, _ = step(tmp_path, loss="dr_grpo", scale_rewards="none")
    expected = [0.25, 0.25, -0.75, 0.25, -0.375, -0.375, 0.125, 0.625]
    assert inputs["advantages"].tolist() == pytest.approx(expected, abs=1e-6)
    assert trainer.ref_model is not None
