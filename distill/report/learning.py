"""The sections on what reinforcement learning changed: its curves, one problem before and after, its rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from ..evaluate.behaviour import checks_itself, turns_back
from ..rows import RolloutRow
from .curves import SMOOTH_FROM, STYLES, Line, Panel, Style, curves_picture
from .material import Material, curve, standing
from .parts import Section, Table
from .side_by_side import MARKS, Answer, Trial, clipped
from .watched import Watched, awakened, changes, gain, telling
from .wording import count, number, percent, points, span, visible

Events = list[dict[str, Any]]
# metric -> what it is called beside its line
_ACCURACY = {"accuracy": "in practice", "held_out_accuracy": "held out"}
_LENGTH = {"length": "in practice", "held_out_length": "held out"}
_BEHAVIOUR = {"check_share": "checks", "backtrack_share": "turns back"}
_STYLE_OF: dict[str, Style] = {
    "accuracy": "pale", "length": "pale", "backtrack_share": "second", "update_seconds": "second",
}  # fmt: skip


def learning_section(material: Material, command: str) -> Section:
    panels = learning_panels(material.events, material.trained_by)
    if not panels:
        return Section("learning", "Learning", missing=("No curve was told yet.", command))
    text = (
        "Held-out problems are never trained on; they are asked again and again while the student learns. To check is "
        "to verify what was found, to turn back to doubt it or to try another way, both by the words of the thought."
    )
    return Section(
        "learning", "Learning", text=(text,),
        pictures=[curves_picture("learning", "Accuracy, length and behaviour by step.", panels)],
        tables=[_from_to(panels)],
    )  # fmt: skip


def learning_panels(events: Events, stage: str) -> list[Panel]:
    """Accuracy, length and behaviour, as far as the stage has told them; none of a stage without accuracy."""
    panels = [
        Panel("Accuracy", _lines(events, stage, _ACCURACY), share=True),
        Panel("Length in tokens", _lines(events, stage, _LENGTH)),
        Panel("Answers that check or turn back", _lines(events, stage, _BEHAVIOUR), share=True),
    ]
    return [panel for panel in panels if panel.lines]


def rewards_section(events: Events, command: str, name: str = "rewards") -> Section:
    """`name` is its picture's."""
    told = dict.fromkeys(event["metric"] for event in standing(events, "grpo"))
    names = {
        metric: metric.removeprefix("reward_").replace("_", " ") for metric in told if metric.startswith("reward_")
    }
    parts = [
        Line(visible(label), curve(events, "grpo", name), STYLES[(at + 1) % len(STYLES)])
        for at, (name, label) in enumerate(names.items())
    ]
    panels = [
        Panel("Reward", [*_lines(events, "grpo", {"reward": "together"}), *parts], from_zero=False),
        Panel("Entropy", _lines(events, "grpo", {"entropy": "entropy"})),
        Panel("Cut off", _lines(events, "grpo", {"clipped_share": "cut off"}), share=True),
        Panel("Groups that earn alike", _lines(events, "grpo", {"equal_share": "alike"}), share=True),
        Panel("KL from the reference", _lines(events, "grpo", {"kl": "KL"})),
        Panel("Seconds a step", _lines(events, "grpo", {"rollout_seconds": "rollouts", "update_seconds": "update"})),
    ]
    shown = [panel for panel in panels if panel.lines]
    if not shown:
        return Section("rewards", "Rewards", missing=("Nothing was practised yet.", command))
    text = (
        "What the student was paid for, before weights, and what tells whether the learning is sound: entropy that "
        "falls to nothing, many answers cut off, or groups whose answers all earn the same, which teach nothing."
    )
    picture = curves_picture(name, "Rewards and the state of the learning.", shown, columns=2)
    return Section("rewards", "Rewards", text=(text,), pictures=[picture])


