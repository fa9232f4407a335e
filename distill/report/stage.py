"""The stage report: the run as one page, and its pictures beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...serve.files import replace_file, sha256_of
from ..config import DistillConfig
from ..errors import quoted
from ..host import Host
from ..pipeline import stale
from ..rows import ProblemRow, read_rows
from ..run_folder import RunFolder
from . import learning, making, measured
from .cost import cost_section
from .material import Material, read_answers, read_material
from .page import render
from .parts import Page, Section
from .verdicts import gains
from .watched import Watched, read_watched
from .wording import visible


def run_stage(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    """report/index.html and a PNG, light and dark, for each figure. What has not run yet is left out, and the
    page says by which command it comes. Raises DistillError.
    """
    material = read_material(folder)
    folder.log("report", 0, share=0.2)
    folder.report.mkdir(exist_ok=True)
    page = make_page(config, folder, material)
    folder.log("report", 1, share=0.8)
    write_page(page, folder.report)
    folder.log("report", 2, share=1.0)
    return {"page": str(folder.report / "index.html"), "verdict": page.verdicts[0] if page.verdicts else None}


def write_page(page: Page, place: Path) -> None:
    """The page comes last, so that it never stands beside the pictures of another."""
    pictures = {found.name: found for section in page.sections for found in section.pictures}
    wanted = {f"{name}{scheme}.png" for name in pictures for scheme in ("", "-dark")}
    for old in place.glob("*.png"):
        if old.name not in wanted:
            old.unlink()
    for name, found in pictures.items():
        _write(place / f"{name}.png", found.light)
        _write(place / f"{name}-dark.png", found.dark)
    _write(place / "index.html", render(page).encode("utf-8"))


def make_page(config: DistillConfig, folder: RunFolder, material: Material) -> Page:
    def command(stage: str) -> str:
        return f"r1chat distill {stage} --run-dir {quoted(folder.root)}"

    chosen = set(measured.chosen_problems(material))
    answers = read_answers(folder.samples, chosen)
    watched = read_watched(folder.rollouts)
    sections: list[Section] = [
        measured.accuracy_section(material, command("evaluate")),
        *_learning(material, watched, command),
        *_taught(material, command),
        making.training_section(material, command("sft")),
        measured.lengths_section(material, command("evaluate")),
        measured.answers_section(material, answers, _problems(folder) if answers else {}, command("evaluate")),
        making.export_section(material, command("export")),
        cost_section(material, command("generate")),
        making.protocol_section(config, material, _hashes(folder, material)),
    ]
    learnt = learning.learning_verdict(watched)
    return Page(
        title=visible(config.name),
        verdicts=[
            *([learnt] if learnt else []), *gains(material.evaluation), *measured.other_sentences(material.evaluation)
        ],
        facts=list(making.facts(config, material)),
        sections=sections,
        made=_day(material),
        caution=_caution(stale(config, folder), folder),
    )  # fmt: skip


def _caution(stages: list[str], folder: RunFolder) -> str:
    if not stages:
        return ""
    return (
        f"This page mixes two states of the run: since {' and '.join(stages)} ran, the settings or what is read there "
        f"have changed. To bring all to the same state: r1chat distill --run-dir {quoted(folder.root)}"
    )


def _learning(material: Material, watched: Watched, command: Callable[[str], str]) -> Iterator[Section]:
    """What changed from step to step: of every reinforcement learning, and of any other that was watched."""
    if material.trained_by == "grpo":
        yield learning.learning_section(material, command("grpo"))
        yield learning.before_and_after_section(watched, command("grpo"))
        yield learning.rewards_section(material.events, command("grpo"))
    elif learning.learning_panels(material.events, material.trained_by):
        yield learning.learning_section(material, command(material.trained_by))


def _taught(material: Material, command: Callable[[str], str]) -> Iterator[Section]:
    """The traces, of a student that was taught by some."""
    if material.trained_by == "sft":
        yield making.data_section(material, command("filter"))
        yield making.forecast_section(material, command("sft"))


def _day(material: Material) -> str:
    """Of the last stage that was finished, so that the same run gives the same page."""
    finished = [stage["finished"] for stage in material.record.get("stages", {}).values() if "finished" in stage]
    return time.strftime("%Y-%m-%d", time.gmtime(max(finished, default=time.time())))


def _problems(folder: RunFolder) -> dict[str, ProblemRow]:
    """What the measured models were asked, by id."""
    if not folder.asked.exists():
        return {}
    return {row.id: row for row in read_rows(folder.asked, ProblemRow)}


def _hashes(folder: RunFolder, material: Material) -> dict[str, str]:
    """Of the rows, the measurement and the models; large GGUFs were hashed when they were measured."""
    paths = (folder.traces, folder.kept, folder.samples, folder.evaluation)
    found = {path.name: sha256_of(path) for path in paths if path.exists()}
    if material.base.get("sha256"):
        found["base"] = visible(str(material.base["sha256"]))
    for model in material.evaluation.get("models", []):
        if model.get("sha256"):
            found[visible(f"{model['key']} {model['quant']}")] = visible(str(model["sha256"]))
    return found


def _write(path: Path, content: bytes) -> None:
    with replace_file(path) as aside:
        aside.write_bytes(content)
