"""What happens beside the steps: numbers and rows are kept, held-out problems asked, time and a wish to stop heard."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from ..errors import DistillError
from ..rows import RolloutRow
from ..sft import checkpoints
from .held_out import HeldOut
from .job import GrpoJob
from .ledger import Rollouts

if TYPE_CHECKING:
    from .policy_trainer import PolicyTrainer

Report = Callable[[int, dict[str, float]], None]
Keep = Callable[[list[RolloutRow]], None]
_PROGRESS = "progress.json"
_PATIENCE = 20  # steps without a difference in any group
_FROM_TRL = ("loss", "grad_norm", "learning_rate", "entropy", "kl")


class Watch(TrainerCallback):
    """A step is `job.updates` of the optimizer's. `seconds` were spent training, without those of the held-out
    problems, over all the parts of a run that an interruption did not undo.

    `checkpoint` is where to go on from, `finished` whether nothing is left to train, `stopped` whether the training
    ended because `interrupted` said so.
    """

    trainer: PolicyTrainer

    def __init__(
        self, job: GrpoJob, held_out: HeldOut, report: Report, keep: Keep, interrupted: Callable[[], bool]
    ) -> None:
        self.checkpoint = checkpoints.newest_whole(job.folder, job.fingerprint())
        self.stopped = self.finished = False
        self.completions = self.tokens = 0
        self.equal: deque[float] = deque(maxlen=_PATIENCE)
        self._solved: deque[bool] = deque(maxlen=_PATIENCE)
        self.last: dict[str, float] = {}
        self._job, self._held_out, self._report, self._keep = job, held_out, report, keep
        self._interrupted = interrupted
        self._before = 0.0
        self._rollouts: Rollouts | None = None
        self._rolling = self._stepping = 0.0
        self._began: float | None = None  # of this part; None before it
        self._update_began = self._saved = self._asked = time.monotonic()
        self._interval = job.settings.save_every_s
        if self.checkpoint is not None:
            found = json.loads((self.checkpoint / _PROGRESS).read_text(encoding="utf-8"))
            self._before = found["seconds"]
            self.completions, self.tokens = found["completions"], found["tokens"]
            self.last, self.finished = found.get("last", {}), found.get("finished", False)
            self.equal.extend(found.get("equal", ()))
            self._solved.extend(found.get("solved", ()))

    @property
    def seconds(self) -> float:
        return self._before + (time.monotonic() - self._began if self._began is not None else 0.0)

    @property
    def share(self) -> float:
        """How much of the training is done."""
        settings = self._job.settings
        by_steps = self.step / settings.steps if settings.steps else 0.0
        by_time = self.seconds / (60 * settings.minutes) if settings.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def rate(self, update: int) -> float:
        """What the learning rate is multiplied by: it rises over the first steps, and falls with what is done."""
        settings = self._job.settings
        warm = min(1.0, (update + 1) / max(1, settings.warmup_steps * self._job.updates))
        return warm * (1 - (1 - settings.final_rate) * self.share)

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.trainer.state.global_step) // self._job.updates

    def take(self, rollouts: Rollouts, seconds: float) -> None:
        """A step's completions, and how long they took."""
        self._rollouts, self._rolling = rollouts, seconds
        self.completions += len(rollouts.completions)
        self.tokens += sum(len(completion.ids) for completion in rollouts.completions)
        self.equal.append(rollouts.equal_share)
        accuracy = rollouts.rewards.get("accuracy", [])
        self._solved.append(bool(accuracy) and all(value == 1.0 for value in accuracy))

    def seal(self, global_step: int) -> None:
        """Puts the checkpoint that lies aside in place."""
        written = checkpoints.aside(self._job.folder) / f"checkpoint-{global_step}"
        (written / "training_args.bin").unlink(missing_ok=True)
        progress = {
            "seconds": self.seconds, "completions": self.completions, "tokens": self.tokens, "last": self.last,
            "finished": self.finished, "equal": list(self.equal), "solved": list(self._solved),
        }  # fmt: skip
        (written / _PROGRESS).write_text(json.dumps(progress), encoding="utf-8")
        checkpoints.seal(written, self._job.folder, global_step, self._job.fingerprint())

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = self._saved = time.monotonic()
        checkpoints.clear_aside(self._job.folder)
        if state.global_step == 0:
            self._ask_held_out()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._update_began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._stepping += time.monotonic() - self._update_began
        if state.global_step % self._job.updates:
            return
        settings = self._job.settings
        self.finished = self.share >= 1.0 or self._is_learnt()
        self.stopped = self._interrupted() and not self.finished
        if not self.stopped and (self.finished or self.step % settings.watch_every == 0):
            self._ask_held_out()
        if settings.reset_reference_every and self.step % settings.reset_reference_every == 0:
            self.trainer.reset_reference()
        control.should_training_stop = self.finished or self.stopped
        due = time.monotonic() - self._saved >= self._interval
        control.should_save = due or control.should_training_stop
        self._asked = time.monotonic()  # when the saving begins, should there be one

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved = time.monotonic()
        self._interval = checkpoints.interval(self._job.settings.save_every_s, self._saved - self._asked)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" not in logs or self._rollouts is None:
            return
        skipped = args.fp16  # steps whose gradients overflow are left out there, and the scale is lowered
        if not isfinite(logs["loss"]) or not (skipped or isfinite(logs.get("grad_norm", 0.0))):
            raise DistillError(
                f"The loss of step {self.step} is no number any more. Train more gently: in the recipe, set "
                f"learning_rate: {self._job.settings.learning_rate / 4:g}"
            )
        told = {name: float(logs[name]) for name in _FROM_TRL if logs.get(name) is not None}
        updating = max(0.0, self._stepping - self._rolling)
        times = {"rollout_seconds": self._rolling, "update_seconds": updating, "share": self.share}
        self.last = {**self._rollouts.numbers(), **told, **times}
        self._report(self.step, self.last)
        self._keep(self._rollouts.rows(self.step))
        self._stepping = 0.0
        self._refuse_equal()

    def _is_learnt(self) -> bool:
        """All right, for so many steps that nothing is left to learn."""
        return len(self.equal) == _PATIENCE and min(self.equal) == 1.0 and all(self._solved)

    def _refuse_equal(self) -> None:
        if len(self.equal) == _PATIENCE and min(self.equal) == 1.0 and not self._is_learnt():
            raise DistillError(
                f"Of the last {_PATIENCE} steps every group of completions was worth the same, so nothing is learned. "
                "Take problems of which some are solved and some not, in the recipe: problems: [generated:sums]"
            )

    def _ask_held_out(self) -> None:
        if not len(self._held_out):
            return
        seconds, began = self.seconds, time.monotonic()
        numbers, rows = self._held_out.ask(self.trainer.policy, self.step)
        self._report(self.step, {**numbers, "minutes": seconds / 60})
        self._keep(rows)
        self._before -= time.monotonic() - began
