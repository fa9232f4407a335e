"""A step as a run of its own: its folder, the base that it continues, and its settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from ..base.stage import folder_hash
from ..config import DistillConfig
from ..errors import DistillError, quoted
from ..rows import Teacher
from ..run_folder import Listener, RunFolder
from ..students import find_student
from .recipe import STAGES, Recipe, Step
from .schema import settings_of

QUANT = "Q8_0"


@dataclass(frozen=True)
class Choices:
    """What is chosen for a run and not written in its recipe: who is taught, under which name, with which draws."""

    name: str
    student: str
    seed: int = 0


def step_folder(root: Path, recipe: Recipe, step: Step, listener: Listener = lambda event: None) -> RunFolder:
    """Where a step's artifacts lie, beneath the recipe's folder; made where it is not there."""
    return RunFolder(step_root(root, recipe, step), listener)


def step_root(root: Path, recipe: Recipe, step: Step) -> Path:
    """The same, without making it."""
    return root / "steps" / f"{recipe.step(step.name) + 1}-{step.name}"


def stages_of(step: Step) -> tuple[str, ...]:
    """Its stages in their order. The base is made, or fetched, where no step is continued."""
    stages = STAGES[step.kind] if step.measured else tuple(s for s in STAGES[step.kind] if s != "evaluate")
    return stages if step.begins is not None or step.kind == "stream" else ("base", *stages)


def configured(recipe: Recipe, step: Step, choices: Choices, root: Path) -> DistillConfig:
    """The settings of a step, once the steps it builds on are done. Only the last one's student gets into the list
    of models. Raises DistillError where what it builds on is not there.
    """
    last = step is recipe.steps[-1]
    config = DistillConfig(
        student=find_student(choices.student),
        run_dir=step_root(root, recipe, step),
        name=choices.name if last else f"{recipe.name}-{step.name}",
        seed=choices.seed,
        held_out=measured_sets(recipe),
        turn=recipe.step(step.name),
    )
    config = replace(
        config,
        export=replace(config.export, quants=(QUANT,), base=False, register=last),
        evaluate=replace(config.evaluate, teacher=False, base=False),
    )
    for section, given in _resolved(recipe, step, choices, root).items():
        settings = settings_of(section, given)
        if section == "evaluate":
            settings = replace(settings, teacher=False, base=False)
        config = replace(config, **{section: settings})
    return config


def measured_sets(recipe: Recipe) -> tuple[str, ...]:
    """What any of its steps is measured on or watched by: no step learns from it."""
    found: list[str | None] = []
    for step in recipe.steps:
        given = {name: settings_of(name, dict(step.settings.get(name, {}))) for name in ("evaluate", "sft", "grpo")}
        if step.measured:
            found += given["evaluate"].sets
        if step.kind in ("sft", "grpo"):
            found.append(given[step.kind].watch_set)
    return tuple(dict.fromkeys(spec for spec in found if spec))


def lay_base(recipe: Recipe, step: Step, folder: RunFolder, root: Path) -> None:
    """Has a step continue the student that an earlier one has by now; where none is continued, its stages see to it.
    Raises DistillError.
    """
    if step.begins is None:
        return
    student = student_of(recipe, step.begins, root)
    before = RunFolder(student.parent)
    record = {
        "path": str(student.resolve()),
        "name": step.begins,
        "licence": before.read_json(before.base_record).get("licence"),
        "sha256": folder_hash(student),
    }
    there = folder.read_json(folder.base_record)
    if step.kind == "stream":  # writes base.json itself, and goes by the settings alone
        if there.get("sha256") != record["sha256"]:
            folder.trained.unlink(missing_ok=True)
    elif there != record:
        folder.write_json(folder.base_record, record)


def student_of(recipe: Recipe, name: str, root: Path) -> Path:
    """The Hugging Face folder that a step left. Raises DistillError."""
    run = step_root(root, recipe, recipe.steps[recipe.step(name)])
    if not (run / "student" / "config.json").is_file():
        again = f"rm {quoted(run / 'run.json')} && r1chat distill --run-dir {quoted(root)}"
        raise DistillError(
            f"The step {name} has left no student. Make it again: {again}"
        )
    return run / "student"


def _resolved(recipe: Recipe, step: Step, choices: Choices, root: Path) -> dict[str, dict[str, Any]]:
    """The step's settings, with names of earlier steps replaced by what those have left."""
    found = {section: dict(given) for section, given in step.settings.items()}
    own = found.setdefault(step.kind, {})
    if step.kind == "stream" and step.begins is not None:
        own["start"] = str(student_of(recipe, step.begins, root).resolve())
    if step.budget is not None:
        own["minutes"] = trained_seconds(recipe, step.budget, root) / 60
        if step.kind == "grpo":
            own["steps"] = None
    if step.teacher in {other.name for other in recipe.steps}:
        found["generate"] |= _taught_by(recipe, str(step.teacher), choices, root)
    return found


def _taught_by(recipe: Recipe, name: str, choices: Choices, root: Path) -> dict[str, Any]:
    """The student of an earlier step as a teacher. Raises DistillError."""
    folder = RunFolder(step_root(root, recipe, recipe.steps[recipe.step(name)]))
    record = folder.read_json(folder.parity).get("files", {}).get(QUANT)
    if record is None:
        raise DistillError(f"The step {name} has left no GGUF. Make it again: r1chat distill --run-dir {quoted(root)}")
    licence = folder.read_json(folder.base_record).get("licence")
    who = Teacher(name=f"{recipe.name}-{name}", quant=QUANT, sha256=record["sha256"], licence=licence)
    return {"teacher": str((folder.root / record["path"]).resolve()), "known_teacher": msgspec.to_builtins(who)}


def trained_seconds(recipe: Recipe, name: str, root: Path) -> float:
    """How long a step's student was trained, without traces, export and measurement. Raises DistillError."""
    folder = RunFolder(step_root(root, recipe, recipe.steps[recipe.step(name)]))
    seconds = folder.read_json(folder.trained).get("seconds")
    if not isinstance(seconds, int | float):
        again = f"r1chat distill --run-dir {quoted(root)}"
        raise DistillError(f"The step {name} has not been trained yet. Go on with: {again}")
    return float(seconds)
