"""What a run has left so far, read once, without the long texts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..rows import SampleRow, TraceRow, read_rows
from ..run_folder import RunFolder
from .lengths import count_thoughts

Trainer = Literal["sft", "grpo", "stream"]


@dataclass(frozen=True)
class Curve:
    """One number over the steps of a stage, or over minutes."""

    steps: tuple[float, ...]
    values: tuple[float, ...]


@dataclass
class Kept:
    """The traces trained on: who wrote them, where their problems come from, and how long they thought.

    Each name stands with its licence; `lengths` are tokens of thought where they were counted.
    """

    rows: int = 0
    teachers: Counter[tuple[str, str]] = field(default_factory=Counter)
    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """What the teacher was asked in this run: answers, and the tokens of those whose server counted them."""

    rows: int = 0
    tokens: int = 0


@dataclass
class Samples:
    """The measured answers in short. `asked[set]` has the keys of those who answered a problem, as `key/quant`."""

    rows: int = 0
    tokens: int = 0
    lengths: dict[str, list[int]] = field(default_factory=dict)
    asked: dict[str, dict[str, set[str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """The artifacts of a run; what is not there yet is empty."""

    record: dict[str, Any]
    base: dict[str, Any]
    funnel: dict[str, Any]
    trained: dict[str, Any]
    parity: dict[str, Any]
    evaluation: dict[str, Any]
    preflight: list[dict[str, str]]
    events: list[dict[str, Any]]
    asked: Asked
    kept: Kept
    samples: Samples

    @property
    def trained_by(self) -> Trainer:
        """The stage that trained the student, as its events tell; sft before any began."""
        told = {event["stage"] for event in self.events}
        return "grpo" if "grpo" in told else "stream" if "stream" in told else "sft"


def read_material(folder: RunFolder) -> Material:
    """Raises DistillError where a file is damaged."""
    jsons = {
        name: folder.read_json(path)
        for name, path in {
            "record": folder.record,
            "base": folder.base_record,
            "funnel": folder.funnel,
            "trained": folder.trained,
            "parity": folder.parity,
            "evaluation": folder.evaluation,
        }.items()
    }
    vocabulary = Path(jsons["base"].get("path", "")) / "tokenizer.json"
    return Material(
        **jsons,
        preflight=folder.read_json(folder.preflight).get("findings", []),
        events=folder.read_events(),
        asked=_read_asked(folder.traces),
        kept=_read_kept(folder.kept, vocabulary),
        samples=_read_samples(folder.samples, jsons["evaluation"].get("models")),
    )


def curve(events: list[dict[str, Any]], stage: str, metric: str) -> Curve:
    """What a stage logged, step by step."""
    told = {event["step"]: event["value"] for event in standing(events, stage) if event["metric"] == metric}
    return Curve(tuple(told), tuple(told.values()))


def standing(events: list[dict[str, Any]], stage: str) -> list[dict[str, Any]]:
    """What a stage logged that still holds. A resumed run goes over its last steps again, and another begins anew:
    then nothing counts that was told of these steps or later ones before, whatever it measured.
    """
    found: list[dict[str, Any]] = []
    for event in events:
        if event["stage"] != stage:
            continue
        if found and event["step"] < found[-1]["step"]:
            found = [earlier for earlier in found if earlier["step"] < event["step"]]
        found.append(event)
    return found


class _Reply(msgspec.Struct):
    """The fields of TraceRow that are counted; only what was asked for here took time."""

    n_tokens: int | None = None
    seconds: float | None = None


def _read_asked(path: Path) -> Asked:
    rows = [row for row in read_rows(path, _Reply) if row.seconds is not None] if path.exists() else []
    return Asked(len(rows), sum(row.n_tokens or 0 for row in rows))


def _read_kept(path: Path, vocabulary: Path) -> Kept:
    kept = Kept()
    for row in read_rows(path, TraceRow) if path.exists() else ():
        quant = f" {row.teacher.quant}" if row.teacher.quant else ""
        kept.rows += 1
        kept.teachers[row.teacher.name + quant, row.teacher.licence or ""] += 1
        kept.sources[row.problem.source, row.problem.licence or ""] += 1
        if row.n_reasoning_tokens is not None:
            kept.lengths.append(row.n_reasoning_tokens)
    if kept.rows and not kept.lengths:
        kept.lengths.extend(count_thoughts(path, kept.rows, vocabulary))
    return kept


class _Measured(msgspec.Struct):
    """The fields of SampleRow that are counted."""

    model: str
    quant: str
    set: str
    problem_id: str
    sample: int
    n_tokens: int = 0
    n_reasoning_tokens: int = 0


def _read_samples(path: Path, models: list[dict[str, Any]] | None) -> Samples:
    """Of the measured `models`: others may have answered before. Of all, where nothing is measured to the end yet."""
    found, measured = Samples(), {f"{model['key']}/{model['quant']}" for model in models or ()}
    for row in read_rows(path, _Measured) if path.exists() else ():
        who = f"{row.model}/{row.quant}"
        if models is not None and who not in measured:
            continue
        found.rows += 1
        found.tokens += row.n_tokens
        found.lengths.setdefault(who, []).append(row.n_reasoning_tokens)
        if row.sample == 0:
            found.asked.setdefault(row.set, {}).setdefault(row.problem_id, set()).add(who)
    return found


def read_answers(path: Path, wanted: set[tuple[str, str]]) -> dict[tuple[str, str, str], SampleRow]:
    """Sample 0 of the wanted (set, problem), by (set, problem, key/quant)."""
    rows = read_rows(path, SampleRow) if path.exists() else ()
    return {
        (row.set, row.problem_id, f"{row.model}/{row.quant}"): row
        for row in rows
        if row.sample == 0 and (row.set, row.problem_id) in wanted
    }
