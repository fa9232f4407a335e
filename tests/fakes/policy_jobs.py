"""Reinforcement learning of seconds: a random base, and problems whose rewards are what a test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chat_folders import chat_folder

from r1chat.distill.grpo.config import GrpoConfig
from r1chat.distill.grpo.job import GrpoJob
from r1chat.distill.grpo.sampler import Completion
from r1chat.distill.rewards.functions import Limits, Reward
from r1chat.distill.rows import ProblemRow
from r1chat.distill.sft.rows import RowEncoder

PROBLEMS = tuple(
    ProblemRow(id=f"p{n}", prompt=f"What is {n} + {10**n}?", gold=str(n + 10**n), source="here", family="sums")
    for n in range(4)
)


def policy_job(folder: Path, *, watched: bool = False, method: Any = "full", **settings: Any) -> GrpoJob:
    """Two prompts and four completions a step, unless `settings` say otherwise."""
    base = folder / "base"
    if not base.exists():
        chat_folder(base, "r1", num_hidden_layers=2, tie_word_embeddings=True)
    given = {"prompts_per_step": 2, "num_generations": 4, "max_completion_tokens": 12, "steps": 4, **settings}
    chosen = PROBLEMS[:2]
    return GrpoJob(folder / "grpo", base, "base", method, GrpoConfig(**given), 1, chosen, PROBLEMS if watched else ())


def fixed_reward(values: Sequence[float | None], weight: float = 1.0, name: str = "fixed") -> Reward:
    """Gives the completions these values, in their order."""
    return Reward(
        name, weight, lambda said: list(values), {row.id: row for row in PROBLEMS}, Limits(12, frozenset()), 5.0
    )


def policy_trainer(job: GrpoJob, rewards: list[Reward], draw: Callable[..., list[Completion]]) -> Any:
    """The trainer of a job in float32, as it stands before its first step."""
    import torch

    from r1chat.distill.grpo.arguments import arguments, required
    from r1chat.distill.grpo.policy_trainer import PolicyTrainer
    from r1chat.distill.sft.model import Device, load_model

    device = Device("cpu", None)
    torch.manual_seed(0)
    encoder, model = RowEncoder(job.base), load_model(job, device)
    asked = {encoder.decode(encoder.encode_prompt(row.prompt)): row for row in job.problems}
    trainer = PolicyTrainer(
        draw=draw, asked=asked, rewards=rewards, taken=lambda *_: None, sealed=lambda _: None, rate=lambda _: 1.0,
        updates=job.updates,
        model=model, args=arguments(job, rewards, device, model, 40), **required(job, encoder, asked),
    )  # fmt: skip
    trainer.current_gradient_accumulation_steps = 1  # as its first step would set it
    trainer.model.train()
    return trainer
