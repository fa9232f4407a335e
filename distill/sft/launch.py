"""Starts a training: in this process, or through `accelerate launch`, which knows of FSDP, DeepSpeed and nodes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DistillError, quoted
from ..interrupt import heard_interrupt
from .job import Job
from .trainer import Outcome, Report, train

if TYPE_CHECKING:
    from .curve import HeldOutCurve

MARK = "r1chat-sft "  # before each line that a worker means for us
STOP, OUTCOME = "stop", "outcome.json"


def train_here(job: Job, report: Report, say: Callable[[str], None], curve: HeldOutCurve | None = None) -> Outcome:
    """In this process. The first Ctrl-C ends the training after its step, saved; the second at once."""
    with heard_interrupt(say) as interrupted:
        return train(job, report, interrupted.is_set, curve)


def train_launched(job: Job, accelerate_config: Path, report: Report, say: Callable[[str], None]) -> Outcome:
    """In the processes that an accelerate configuration asks for. Raises DistillError where they fail.

    Where there are several nodes, this is the first; on the others accelerate starts the worker by hand, with the
    job.json that is written here.
    """
    asked = _processes_of(accelerate_config)
    (job.folder / STOP).unlink(missing_ok=True)
    (job.folder / OUTCOME).unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(accelerate_config)),
        *("-m", f"{__package__}.worker", str(job.write())),
    ]
    # a group of its own, so that Ctrl-C reaches us only, and the workers finish their step
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as workers:
        try:
            failure = _listen(workers, job, report, say)
        except BaseException:
            os.killpg(workers.pid, signal.SIGKILL)
            raise
    outcome = _outcome(job, workers.returncode, failure)
    if outcome.processes < asked:  # as with MULTI_CPU, where accelerate leaves all others to mpirun
        say(
            f"{accelerate_config} asks for {asked} processes, and accelerate started {outcome.processes}. What was "
            "learned is the same, but took longer. For several on CPUs: distributed_type MULTI_GPU, use_cpu true"
        )
    return outcome


def _processes_of(accelerate_config: Path) -> int:
    """How many a configuration, YAML or JSON, asks for; 1 where it does not say. Raises DistillError without one."""
    import yaml  # type: ignore[import-untyped]

    try:
        config = yaml.safe_load(accelerate_config.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DistillError(f"There is no configuration to read ({reason}). Make one: accelerate config") from error
    asked = config.get("num_processes") if isinstance(config, dict) else None
    return asked if isinstance(asked, int) else 1


def _listen(workers: subprocess.Popen[str], job: Job, report: Report, say: Callable[[str], None]) -> str | None:
    """Passes on what the workers tell until they end; the error that one of them told."""
    failure = None
    with heard_interrupt(say, (job.folder / STOP).touch):
        assert workers.stdout is not None
        for line in workers.stdout:
            if not line.startswith(MARK):
                say(line.rstrip())
                continue
            message = json.loads(line.removeprefix(MARK))
            failure = message.get("error", failure)
            if "step" in message:
                report(message["step"], message["numbers"])
    return failure


def _outcome(job: Job, code: int, failure: str | None) -> Outcome:
    if failure is not None:
        raise DistillError(failure)
    if (job.folder / STOP).exists():
        (job.folder / STOP).unlink()
        raise KeyboardInterrupt
    if code or not (job.folder / OUTCOME).exists():
        raise DistillError(
            f"The training ended with code {code}; its own messages stand above. Its checkpoint is kept. "
            f"Go on with: r1chat distill sft --run-dir {quoted(job.folder.parent)}"
        )
    return Outcome(**json.loads((job.folder / OUTCOME).read_text(encoding="utf-8")))