def before_and_after_section(watched: Watched, command: str) -> Section:
    """One problem's answers at the first, a middle and the last step that asked for it."""
    problem, title = telling(watched), "Before and after"
    if problem is None:
        return Section("before_after", title, missing=("No problem was asked both before and after.", command))
    rows = [(step, watched.at[step][problem][0]) for step in watched.steps if problem in watched.at[step]]
    shown = [rows[at] for at in sorted({0, len(rows) // 2, len(rows) - 1})]
    trial = Trial(
        set=visible(rows[0][1].family), prompt=clipped(rows[0][1].prompt), problem_id=visible(problem), gold=None,
        answers=[_answer(step, row) for step, row in shown],
    )  # fmt: skip
    return Section("before_after", title, text=(_choice(watched),), trials=[trial], tables=[_changes(watched)])


def learning_verdict(watched: Watched) -> str | None:
    """What the watched problems say, no surer than their interval; None where nothing was asked twice."""
    found = gain(watched)
    if found is None:
        return None
    apart = found.difference
    change = f"from {percent(found.before)} to {percent(found.after)} of {count(apart.n)} held-out problems"
    interval = f"{points(apart.mean, signed=True)} points, {span(apart.low, apart.high)}"
    begin = f"In {count(found.steps)} steps the student"
    if apart.verdict == "not enough data to tell":
        return f"{begin} went {change}: not enough data to tell whether it learnt ({interval})."
    return f"{begin} {'rose' if apart.verdict == 'better' else 'fell'} {change} ({interval})."


def _lines(events: Events, stage: str, names: Mapping[str, str]) -> list[Line]:
    """Of the two, what is held out or tells most stands in front; only what was told is there."""
    found = [(metric, label, curve(events, stage, metric)) for metric, label in names.items()]
    return [Line(label, told, _STYLE_OF.get(metric, "main")) for metric, label, told in found if told.steps]


def _answer(step: int, row: RolloutRow) -> Answer:
    does = {"checks": checks_itself(row.reasoning), "turns back": turns_back(row.reasoning)}
    size = ", ".join(
        [f"{count(row.n_tokens)} tokens with the answer", *(word for word, found in does.items() if found)]
    )
    return Answer(
        who=f"step {count(step)}", key="student", verdict=row.verdict, mark=MARKS[row.verdict],
        thought=None if row.reasoning is None else clipped(row.reasoning), thought_size=size,
        answer=clipped(row.answer), cut=row.finish_reason == "length",
    )  # fmt: skip


def _choice(watched: Watched) -> str:
    """How the problem was chosen, and of how many: one picture proves nothing."""
    asked, woken = len(watched.both()), len(awakened(watched))
    became = changes(watched)[False, True]
    return (
        f"Of {count(asked)} held-out problems asked before and after, {count(became)} became right; in {count(woken)} "
        "of these the thought checks itself or turns back, and did not before. The problem below is chosen to show "
        "such a change, where there is one; among several the hash of their ids decides."
    )


def _changes(watched: Watched) -> Table:
    found = changes(watched)
    rows = [(f"{_said(before)} at first", count(found[before, True]), count(found[before, False]))
            for before in (True, False)]  # fmt: skip
    return Table("The problems by their first answer of each step", ("", "Right at last", "Wrong at last"), rows,
                 range(1, 3))  # fmt: skip


def _said(right: bool) -> str:
    return "Right" if right else "Wrong"


def _from_to(panels: Sequence[Panel]) -> Table:
    """The first and the last value of each curve; of a noisy one the mean of its first and last tenth."""
    rows = []
    for panel in panels:
        say = percent if panel.share else number
        for line in panel.lines:
            values = line.curve.values
            tenth = len(values) // 10 if len(values) >= SMOOTH_FROM else 1
            begin, end = fmean(values[:tenth]), fmean(values[-tenth:])
            rows.append((f"{panel.title}, {line.label}", say(begin), say(end), count(len(values))))
    head = ("", "At first", "At last", "Times told")
    return Table("From first to last; of long curves the mean of a tenth at each end", head, rows, range(1, 4))
