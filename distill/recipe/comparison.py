"""recipe.json: what each step's student can do, in how readable a way, and which of two steps is the better one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from ..evaluate.behaviour import checks_itself, turns_back
from ..evaluate.paired import compare
from ..evaluate.readable import mixing, readable
from ..rows import SampleRow, read_rows
from ..run_folder import RunFolder
from ..verify.boxed import is_refused
from .recipe import Recipe, Step
from .steps import Choices, step_root

RESULT = "recipe.json"
_LANGUAGE = "en"


def compared(recipe: Recipe, choices: Choices, root: Path) -> dict[str, Any]:
    """The content of recipe.json, of the steps that are done: what others left may be half of another attempt."""
    whole = RunFolder(root)
    done = [step for step in recipe.steps if step.name in whole.read_json(whole.record).get("stages", {})]
    rows = {step.name: _rows(step_root(root, recipe, step)) if step.measured else [] for step in done}
    return {
        "recipe": recipe.name,
        "source": recipe.source,
        "about": recipe.about,
        **asdict(choices),
        "steps": [_step(recipe, step, root, rows.get(step.name)) for step in recipe.steps],
        "comparisons": list(_comparisons(recipe, rows)),
    }


def _rows(root: Path) -> list[SampleRow]:
    """The answers of a step's student; none, where it was not measured."""
    path = root / "samples.jsonl"
    return [row for row in read_rows(path, SampleRow) if row.model == "student"] if path.exists() else []


def _step(recipe: Recipe, step: Step, root: Path, rows: Sequence[SampleRow] | None) -> dict[str, Any]:
    """`rows` is None where it is not done."""
    at = step_root(root, recipe, step)
    trained: dict[str, Any] = {}
    models: list[dict[str, Any]] = []
    if rows is not None:
        folder = RunFolder(at)
        trained = folder.read_json(folder.trained)
        models = folder.read_json(folder.evaluation).get("models", []) if rows else []
    scores: dict[str, Any] = next((model["sets"] for model in models if model["key"] == "student"), {})
    seconds = trained.get("seconds")
    return {
        "name": step.name,
        "kind": step.kind,
        "from": step.begins,
        "folder": str(at.relative_to(root)),
        "training_steps": trained.get("steps"),
        "minutes": seconds / 60 if isinstance(seconds, int | float) else None,
        "sets": {
            name: {**found["overall"], "families": found["families"], **_form(of_set, _language(recipe, step))}
            for name, found in scores.items()
            if (of_set := [row for row in rows or () if row.set == name])
        },
    }


def _language(recipe: Recipe, step: Step) -> str:
    """Of its thoughts: as its traces are kept, as its rewards are paid, or else of the student that it continues."""
    if step.kind == "sft":
        return str(step.settings.get("filter", {}).get("language", _LANGUAGE))
    paid = step.settings.get("grpo", {}).get("rewards", {}).get("target_language")
    if paid is None and step.begins is not None:
        return _language(recipe, recipe.steps[recipe.step(step.begins)])
    return str(paid or _LANGUAGE)


def _form(rows: Sequence[SampleRow], language: str) -> dict[str, float]:
    """How the answers read, whether right or wrong: each a share of them."""
    return {
        "readable": fmean(readable(row, language) for row in rows),
        "mixing": fmean(mixing(row, language) for row in rows),
        "checks": fmean(checks_itself(row.reasoning) or turns_back(row.reasoning) for row in rows),
        "refused": fmean(is_refused(row.answer) for row in rows),
    }


def _comparisons(recipe: Recipe, rows: dict[str, list[SampleRow]]) -> Iterator[dict[str, Any]]:
    """Each step beside the one it continues, and the last beside each before it, on the problems both answered."""
    last = recipe.steps[-1].name
    pairs = [(step.name, step.begins) for step in recipe.steps if step.begins is not None]
    pairs += [(last, step.name) for step in recipe.steps[:-1]]
    for ours, theirs in dict.fromkeys(pairs):
        settings = recipe.steps[recipe.step(ours)].settings.get("evaluate", {})
        for name in dict.fromkeys(row.set for row in rows.get(ours, ())):
            mine, others = (_shares(rows.get(step, ()), name) for step in (ours, theirs))
            both = [problem for problem in mine if problem in others]
            if both:
                families = {row.problem_id: row.family or row.problem_id for row in rows[ours] if row.set == name}
                groups = [families[each] for each in both] if settings.get("by_family") else None
                found = compare([mine[each] for each in both], [others[each] for each in both], groups)
                yield {"set": name, "of": ours, "to": theirs, **asdict(found)}


def _shares(rows: Sequence[SampleRow], of_set: str) -> dict[str, float]:
    """The share of right answers to each problem; what lies outside the field counts where there is nothing else."""
    verdicts: dict[str, list[bool]] = {}
    asked = [row for row in rows if row.set == of_set]
    for row in [row for row in asked if row.family != "outside"] or asked:
        verdicts.setdefault(row.problem_id, []).append(row.verdict == "right")
    return {problem: fmean(found) for problem, found in verdicts.items()}
