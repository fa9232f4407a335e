"""The section on the same recipe with other seeds: what comes back, and what was luck."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from ..errors import DistillError
from ..report.canvas import Picture
from ..report.curves import Line, Panel, curves_picture
from ..report.material import Curve, curve
from ..report.parts import Section, Table
from ..report.wording import count, percent, points, span, visible
from ..run_folder import RunFolder
from .comparison import RESULT
from .sections import Finished
from .timeline import siblings

_CURVES = {"held_out_accuracy": ("Held-out accuracy", True), "held_out_length": ("Length in tokens", False)}


def seeds_section(found: Finished) -> Section | None:
    """None where no run beside this one did the same with another seed, or none of them was measured."""
    runs = [finished for root in siblings(found.folder.root) if (finished := _finished(root)) is not None]
    if len(runs) < 2:
        return None
    watched = [step for step in found.steps if step["kind"] == "grpo"]
    pictures = [picture for step in watched for picture in _pictures(step["name"], runs)]
    text = (
        f"{count(len(runs))} runs that differ in nothing but the seed. Of a stream it draws the first weights, not the "
        "examples, which are the same in all. Line: their mean; band: lowest to highest."
    )
    return Section("seeds", "Other seeds", text=(text,), pictures=pictures, tables=[_table(runs)])


def _finished(root: Path) -> Finished | None:
    """None where the other run is not done, or cannot be read: it is not this one's trouble."""
    try:
        folder = RunFolder(root)
        found = Finished(folder, folder.read_json(folder.record), folder.read_json(root / RESULT))
        done = found.record["plan"] and set(found.record["plan"]) <= set(found.record["stages"])
        there = all((root / step["folder"]).is_dir() for step in found.steps)
        return found if done and there and found.sets else None
    except (DistillError, KeyError, TypeError):
        return None


def _pictures(name: str, runs: list[Finished]) -> Iterator[Picture]:
    """The curves of one step, of all runs that told them."""
    panels = []
    for metric, (title, share) in _CURVES.items():
        told = [curve(run.of(run.step(name)).read_events("grpo"), "grpo", metric) for run in runs]
        line = _band(title, [each for each in told if each.steps])
        panels += [Panel(title, [line], share=share)] if line else []
    if panels:
        yield curves_picture(f"seeds-{name}", f"The step {visible(name)} with {count(len(runs))} seeds.", panels)


def _band(label: str, curves: list[Curve]) -> Line | None:
    """Over the steps that all have in common; None where fewer than two told any."""
    by_step = [dict(zip(each.steps, each.values, strict=True)) for each in curves]
    steps = tuple(step for step in curves[0].steps if all(step in found for found in by_step)) if curves else ()
    if len(curves) < 2 or not steps:
        return None
    values = [[found[step] for found in by_step] for step in steps]
    low, high, mean = (Curve(steps, tuple(map(of, values))) for of in (min, max, fmean))
    return Line(label, mean, band=(low, high))


def _table(runs: list[Finished]) -> Table:
    """The last step beside the first that was measured, on the first set, seed by seed."""
    rows = []
    for run in runs:
        first, last, name = run.measured[0], run.measured[-1], run.sets[0]
        found = next((c for c in run.result["comparisons"]
                      if (c["set"], c["of"], c["to"]) == (name, last["name"], first["name"])), None)  # fmt: skip
        rows.append((
            str(run.result["seed"]), *(percent(step["sets"].get(name, {}).get("pass_at_1")) for step in (first, last)),
            *((points(found["mean"], signed=True), span(found["low"], found["high"]), visible(found["verdict"]))
              if found else ("–", "–", "–")),
        ))  # fmt: skip
    head = ("Seed", visible(runs[0].measured[0]["name"]), visible(runs[0].measured[-1]["name"]), "Points",
            "95 % interval", "Verdict")  # fmt: skip
    return Table(f"pass@1 on {visible(runs[0].sets[0])}, first step and last", head, rows, range(1, 5))
