"""The sections of a recipe's page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..report.curves import STYLES, Line, Panel, curves_picture
from ..report.learning import before_and_after_section, learning_panels, rewards_section
from ..report.making import flat
from ..report.parts import Section, Table
from ..report.watched import read_watched
from ..report.wording import count, duration, number, percent, points, problems_of, setting, span, visible
from ..run_folder import RunFolder
from .figures import accuracy_picture, form_picture
from .timeline import over_minutes


@dataclass(frozen=True)
class Finished:
    """A recipe as far as it was followed: run.json, recipe.json, and the folders of its steps."""

    folder: RunFolder
    record: dict[str, Any]
    result: dict[str, Any]

    @property
    def steps(self) -> list[dict[str, Any]]:
        return list(self.result["steps"])

    @property
    def begun(self) -> list[dict[str, Any]]:
        return [step for step in self.steps if (self.folder.root / step["folder"]).is_dir()]

    @property
    def measured(self) -> list[dict[str, Any]]:
        return [step for step in self.steps if step["sets"]]

    @property
    def sets(self) -> list[str]:
        return list(dict.fromkeys(name for step in self.steps for name in step["sets"]))

    @property
    def student(self) -> str:
        """As it was named; of a folder, its last part."""
        return visible(str(self.result["student"]).rstrip("/").rpartition("/")[2])

    @property
    def budgets(self) -> dict[str, str]:
        """Step -> the one whose training time it was given."""
        return {step["name"]: step["budget"] for step in self.record.get("steps", []) if step.get("budget")}

    def step(self, name: str) -> dict[str, Any]:
        return next(step for step in self.steps if step["name"] == name)

    def of(self, step: dict[str, Any]) -> RunFolder:
        return RunFolder(self.folder.root / step["folder"])


def verdicts(found: Finished) -> list[str]:
    """The last step beside the one whose time it was given, or else beside the first, on every set; then beside each
    other step, on the first set. No surer than the interval.
    """
    if len(found.measured) < 2:
        return []
    last = found.measured[-1]
    rival = found.budgets.get(last["name"], found.measured[0]["name"])
    pairs = [c for c in found.result["comparisons"] if c["of"] == last["name"]]
    chosen = [c for name in found.sets for c in pairs if (c["set"], c["to"]) == (name, rival)]
    others = [c for c in pairs if c["set"] == found.sets[0] and c not in chosen]
    return [_sentence(c, found) for c in [*chosen, *others]]


def _sentence(c: dict[str, Any], found: Finished) -> str:
    shares = {step["name"]: step["sets"][c["set"]]["pass_at_1"] for step in found.steps if c["set"] in step["sets"]}
    begin = f"After {visible(c['of'])} the student solves {percent(shares[c['of']])} of {problems_of(c['set'])}"
    if c["verdict"] in ("better", "worse"):
        sense = "more" if c["verdict"] == "better" else "fewer"
        low, high = (c["low"], c["high"]) if c["mean"] >= 0 else (-c["high"], -c["low"])
        return f"{begin}, {points(abs(c['mean']))} points {sense} ({span(low, high)}) than after {visible(c['to'])}."
    return (
        f"{begin}, after {visible(c['to'])} {percent(shares[c['to']])}: not enough data to tell which is better "
        f"({points(c['mean'], signed=True)} points, {span(c['low'], c['high'])})."
    )


def accuracy_section(found: Finished) -> Section:
    steps, sets = found.measured, found.sets
    text = (
        "Every step's student answers the same problems. Readable: the thought is closed and in place, ends by itself, "
        "goes round in no circles and keeps to the language. Mixing: the share of its words in other scripts. "
        "Minutes are of training alone."
    )
    return Section(
        "accuracy", "Accuracy by step", text=(text,), pictures=[accuracy_picture(steps, sets)],
        tables=[*(_scores(steps, name) for name in sets), _comparisons(found), _families(steps, sets)],
    )  # fmt: skip


def form_section(found: Finished) -> Section:
    return Section("form", "Form of the answers", pictures=[form_picture(found.measured, found.sets[0])])


def learning_sections(found: Finished) -> Iterator[Section]:
    """The curves of each step that was watched; of reinforcement learning one problem before and after, and rewards."""
    for step in found.begun:
        folder, stage, name = found.of(step), step["kind"], visible(step["name"])
        events = folder.read_events(stage)
        panels = learning_panels(events, stage)
        if not panels:
            continue
        key = step["name"].replace("-", "_").replace(".", "_")
        caption = f"Accuracy, length and behaviour in the step {name}."
        yield Section(f"learning_{key}", f"Learning in {name}",
                      pictures=[curves_picture(f"learning-{step['name']}", caption, panels)])  # fmt: skip
        if stage == "grpo":
            seen = before_and_after_section(read_watched(folder.rollouts), "")
            paid = rewards_section(events, "", f"rewards-{step['name']}")
            for section, title in ((seen, f"Before and after {name}"), (paid, f"Rewards in {name}")):
                if section.missing is None:
                    yield replace(section, key=f"{section.key}_{key}", title=title)


def beside_section(found: Finished) -> Section | None:
    """Steps that were given the same time, over that time, as AlphaGo Zero's chart has it (Silver et al. 2017, figure
    3); None where there are none with curves.
    """
    begun = {step["name"]: step for step in found.begun}
    names = [name for name in begun if name in found.budgets or name in found.budgets.values()]
    curves = {name: over_minutes(found.of(begun[name]).read_events(), begun[name]["kind"]) for name in names}
    lines = [
        Line(f"{visible(name)} ({begun[name]['kind']})", told, STYLES[at % len(STYLES)])
        for at, (name, told) in enumerate((name, told) for name, told in curves.items() if told.steps)
    ]
    if len(lines) < 2:
        return None
    caption = "The same problems, the same time. Only training counts as time, not traces, watching or export."
    panel = Panel("Held-out accuracy", lines, share=True)
    return Section(
        "beside", "Beside each other over training time",
        pictures=[curves_picture("beside", caption, [panel], "minutes of training")],
    )  # fmt: skip


def cost_section(found: Finished) -> Section:
    done = found.record.get("stages", {})
    rows = [
        (visible(step["name"]), step["kind"], visible(step["from"] or "–"), count(step["training_steps"]),
         duration(None if step["minutes"] is None else 60 * step["minutes"]),
         duration(done.get(step["name"], {}).get("seconds")))
        for step in found.steps
    ]  # fmt: skip
    head = ("Step", "Kind", "Continues", "Steps", "Training", "Together, last attempt")
    return Section("cost", "Cost", tables=[Table("Time on the clock", head, rows, range(3, 6))])


def protocol_section(found: Finished) -> Section:
    tables = [
        Table(f"Settings of {visible(step['name'])}", ("Name", "Value"),
              [(visible(name), setting(value)) for name, value in flat(step["settings"])], folded=True)
        for step in found.record.get("steps", []) if step.get("settings")
    ]  # fmt: skip
    text = (
        f"Recipe {visible(found.result['recipe'])}, student {found.student}, seed "
        f"{count(found.result['seed'])}. What is not written here is as the stages have it by themselves."
    )
    return Section("protocol", "Protocol", text=(text,), tables=tables)


def _scores(steps: Sequence[dict[str, Any]], name: str) -> Table:
    rows = [
        (visible(step["name"]), percent(s["pass_at_1"]), span(s["low"], s["high"]), f"{count(s['n'])} × {s['k']}",
         percent(s["truncated"]), percent(s["readable"]), percent(s["mixing"]), number(s["mean_tokens"]),
         percent(s["checks"]), percent(s["refused"]), number(step["minutes"]))
        for step in steps if (s := step["sets"].get(name))
    ]  # fmt: skip
    head = ("Step", "pass@1", "95 % interval", "n × k", "Cut off", "Readable", "Mixing", "Tokens", "Checks or turns",
            "Refused", "Minutes")  # fmt: skip
    return Table(f"Results on {visible(name)}", head, rows, range(1, 11))


def _comparisons(found: Finished) -> Table:
    rows = [
        (visible(c["set"]), f"{visible(c['of'])} less {visible(c['to'])}", points(c["mean"], signed=True),
         span(c["low"], c["high"]), number(c["p"]), count(c["n"]), visible(c["verdict"]))
        for c in found.result["comparisons"]
    ]  # fmt: skip
    head = ("Set", "Steps", "Points", "95 % interval", "p", "n", "Verdict")
    return Table("Differences on the same problems, in percentage points", head, rows, range(2, 6))


def _families(steps: Sequence[dict[str, Any]], sets: Sequence[str]) -> Table:
    rows = [
        (visible(name), visible(family), visible(step["name"]), percent(s["pass_at_1"]), span(s["low"], s["high"]),
         f"{count(s['n'])} × {s['k']}")
        for name in sets
        for family in sorted({f for step in steps for f in step["sets"].get(name, {}).get("families") or {}})
        for step in steps
        if (s := (step["sets"].get(name, {}).get("families") or {}).get(family))
    ]  # fmt: skip
    head = ("Set", "Family", "Step", "pass@1", "95 % interval", "n × k")
    return Table("By family of problems", head, rows, range(3, 6), folded=True)
