"""How long a step of reinforcement learning takes, drawn in memory and by a server: random weights, no downloads."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean, median
from typing import Any, Literal

from ...serve.client import Client
from ...serve.models.gguf.shapes import SHAPES
from ...serve.models.gguf.spec import ModelSpec
from ...serve.models.random_folder import make_random_folder
from ..errors import DistillError
from ..host import Host, Served
from ..rewards.config import RewardConfig
from ..sources.problems import load_problems
from ..students import STUDENTS, Method
from .config import GrpoConfig
from .job import GrpoJob

Way = Literal["generate", "server"]
WARM_UP = 2  # steps that are not counted


@dataclass(frozen=True)
class StepTime:
    """Of a step: seconds for its completions with their rewards (with a server, the mean over those that bring it
    new weights and those that do not), for the updates, and the completions' tokens. Memory in bytes: the most of the
    GPU where there is one, else of the process; `server_memory` is the server's own, 0 where there is none.
    """

    way: Way
    rollout_seconds: float
    update_seconds: float
    tokens: float
    peak_memory: int
    server_memory: int = 0

    @property
    def seconds(self) -> float:
        return self.rollout_seconds + self.update_seconds


def shape_of(name: str) -> ModelSpec:
    """A small student's shape, or one of those there are random models of. Raises DistillError."""
    made = {student.name: student.shape for student in STUDENTS.values() if student.base is None and student.shape}
    if name not in made and name not in SHAPES:
        known = ", ".join([*made, *SHAPES])
        raise DistillError(f"There is no shape {name}; there are {known}. Use: r1chat bench grpo --shape tiny")
    return made.get(name) or SHAPES[name]


def make_job(folder: Path, shape: ModelSpec, method: Method, settings: GrpoConfig) -> GrpoJob:
    """A training on sums, of random weights. They solve none, so what is rewarded is another thing: how much of what
    they write looks like English, which differs from one completion to the next as rewards do.
    """
    count = settings.prompts_per_step * (settings.steps or 1)
    return GrpoJob(
        folder=folder / "job", base=make_random_folder(shape, folder / "base"), base_sha256="", method=method,
        settings=replace(settings, rewards=RewardConfig(format=0.0, language=1.0), probe=False, save_every_s=1e9),
        seed=0, problems=tuple(load_problems("generated:sums", limit=count)), watched=(),
    )  # fmt: skip


def measure(way: Way, job: GrpoJob, host: Host) -> StepTime:
    """Trains in a process of its own, so that what one leaves in memory is not counted for the next.

    Raises DistillError.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(way, job, host, theirs))
    child.start()
    theirs.close()
    try:
        found: StepTime | DistillError = ours.recv()
    except EOFError:
        raise DistillError(
            f"The training by {way} ended before it was measured; its messages stand above. "
            "Try a smaller one: r1chat bench grpo --shape tiny"
        ) from None
    finally:
        child.join(5)
        child.terminate()
        child.join()
    if isinstance(found, DistillError):
        raise found
    return found


def _child(way: Way, job: GrpoJob, host: Host, result: Connection) -> None:
    from ..stream.training import bound_openmp

    bound_openmp()
    job = replace(job, settings=replace(job.settings, rollouts=way))
    shutil.rmtree(job.folder, ignore_errors=True)  # with the checkpoints of the turn before
    job.folder.mkdir(parents=True)
    try:
        result.send(_measured(way, job, host))
    except DistillError as error:
        result.send(DistillError(str(error)))


def _measured(way: Way, job: GrpoJob, host: Host) -> StepTime:
    from ..verify.config import VerifyConfig
    from .stage import draws
    from .trainer import train

    steps: list[dict[str, float]] = []
    taken: list[int] = []
    with draws(job, _noting_memory(host, taken)) as draw:
        outcome = train(job, VerifyConfig(), draw, lambda _, numbers: steps.append(numbers), lambda rows: None)
    counted = steps[WARM_UP:]
    rollouts = [numbers["rollout_seconds"] for numbers in counted]
    return StepTime(
        way=way,
        rollout_seconds=median(rollouts) if way == "generate" else mean(rollouts),
        update_seconds=median(numbers["update_seconds"] for numbers in counted),
        tokens=mean(numbers["length"] for numbers in counted) * job.batch_size,
        peak_memory=outcome.peak_memory,
        server_memory=max(taken, default=0),
    )


def _noting_memory(host: Host, taken: list[int]) -> Host:
    """The host, whose servers say before they stop what their models took, in bytes."""

    @asynccontextmanager
    async def serve(model: Path, **options: Any) -> AsyncIterator[Served]:
        async with host.serve(model, **options) as served:
            yield served
            async with Client(served.url) as client:
                models = (await client.memory())["models"]
            taken.append(sum(model["measured"]["rss"] for model in models if model["measured"]))

    return replace(host, serve=serve)
