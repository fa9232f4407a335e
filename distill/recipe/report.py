"""The page of a recipe: its steps beside each other, what each changed, and other seeds of it that lie beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..report.parts import Page, Section
from ..report.stage import write_page
from ..report.wording import count, visible
from ..run_folder import RunFolder
from . import sections
from .sections import Finished
from .seeds import seeds_section


def write_report(folder: RunFolder, result: dict[str, Any]) -> dict[str, Any]:
    """Leaves report/index.html and its pictures in the recipe's folder, and the headline in its run.json, where lists
    of runs find it; {"page", "verdict"}. `result` is the content of recipe.json; of steps that are not done, it has no
    sets. Raises DistillError where a file is damaged.
    """
    found = Finished(folder, folder.read_json(folder.record), result)
    page = make_page(found)
    folder.report.mkdir(exist_ok=True)
    write_page(page, folder.report)
    verdict = page.verdicts[0] if page.verdicts else None
    folder.write_json(folder.record, {**found.record, "verdict": verdict})
    return {"page": str(folder.report / "index.html"), "verdict": verdict}


def make_page(found: Finished) -> Page:
    return Page(
        title=visible(str(found.result["name"])),
        verdicts=sections.verdicts(found),
        facts=list(_facts(found)),
        sections=list(_sections(found)),
        made=_day(found),
        kind="Recipe report",
    )


def _sections(found: Finished) -> Iterator[Section]:
    if found.measured:
        yield sections.accuracy_section(found)
        yield sections.form_section(found)
    if (beside := sections.beside_section(found)) is not None:
        yield beside
    yield from sections.learning_sections(found)
    if found.measured and (seeds := seeds_section(found)) is not None:
        yield seeds
    yield sections.cost_section(found)
    yield sections.protocol_section(found)


def _facts(found: Finished) -> Iterator[tuple[str, str]]:
    result = found.result
    about = str(result.get("about") or "")
    yield "Recipe", visible(f"{result['recipe']}: {about}" if about else str(result["recipe"]))
    yield "Student", found.student
    yield "Steps", visible(", ".join(f"{step['name']} ({step['kind']})" for step in found.steps))
    yield "Seed", count(result["seed"])


def _day(found: Finished) -> str:
    """Of the last step that was finished, so that the same run gives the same page."""
    finished = [step["finished"] for step in found.record.get("stages", {}).values() if "finished" in step]
    return time.strftime("%Y-%m-%d", time.gmtime(max(finished, default=time.time())))
