"""The student by reinforcement learning: problems asked, answers rewarded, and it goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from ..config import DistillConfig
from ..host import Host
from ..interrupt import heard_interrupt
from ..rows import RolloutRow, RowAppender, forget_rollouts
from ..run_folder import RunFolder
from ..sft import checkpoints
from ..sft.publishing import publish
from ..sft.rows import RowEncoder
from ..sft.trainer import release_memory
from ..stream.training import bound_openmp
from .job import GrpoJob, prepare
from .sampler import Draw, draws_in_memory
from .server_rollouts import draws_by_server
from .trainer import Outcome, train


def run_stage(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    """Leaves the student (full) or the adapter, sft.json, and rollouts.jsonl. Ctrl-C and kill -9 lose `save_every_s`
    at most. Raises DistillError, where a probe finds that the training would be in vain.
    """
    bound_openmp()
    folder.grpo.mkdir(exist_ok=True)
    job = prepare(config, folder.grpo, folder.read_json(folder.base_record))
    outcome = _train(config, folder, job, host)
    release_memory()
    publish(job.method, job.base, job.result, folder)
    folder.write_json(folder.trained, _record(job, outcome))
    return {
        "method": job.method, "steps": outcome.steps, "reward": outcome.reward, "accuracy": outcome.accuracy,
        "seconds": outcome.seconds,
    }  # fmt: skip


def tidy(folder: RunFolder) -> None:
    """Takes away what a training that was stopped would have gone on from."""
    checkpoints.remove_checkpoints(folder.grpo)


def _train(config: DistillConfig, folder: RunFolder, job: GrpoJob, host: Host) -> Outcome:
    def report(step: int, numbers: dict[str, float]) -> None:
        folder.log("grpo", step, sample=None, **numbers)

    def keep(rows: list[RolloutRow]) -> None:
        for row in rows:
            appender.append(row)

    forget_rollouts(folder.rollouts, checkpoints.last_step(job.folder, job.fingerprint()) // job.updates)
    with (
        RowAppender(folder.rollouts) as appender,
        heard_interrupt(host.say) as interrupted,
        draws(job, host) as draw,
    ):
        return train(job, config.verify, draw, report, keep, interrupted.is_set, host.teacher_key)


@contextmanager
def draws(job: GrpoJob, host: Host) -> Iterator[Draw]:
    """Who draws the completions, as the settings have it, while the block runs."""
    if job.settings.rollouts == "generate":
        yield draws_in_memory(RowEncoder(job.base), job.settings, job.seed)
        return
    with draws_by_server(job, host) as draw:
        yield draw


def _record(job: GrpoJob, outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": "full" if job.method == "full" else "adapter",
        "method": job.method,
        "by": "grpo",
        **asdict(outcome),
        "batch_size": job.batch_size,
        "learning_rate": job.settings.learning_rate,
        "lora_rank": None if job.method == "full" else job.lora_rank,
        "base_sha256": job.base_sha256,
    }
