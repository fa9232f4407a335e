"""Settings of the reinforcement learning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..rewards.config import RewardConfig

# Fields that decide nothing of what comes of a training.
FREE = ("save_every_s", "watch_set", "watch_problems", "watch_samples", "watch_every", "probe")
FREE_OF_REWARDS = ("timeout_s", "judge")  # how long one may take, and at which address it is asked


@dataclass(frozen=True)
class GrpoConfig:
    """A step draws `num_generations` completions of each of `prompts_per_step` problems of `problems` (specs of
    sources) and makes `minibatches` updates of them. It ends after `steps`, or after `minutes` of training,
    whichever comes first; one of them may be None.

    The learning rate falls to `final_rate` of itself in equal parts; small models at high rates drift away at the
    end without. `beta` weighs the KL divergence from the reference, which is the policy itself every
    `reset_reference_every` steps (0: never). `loss` and `scale_rewards` are trl's. `rollouts`: by the model in
    memory, or by a `server` of this machine, which is given the weights anew every `sync_every` steps. Every
    `watch_every` steps `watch_problems` held-out problems of `watch_set` are answered `watch_samples` times each,
    for the curve. With `probe` a training that would be in vain, as all completions are cut off or all rewards
    equal, does not begin.
    """

    problems: tuple[str, ...] = ("generated:countdown",)
    steps: int | None = 300
    minutes: float | None = None
    prompts_per_step: int = 8
    num_generations: int = 8
    minibatches: int = 1
    num_iterations: int = 1
    max_completion_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    method: Literal["full", "lora", "qlora"] | None = None
    lora_rank: int = 32
    learning_rate: float = 1e-6
    warmup_steps: int = 5
    final_rate: float = 1.0
    beta: float = 0.0
    reset_reference_every: int = 0
    loss: Literal["grpo", "dr_grpo", "dapo", "bnpo"] = "dapo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    epsilon: float = 0.2
    epsilon_high: float | None = None
    mask_truncated: bool = False
    rewards: RewardConfig = field(default_factory=RewardConfig)
    rollouts: Literal["generate", "server"] = "generate"
    sync_every: int = 1
    watch_set: str = "generated-test:countdown"
    watch_problems: int = 64
    watch_samples: int = 1
    watch_every: int = 25
    probe: bool = True
    save_every_s: float = 120.0
