"""The curve of a fine-tuning: held-out problems that the student is asked while it is taught others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import DistillConfig
from ..errors import DistillError
from ..grpo.held_out import HeldOut
from ..rows import RowAppender, forget_rollouts
from ..run_folder import RunFolder
from ..sources.problems import load_problems
from ..verify.judge import Judge
from . import checkpoints
from .job import Job
from .rows import RowEncoder


@dataclass(frozen=True)
class HeldOutCurve:
    """Asks every `every` steps; the answers are kept in rollouts.jsonl."""

    held_out: HeldOut
    every: int
    rows: RowAppender

    def ask(self, model: Any, step: int) -> tuple[dict[str, float], float]:
        """The numbers, and the seconds it took, which are none of the training's."""
        began = time.monotonic()
        numbers, rows = self.held_out.ask(model, step)
        for row in rows:
            self.rows.append(row)
        return numbers, time.monotonic() - began


@contextmanager
def held_out_curve(config: DistillConfig, folder: RunFolder, job: Job) -> Iterator[HeldOutCurve | None]:
    """None where no curve is asked for. Raises DistillError where it cannot be had."""
    settings = config.sft
    if settings.watch_set is None or not settings.watch_problems or not settings.watch_samples:
        yield None
        return
    if settings.accelerate_config is not None:
        raise DistillError(
            "Held-out problems are asked where the student is trained, and it is trained by processes of accelerate. "
            "Leave out watch_set, or train without: r1chat distill sft"
        )
    problems = load_problems(settings.watch_set, limit=settings.watch_problems, seed=config.evaluation_seed)
    encoder = RowEncoder(Path(folder.read_json(folder.base_record)["path"]))
    forget_rollouts(folder.rollouts, checkpoints.last_step(job.folder, job.fingerprint()))
    with Judge(config.verify) as judge, RowAppender(folder.rollouts) as rows:
        held_out = HeldOut(
            problems, encoder, judge, samples=settings.watch_samples, max_tokens=settings.watch_tokens
        )  # fmt: skip
        yield HeldOutCurve(held_out, settings.watch_every, rows)
