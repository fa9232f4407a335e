"""A job's settings as trl's, and what else its trainer insists on."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any

from ..rewards.functions import Reward
from ..sft.rows import RowEncoder
from .job import GrpoJob

if TYPE_CHECKING:
    from ..sft.model import Device

# Tokens, filled up to the longest, that go through a small model at once.
_SMALL_AT_ONCE = 32_768


def arguments(job: GrpoJob, rewards: list[Reward], device: Device, model: Any, longest: int) -> Any:
    """trl's GRPOConfig. `longest` is the longest prompt's tokens."""
    from trl import GRPOConfig

    from ..sft.arguments import common_arguments

    settings = job.settings
    at_once = _at_once(job, longest, device, model.num_parameters())
    parts = job.batch_size // settings.minibatches // at_once
    return GRPOConfig(
        **common_arguments(job.folder, job.seed, device, model),
        max_steps=job.updates * settings.steps if settings.steps else 2**31,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=parts,
        steps_per_generation=settings.minibatches * parts,
        num_generations=settings.num_generations,
        num_iterations=settings.num_iterations,
        max_completion_length=settings.max_completion_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        shuffle_dataset=False,
        learning_rate=settings.learning_rate,
        beta=settings.beta,
        use_bias_correction_kl=False,  # as DeepSeekMath and R1 have it; trl's default is DeepSeek-V3.2's
        loss_type=settings.loss,
        scale_rewards=settings.scale_rewards,
        epsilon=settings.epsilon,
        epsilon_high=settings.epsilon_high,
        mask_truncated_completions=settings.mask_truncated,
        reward_weights=[reward.weight for reward in rewards],
        logging_steps=job.updates,
    )


def _at_once(job: GrpoJob, longest: int, device: Device, parameters: int) -> int:
    """Completions that go through the model at once: as many as the device fills itself with, in equal parts."""
    from ..sft.model import micro_batch_tokens, wants_checkpointing

    small = device.kind == "cpu" and not wants_checkpointing(parameters)
    budget = _SMALL_AT_ONCE if small else micro_batch_tokens(None, device, parameters)
    update = job.batch_size // job.settings.minibatches
    most = max(1, budget // (longest + job.settings.max_completion_tokens))
    return next(size for size in range(min(update, most), 0, -1) if update % size == 0)


def required(job: GrpoJob, encoder: RowEncoder, asked: dict[str, Any]) -> dict[str, Any]:
    """The data set, whose prompts are rendered, and the tokeniser, with the ends that rows have. Problems that do not
    fill the last step are gone on with from the first, since trl would leave the rest of them out each time.
    """
    from datasets import Dataset
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job.base, local_files_only=True)
    tokenizer.eos_token, tokenizer.pad_token = encoder.format.eos, encoder.format.pad
    rows = [{"prompt": text, "problem_id": row.id} for text, row in asked.items()]
    n = job.settings.prompts_per_step
    return {"train_dataset": Dataset.from_list(rows * (n // gcd(len(rows), n))), "processing_class": tokenizer}
