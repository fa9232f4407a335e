"""What a run is measured on, to be kept out of what it is trained on."""

from __future__ import annotations

from collections.abc import Iterable

from ..config import DistillConfig
from ..sources.generated import COUNT
from ..sources.gym import is_endless
from ..sources.problems import load_problems
from .decontamination import EvaluationProblems


def evaluation_problems(config: DistillConfig, specs: Iterable[str] | None = None) -> EvaluationProblems:
    """Every problem of the sets, not only those that will be asked; of an endless set those, and as many as are made
    unasked: another run may ask them. The set that a curve is drawn of is among them, and what else the run holds out;
    `specs` are some of them. Raises DistillError.
    """
    found = EvaluationProblems()
    for spec in config.kept_out if specs is None else specs:
        limit = max(COUNT, config.most_asked) if is_endless(spec) else None
        found.add(load_problems(spec, limit=limit, seed=config.evaluation_seed))
    return found
