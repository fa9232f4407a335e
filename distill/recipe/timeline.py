"""Held-out accuracy of a recipe's steps over their training time, and of its steps with other seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..report.material import Curve, curve

Events = list[dict[str, Any]]


def over_minutes(events: Events, stage: str, metric: str = "held_out_accuracy") -> Curve:
    """What a stage told, over the `minutes` that it told beside it: those of training alone."""
    told, minutes = curve(events, stage, metric), curve(events, stage, "minutes")
    at = dict(zip(minutes.steps, minutes.values, strict=True))
    pairs = [(at[step], value) for step, value in zip(told.steps, told.values, strict=True) if step in at]
    return Curve(tuple(time for time, _ in pairs), tuple(value for _, value in pairs))


def siblings(root: Path) -> list[Path]:
    """Runs beside this one that did the same with other seeds, this one among them, by seed."""
    mine = _read(root / "run.json")
    found = {
        seed: path.parent
        for path in sorted(root.parent.glob("*/run.json"))
        if (seed := _same(mine, _read(path))) is not None and (path.parent / "recipe.json").is_file()
    }
    found[_seed(mine)] = root
    return [found[seed] for seed in sorted(found)]


def _same(mine: dict[str, Any], other: dict[str, Any]) -> int | None:
    """The other's seed, where all else is the same."""
    same = all(mine.get(name) == other.get(name) for name in ("recipe", "steps")) and "recipe" in mine
    return _seed(other) if same and _student(mine) == _student(other) else None


def _seed(record: dict[str, Any]) -> int:
    seed = record.get("config", {}).get("seed", 0)
    return seed if isinstance(seed, int) else 0


def _student(record: dict[str, Any]) -> Any:
    return record.get("config", {}).get("student")


def _read(path: Path) -> dict[str, Any]:
    """Empty where it is no record: another's run is not this one's trouble."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("config", {}), dict) else {}
