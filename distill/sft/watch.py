"""What happens beside the steps: numbers are told, checkpoints asked for and sealed, a wish to stop is heard."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from ..errors import DistillError
from . import checkpoints
from .job import Job
from .student_trainer import Steps

if TYPE_CHECKING:
    from .curve import HeldOutCurve

Report = Callable[[int, dict[str, float]], None]
_PROGRESS = "progress.json"


class Watch(TrainerCallback):
    """`seconds` were spent training, over all the parts of a run that an interruption did not undo.

    `checkpoint` is where to go on from, `stopped` whether the training ended because `interrupted` said so.
    """

    def __init__(
        self,
        job: Job,
        steps: Steps,
        report: Report,
        interrupted: Callable[[], bool],
        curve: HeldOutCurve | None = None,
    ) -> None:
        self.checkpoint = checkpoints.newest_whole(job.folder, job.fingerprint())
        self.stopped = False
        self._job, self._steps, self._report, self._interrupted = job, steps, report, interrupted
        self._curve = curve
        self._before = _seconds(self.checkpoint)
        self._began = self._logged = self._saved = time.monotonic()
        self._interval = job.save_every_s
        self._asked = 0.0

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._began

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self._began = self._logged = self._saved = time.monotonic()
        if state.is_world_process_zero:  # what an interrupted writing left there would get into the next one
            checkpoints.clear_aside(self._job.folder)
        if state.global_step == 0:
            self._ask(model, 0)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        at_end = state.global_step >= len(self._steps)
        if self._curve is not None and (at_end or state.global_step % self._curve.every == 0):
            self._ask(model, state.global_step)
        due = time.monotonic() - self._saved >= self._interval
        save, self.stopped = _agree(due, self._interrupted() and not at_end, device=args.device)
        control.should_training_stop = at_end or self.stopped
        control.should_save = save or control.should_training_stop
        self._asked = time.monotonic()  # when the saving begins, should there be one

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved = time.monotonic()
        self._interval = checkpoints.interval(self._job.save_every_s, self._saved - self._asked)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" not in logs:
            return
        if not isfinite(logs["loss"]):
            raise DistillError(
                f"The loss of step {state.global_step} is no number any more. Train more gently: "
                f"r1chat distill sft --learning-rate {self._job.learning_rate / 4:g}"
            )
        now = time.monotonic()
        rate = self._steps.tokens(state.global_step - 1) / max(now - self._logged, 1e-9)
        self._logged = now
        if state.is_world_process_zero:
            told = {name: logs[name] for name in ("loss", "learning_rate", "grad_norm")}
            share = state.global_step / len(self._steps)
            self._report(state.global_step, {**told, "tokens_per_second": rate, "share": share})

    def _ask(self, model: Any, step: int) -> None:
        """Held-out problems, on nobody's time."""
        if self._curve is None:
            return
        minutes = self.seconds / 60
        numbers, seconds = self._curve.ask(model, step)
        self._before -= seconds
        self._logged += seconds
        self._report(step, {**numbers, "minutes": minutes})

    def seal(self, step: int) -> None:
        """Puts the checkpoint that lies aside in place."""
        written = checkpoints.aside(self._job.folder) / f"checkpoint-{step}"
        (written / "training_args.bin").unlink(missing_ok=True)
        (written / _PROGRESS).write_text(json.dumps({"seconds": self.seconds}), encoding="utf-8")
        checkpoints.seal(written, self._job.folder, step, self._job.fingerprint())


def _seconds(checkpoint: Path | None) -> float:
    return float(json.loads((checkpoint / _PROGRESS).read_text(encoding="utf-8"))["seconds"]) if checkpoint else 0.0


def _agree(*wishes: bool, device: torch.device) -> list[bool]:
    """What any process wishes, all do: saving and stopping take them all."""
    if not torch.distributed.is_initialized():
        return list(wishes)
    asked = torch.tensor(wishes, dtype=torch.int32, device=device)
    torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
    return [bool(wish) for wish in asked.tolist()]
