"""What a run is to do: one dataclass a stage, put together here. Only the command line fills them in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .base.config import BaseConfig
from .evaluate.config import EvaluateConfig
from .export.config import ExportConfig
from .filter.config import FilterConfig
from .generate.config import GenerateConfig
from .grpo.config import GrpoConfig
from .sft.config import SftConfig
from .stream.config import StreamConfig
from .students import Student
from .verify.config import VerifyConfig


@dataclass(frozen=True)
class DistillConfig:
    """Settings of one run. `name` is what the student is registered under; `seed` decides every draw. `held_out` are
    sets of problems that it is neither measured on nor taught: a later run that goes on from it is. `turn` is its place
    in a row of runs of which each goes on from another.
    """

    student: Student
    run_dir: Path
    name: str
    seed: int = 0
    held_out: tuple[str, ...] = ()
    turn: int = 0
    base: BaseConfig = field(default_factory=BaseConfig)
    generate: GenerateConfig = field(default_factory=GenerateConfig)
    verify: VerifyConfig = field(default_factory=VerifyConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)
    sft: SftConfig = field(default_factory=SftConfig)
    grpo: GrpoConfig = field(default_factory=GrpoConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    @property
    def problems_seed(self) -> int:
        """Draws the problems that are trained on: in each run of a row others, as far as there are others. What the run
        before was taught is right each time, and nothing is learnt from that.
        """
        return self.seed + 10_007 * self.turn

    @property
    def kept_out(self) -> tuple[str, ...]:
        """What is measured on or watched, here and in the runs beside this one, whoever asks it first: nothing of it is
        taught.
        """
        watched = () if self.sft.watch_set is None else (self.sft.watch_set,)
        return tuple(sorted({*self.evaluate.sets, *self.held_out, *watched}))

    @property
    def most_asked(self) -> int:
        """Problems of one set: so many are meant where it is endless."""
        return max(self.evaluate.n, self.sft.watch_problems, self.grpo.watch_problems)

    @property
    def evaluation_seed(self) -> int:
        """Draws the problems that are measured on: another than draws those that are trained on."""
        return self.seed + 1_000_003
