"""Medians over the rounds, and ratios to each peer: made round by round, so that drift cancels."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from .rounds import Outcome
from .scenario import Scenario


@dataclass(frozen=True)
class Ratio:
    """Ours divided by a peer's: the median of the rounds' own ratios, and how far they lie apart."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One value of one scenario: each server's median, and our ratio to each peer that has one."""

    scenario: str
    value: str
    unit: str
    medians: dict[str, float]
    ratios: dict[str, Ratio] = field(default_factory=dict)


def rows(scenarios: Iterable[Scenario], own: str, outcomes: list[Outcome]) -> list[Row]:
    """In the order of the scenarios; what nobody could measure is left out."""
    found = (
        _row(scenario.name, value, unit, own, outcomes)
        for scenario in scenarios
        for value, unit in scenario.units.items()
    )
    return [row for row in found if row.medians]


def _row(scenario: str, value: str, unit: str, own: str, outcomes: list[Outcome]) -> Row:
    by_target: dict[str, dict[int, float]] = {}
    for outcome in outcomes:
        if outcome.scenario == scenario and value in outcome.values:
            by_target.setdefault(outcome.target, {})[outcome.round] = outcome.values[value]
    medians = {target: statistics.median(values.values()) for target, values in by_target.items()}
    ours = by_target.pop(own, {})
    ratios = {target: ratio for target, theirs in by_target.items() if (ratio := _ratio(ours, theirs))}
    return Row(scenario, value, unit, medians, ratios)


def _ratio(ours: dict[int, float], theirs: dict[int, float]) -> Ratio | None:
    pairs = [ours[index] / theirs[index] for index in ours if theirs.get(index)]
    return Ratio(statistics.median(pairs), min(pairs), max(pairs)) if pairs else None


def table(found: list[Row], targets: list[str]) -> str:
    """For a terminal; a column per server, and one per peer for the ratio to it."""
    own, *peers = targets
    head = ["scenario", "value", "", *targets, *(f"{own} / {peer} (min to max)" for peer in peers)]
    lines = [head, *(_cells(row, targets) for row in found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 3 <= column < 3 + len(targets) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: Row, targets: list[str]) -> list[str]:
    values = [_number(row.medians[target]) if target in row.medians else "-" for target in targets]
    ratios = [
        f"{ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})" if ratio else ""
        for ratio in (row.ratios.get(target) for target in targets[1:])
    ]
    return [row.scenario, row.value, row.unit, *values, *ratios]


def _number(value: float) -> str:
    """Three significant digits, whole numbers whole."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def failures(outcomes: list[Outcome]) -> list[str]:
    """One line for each trial that brought nothing."""
    return [f"{o.scenario} on {o.target}, round {o.round + 1}: {o.error}" for o in outcomes if o.error]
