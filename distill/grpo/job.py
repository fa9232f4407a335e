"""What a reinforcement learning is: its settings, its problems, and the marks that its checkpoints are known by."""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import asdict, dataclass
from itertools import chain, zip_longest
from math import ceil
from pathlib import Path

import msgspec

from ..config import DistillConfig
from ..errors import DistillError
from ..filter.decontamination import EvaluationProblems, is_held_out_row
from ..filter.measured import evaluation_problems
from ..rows import ProblemRow
from ..sources.generated import SOURCE
from ..sources.gym import GYM
from ..sources.instructions import BOXED, with_instruction
from ..sources.problems import distinct, load_problems
from ..sources.records import is_file
from ..students import Method
from .config import FREE, FREE_OF_REWARDS, GrpoConfig

_FASTEST_S = 1.0  # of a step: where only the minutes are given, the problems of so many steps are drawn


@dataclass(frozen=True)
class GrpoJob:
    """`folder` holds the checkpoints and, at last, `result`. `problems` are asked in their order, again and again."""

    folder: Path
    base: Path
    base_sha256: str
    method: Method
    settings: GrpoConfig
    seed: int
    problems: tuple[ProblemRow, ...]
    watched: tuple[ProblemRow, ...]

    @property
    def lora_rank(self) -> int:
        return self.settings.lora_rank

    @property
    def batch_size(self) -> int:
        """Completions of a step."""
        return self.settings.prompts_per_step * self.settings.num_generations

    @property
    def updates(self) -> int:
        """Of the optimizer, in a step."""
        return self.settings.minibatches * self.settings.num_iterations

    @property
    def result(self) -> Path:
        """Where the trained weights are written: a Hugging Face folder, or an adapter's."""
        return self.folder / "result"

    def fingerprint(self) -> str:
        """Hash of all that decides the outcome. A checkpoint is used by the job that has its fingerprint."""
        deciding = {name: value for name, value in asdict(self.settings).items() if name not in FREE}
        rewards = deciding["rewards"]
        deciding["rewards"] = {name: rewards[name] for name in rewards if name not in FREE_OF_REWARDS}
        rows = hashlib.sha256(msgspec.json.encode(self.problems)).hexdigest()
        marks = [deciding, rows, self.base_sha256, self.method, self.seed]
        return hashlib.sha256(json.dumps(marks, sort_keys=True, default=str).encode()).hexdigest()


def prepare(config: DistillConfig, folder: Path, base: dict[str, str]) -> GrpoJob:
    """The job of a run. Raises DistillError for settings that contradict one another, or without problems."""
    settings = config.grpo
    _check(settings)
    watched: list[ProblemRow] = []
    if settings.watch_problems:
        watched = load_problems(settings.watch_set, limit=settings.watch_problems, seed=config.evaluation_seed)
    measured = evaluation_problems(config)
    measured.add(watched)
    return GrpoJob(
        folder=folder.resolve(),
        base=Path(base["path"]).resolve(),
        base_sha256=base["sha256"],
        method=settings.method or config.student.method,
        settings=settings,
        seed=config.seed,
        problems=tuple(_problems(settings, config.problems_seed, measured)),
        watched=tuple(watched),
    )


def _problems(settings: GrpoConfig, seed: int, measured: EvaluationProblems) -> list[ProblemRow]:
    """Of each spec as many, in turn; each prompt once, and none that is measured on."""
    steps = settings.steps or ceil(60 * (settings.minutes or 0) / _FASTEST_S)
    wanted = settings.prompts_per_step * max(1, steps)
    each = -(-wanted // max(1, len(settings.problems)))
    groups = (_mixed(spec, each, seed) for spec in settings.problems)
    rows = (row for row in chain.from_iterable(zip_longest(*groups)) if row is not None)
    unseen = (row for row in rows if not is_held_out_row(row) and not measured.hit(row.prompt))
    found = list({row.prompt: row for row in map(_told_to_box, distinct(unseen))}.values())[:wanted]
    if len(found) < settings.prompts_per_step:
        raise DistillError(
            f"{', '.join(settings.problems) or 'Nothing'} gives {len(found)} problems that are not measured on, and a "
            f"step takes {settings.prompts_per_step}. Name others, in the recipe: problems: [generated:countdown]"
        )
    return found


def _mixed(spec: str, limit: int, seed: int) -> list[ProblemRow]:
    """Of a file, which is often sorted, in no order; what generates problems mixes them itself."""
    rows = load_problems(spec, limit=limit, seed=seed)
    if is_file(spec) or re.split("[:-]", spec)[0] not in (SOURCE, GYM):
        random.Random(seed).shuffle(rows)
    return rows


def _told_to_box(row: ProblemRow) -> ProblemRow:
    """Only what is boxed is rewarded, and somebody else's question does not say so."""
    if row.verifier != "math" or row.gold is None or "boxed" in row.prompt or row.source.startswith(SOURCE):
        return row
    return msgspec.structs.replace(row, prompt=with_instruction(row.prompt, BOXED))


def _check(settings: GrpoConfig) -> None:
    found = contradiction(settings)
    if found:
        raise DistillError(f"{found[0]}. In the recipe, set: {found[1]}")


def contradiction(settings: GrpoConfig) -> tuple[str, str] | None:
    """What contradicts itself, and the setting that mends it."""
    batch = settings.prompts_per_step * settings.num_generations
    if settings.num_generations < 2:
        return "A reward is judged beside others of the same problem, so each is answered twice at least", (
            "num_generations: 8"
        )
    if settings.prompts_per_step < 1 or settings.minibatches < 1 or batch % settings.minibatches:
        return f"{batch} completions a step cannot be parted into {settings.minibatches} equal parts", "minibatches: 1"
    if settings.steps is None and settings.minutes is None:
        return "Nothing says when the training ends", "steps: 300"
    if settings.temperature <= 0:
        return "At temperature 0 all answers to a problem are the same", "temperature: 1.0"
    if settings.reset_reference_every and not settings.beta:
        return "Without a KL penalty there is no reference to reset", "beta: 0.001"
    return None
