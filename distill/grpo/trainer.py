"""Trains a job, from its newest checkpoint on, to weights in its folder: in one process, on one device."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...serve.files import put_in_place
from ..errors import DistillError
from ..rewards.functions import Limits, Reward, reward_functions
from ..sft.rows import RowEncoder
from ..sft.trainer import never, quieten, trained_with
from ..stream.training import bound_openmp
from ..verify.config import VerifyConfig
from ..verify.judge import Judge
from .arguments import arguments, required
from .job import GrpoJob
from .probe import probe, roll_out
from .sampler import Draw

if TYPE_CHECKING:
    from ..sft.model import Device
    from .policy_trainer import PolicyTrainer
    from .watch import Keep, Report, Watch


@dataclass(frozen=True)
class Outcome:
    """What a training did. `rows` are completions, `tokens` theirs; `loss`, `reward` and `accuracy` those of the
    last step; `seconds` leave out what a crash undid and the held-out problems; `peak_memory` is in bytes, of the
    GPU or of the process.
    """

    steps: int
    loss: float
    reward: float
    accuracy: float | None
    rows: int
    tokens: int
    seconds: float
    peak_memory: int
    device: str
    dtype: str
    trained_parameters: int
    processes: int = 1


def train(
    job: GrpoJob,
    verify: VerifyConfig,
    draw: Draw,
    report: Report,
    keep: Keep,
    interrupted: Callable[[], bool] = never,
    judge_key: str | None = None,
) -> Outcome:
    """Writes `job.result` and gives what was done. `draw` gives the completions, `report` is told the numbers of each
    step, `keep` rows to read. `judge_key` is for the server that scores what no rule can judge.

    When `interrupted` says so, it saves the step it is at and raises KeyboardInterrupt. Raises DistillError.
    """
    bound_openmp()
    _refuse_processes()
    quieten()
    logging.getLogger("trl").setLevel(logging.ERROR)
    encoder = RowEncoder(job.base)
    longest = _longest(job, encoder)
    limits = Limits(job.settings.max_completion_tokens, frozenset({encoder.eos_id}))
    problems = {row.id: row for row in job.problems}
    with (
        reward_functions(job.settings.rewards, verify, problems, limits, judge_key) as rewards,
        Judge(verify) as judge,
    ):
        return _train(job, encoder, longest, rewards, judge, report, keep, draw, interrupted)


def _train(
    job: GrpoJob, encoder: RowEncoder, longest: int, rewards: list[Reward], judge: Judge,
    report: Report, keep: Keep, draw: Draw, interrupted: Callable[[], bool],
) -> Outcome:  # fmt: skip
    from ..sft.model import find_device, keep_in_float32, load_model
    from .held_out import HeldOut
    from .policy_trainer import PolicyTrainer
    from .watch import Watch

    settings, device = job.settings, find_device()
    held_out = HeldOut(
        job.watched, encoder, judge, samples=settings.watch_samples, max_tokens=settings.max_completion_tokens,
        temperature=settings.temperature, top_p=settings.top_p,
    )  # fmt: skip
    watch = Watch(job, held_out, report, keep, interrupted)
    model = load_model(job, device)
    asked = {encoder.decode(encoder.encode_prompt(row.prompt)): row for row in job.problems}
    trainer = PolicyTrainer(
        draw=draw, asked=asked, rewards=rewards, taken=watch.take, sealed=watch.seal, rate=watch.rate,
        updates=job.updates,
        model=model, args=arguments(job, rewards, device, model, longest), callbacks=[watch],
        **required(job, encoder, asked),
    )  # fmt: skip
    watch.trainer = trainer
    keep_in_float32(trainer.policy)
    if settings.probe and watch.checkpoint is None:
        probe(
            lambda number: roll_out(job, trainer.policy, draw, rewards, number),
            settings.max_completion_tokens,
            interrupted,
        )
    if interrupted():  # before the held-out problems are asked, which takes as long as some steps
        raise KeyboardInterrupt
    _run(trainer, watch)
    _save(trainer, job)
    return _outcome(trainer, watch, device)


def _run(trainer: PolicyTrainer, watch: Watch) -> None:
    import torch
    from transformers import PrinterCallback

    if watch.checkpoint is not None and watch.finished:  # killed before its weights were in place
        trainer.restore(watch.checkpoint)
        return
    trainer.remove_callback(PrinterCallback)
    try:
        trainer.train(resume_from_checkpoint=str(watch.checkpoint) if watch.checkpoint else None)
    except torch.OutOfMemoryError as error:
        raise DistillError(
            "A step does not fit the GPU's memory. Take less at once: in the recipe, set method: lora, or a lower "
            "max_completion_tokens"
        ) from error
    if watch.stopped:
        raise KeyboardInterrupt


def _longest(job: GrpoJob, encoder: RowEncoder) -> int:
    """Tokens of the longest prompt. Raises DistillError where an answer to it has no room."""
    longest = max(len(encoder.encode_prompt(row.prompt)) for row in (*job.problems, *job.watched))
    most = job.settings.max_completion_tokens
    if encoder.context is not None and longest + most > encoder.context:
        raise DistillError(
            f"A prompt of {longest} tokens and an answer of {most} are more than the base's {encoder.context} "
            f"positions. In the recipe, set: max_completion_tokens: {max(1, encoder.context - longest)}"
        )
    return longest


def _refuse_processes() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise DistillError(
            "Reinforcement learning runs in one process here, on one device. Start it without accelerate: "
            "r1chat distill --recipe r1-zero"
        )


def _save(trainer: PolicyTrainer, job: GrpoJob) -> None:
    part = job.folder / "result.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(job.result, ignore_errors=True)
    one = {} if job.method == "full" else {"selected_adapters": ["default"]}  # without the reference's
    trainer.policy.save_pretrained(str(part), **one)
    put_in_place(part, job.result)


def _outcome(trainer: PolicyTrainer, watch: Watch, device: Device) -> Outcome:
    return Outcome(
        steps=watch.step,
        loss=watch.last.get("loss", 0.0),
        reward=watch.last.get("reward", 0.0),
        accuracy=watch.last.get("accuracy"),
        rows=watch.completions,
        tokens=watch.tokens,
        seconds=watch.seconds,
        **trained_with(trainer.policy, device),
    )
