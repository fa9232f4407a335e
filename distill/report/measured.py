"""The sections on what was measured: accuracy, lengths of thought, answers side by side."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from ..rows import ProblemRow, SampleRow
from . import side_by_side
from .figures import accuracy_picture, lengths_picture, passing_picture
from .material import Material
from .parts import Section, Table
from .verdicts import label, main_student, models, sentence, sets
from .wording import count, number, percent, points, span, visible

Command = str


def accuracy_section(material: Material, command: Command) -> Section:
    evaluation = material.evaluation
    if not evaluation.get("models"):
        return Section("accuracy", "Accuracy", missing=("Nothing was measured yet.", command))
    found, names = models(evaluation), sets(evaluation)
    passing = passing_picture(found, names)
    intervals = str(evaluation.get("protocol", {}).get("intervals", "95 %, over problems"))
    return Section(
        "accuracy",
        "Accuracy",
        text=(
            "All answer the same problems. Differences are paired: each is taken problem by problem. "
            f"Intervals are {visible(intervals)}. A reply that was cut off counts as wrong. In form: with a closed "
            "thought and, in mathematics, a box.",
            *(
                f"{count(traces)} traces that were trained on ask what {visible(name)} asks."
                for name, traces in evaluation.get("protocol", {}).get("trained_on", {}).items()
            ),
        ),
        pictures=[accuracy_picture(found, names), *([passing] if passing else [])],
        tables=[_differences(evaluation), *(_accuracy(name, found) for name in names), _families(found, names)],
    )


def lengths_section(material: Material, command: Command) -> Section:
    found = {"traces kept": material.kept.lengths}
    keys = {"traces kept": "teacher"}
    for model in _compared(material.evaluation):
        name = _who(model)
        found[name], keys[name] = material.samples.lengths.get(label(model), []), model["key"]
    groups = {name: values for name, values in found.items() if any(values)}
    if not groups:
        return Section("lengths", "Length of thought", missing=("No thoughts were counted yet.", command))
    rows = [(name, *_quantiles(values)) for name, values in groups.items()]
    head = ("", "n", "median", "mean", "90 %", "longest")
    return Section(
        "lengths",
        "Length of thought",
        text=("Tokens of the thought alone; each model counts with its own vocabulary.",),
        pictures=[lengths_picture(groups, keys)],
        tables=[Table("Tokens of thought", head, rows, range(1, 6))],
    )


def answers_section(
    material: Material,
    answers: dict[tuple[str, str, str], SampleRow],
    problems: dict[str, ProblemRow],
    command: Command,
) -> Section:
    """`answers` are of the problems that `chosen_problems` names."""
    chosen = chosen_problems(material)
    if not chosen:
        return Section("answers", "Side by side", missing=("There are no answers to show yet.", command))
    who = [label(model) for model in _compared(material.evaluation)]
    return Section(
        "answers",
        "Side by side",
        text=(side_by_side.METHOD,),
        trials=side_by_side.trials(chosen, who, answers, problems),
    )


def chosen_problems(material: Material) -> list[tuple[str, str]]:
    """(set, problem id) of those shown side by side."""
    who = [label(model) for model in _compared(material.evaluation)]
    return side_by_side.choose(material.samples, who, sets(material.evaluation)) if who else []


def _compared(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    """Teacher, base and the registered student: the first GGUF of each."""
    first: dict[str, dict[str, Any]] = {}
    for model in models(evaluation):
        first.setdefault(model["key"], model)
    return list(first.values())


def _accuracy(name: str, found: Sequence[dict[str, Any]]) -> Table:
    rows = []
    for model in found:
        if (result := model["sets"].get(name)) is None:
            continue
        overall = result["overall"]
        best = max(((int(k), v) for k, v in (result.get("pass_at_k") or {}).items() if v is not None), default=None)
        rows.append((
            _who(model), percent(overall["pass_at_1"]), span(overall["low"], overall["high"]),
            f"{count(overall['n'])} × {overall['k']}", _voted(result, overall["n"]),
            f"{percent(best[1])} of {best[0]}" if best else "–", percent(overall["truncated"]),
            percent(result.get("format_rate")), number(overall.get("mean_tokens")),
            number(result.get("tokens_per_right")), number(result.get("seconds_per_right")),
        ))  # fmt: skip
    head = ("Model", "pass@1", "95 % interval", "n × k", "cons@k", "pass@k", "Cut off", "In form",
            "Tokens", "Tokens per right", "Seconds per right")  # fmt: skip
    return Table(f"Results on {visible(name)}", head, rows, range(1, 11))


def _families(found: Sequence[dict[str, Any]], names: Sequence[str]) -> Table:
    rows = [
        (visible(name), visible(family), _who(model), percent(row["pass_at_1"]), span(row["low"], row["high"]),
         f"{count(row['n'])} × {row['k']}", percent(row["truncated"]))
        for name in names
        for family in sorted({f for model in found for f in model["sets"].get(name, {}).get("families") or {}})
        for model in found
        if (row := (model["sets"].get(name, {}).get("families") or {}).get(family))
    ]  # fmt: skip
    head = ("Set", "Family", "Model", "pass@1", "95 % interval", "n × k", "Cut off")
    return Table("By family of problems", head, rows, range(3, 7), folded=True)


def _differences(evaluation: dict[str, Any]) -> Table:
    registered = main_student(evaluation)
    rows = [
        (visible(c["set"]), f"{_spaced(c['of'])} vs {_spaced(c['to'])}", points(c["mean"], signed=True),
         span(c["low"], c["high"]), number(c.get("p")), count(c.get("n")), visible(c["verdict"]))
        for c in sorted(evaluation.get("comparisons", []), key=lambda c: c["of"] != registered)
    ]  # fmt: skip
    head = ("Set", "Who", "Points", "95 % interval", "p", "n", "Verdict")
    return Table("Differences on the same problems, in percentage points", head, rows, range(2, 6))


def other_sentences(evaluation: dict[str, Any]) -> list[str]:
    """The registered student beside its teacher, one sentence a set."""
    student = main_student(evaluation)
    return [
        sentence(c, evaluation)
        for c in evaluation.get("comparisons", [])
        if c["of"] == student and c["to"].startswith("teacher/")
    ]


def _quantiles(values: Sequence[int]) -> tuple[str, ...]:
    ordered = sorted(values)
    ninth = ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))]
    mean = sum(ordered) / len(ordered)
    return count(len(ordered)), count(median(ordered)), count(mean), count(ninth), count(ordered[-1])


def _voted(result: dict[str, Any], n: int) -> str:
    """cons@k, with its own n where not all answers can be compared."""
    of = result.get("cons_n", n)
    return percent(result.get("cons_at_k")) + (f" (n = {count(of)})" if 0 < of < n else "")


def _who(model: dict[str, Any]) -> str:
    return _spaced(label(model))


def _spaced(name: str) -> str:
    return visible(name.replace("/", " ", 1))
