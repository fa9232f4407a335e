"""What a recipe is: steps in their order, each a training that continues an earlier one's student, or begins anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import DistillError

Kind = Literal["stream", "sft", "grpo"]
Settings = Mapping[str, Any]
# The stages of each kind of step, and the sections that its settings may have: of these stages, and of `base` where
# the student is not an earlier step's.
STAGES: dict[Kind, tuple[str, ...]] = {
    "stream": ("stream", "export", "evaluate"),
    "sft": ("generate", "verify", "filter", "sft", "export", "evaluate"),
    "grpo": ("grpo", "export", "evaluate"),
}
SECTIONS: dict[Kind, tuple[str, ...]] = {
    "stream": ("stream", "verify", "evaluate"),
    "sft": ("base", "generate", "verify", "filter", "sft", "evaluate"),
    "grpo": ("base", "verify", "grpo", "evaluate"),
}


@dataclass(frozen=True)
class Step:
    """`begins` names the step whose student is continued; None: the recipe's student. With `budget` it is trained as
    many minutes as that step was. `settings` are by section, as fields of DistillConfig. One that is not `measured`
    solves no held-out problems.
    """

    name: str
    kind: Kind
    begins: str | None = None
    budget: str | None = None
    measured: bool = True
    settings: Mapping[str, Settings] = field(default_factory=dict)

    @property
    def teacher(self) -> str | None:
        """Who writes its traces, where they are not ready: an earlier step, a model's name or a URL."""
        teacher = self.settings.get("generate", {}).get("teacher")
        return None if teacher is None else str(teacher)


@dataclass(frozen=True)
class Recipe:
    """`source` is what `--recipe` takes: the name of one that comes with r1chat, or a file. `takes` tells how long it
    once took, and on what.
    """

    source: str
    name: str
    about: str
    takes: str
    student: str
    steps: tuple[Step, ...]

    def step(self, name: str) -> int:
        """Where the step of that name stands."""
        return next(at for at, step in enumerate(self.steps) if step.name == name)


class RecipeError(DistillError):
    """A recipe cannot be followed as it is written; the text names file, line and field."""
