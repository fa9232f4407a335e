"""The report: medians, ratios made round by round, a table and a picture of them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from r1chat.app.bench.chart import chart
from r1chat.app.bench.report import Row, failures, rows, table
from r1chat.app.bench.rounds import SCENARIOS, Outcome
from r1chat.app.bench.scenario import Scenario, Trial, Values


async def nothing(trial: Trial) -> Values:
    return {}


SCENARIO = Scenario("single", "one stream", {"decode": "tok/s"}, nothing)


def measured(target: str, *values: float | None) -> list[Outcome]:
    return [
        Outcome("single", target, i, 1.0, {} if value is None else {"decode": value}, "" if value else "it failed")
        for i, value in enumerate(values)
    ]


def rows_of(*outcomes: list[Outcome]) -> list[Row]:
    return rows([SCENARIO], "ours", [outcome for target in outcomes for outcome in target])


def test_ratio_is_the_median_of_the_rounds_own() -> None:
    # the machine slows down by ten between rounds; each pair still says 0.9
    [row] = rows_of(measured("ours", 90, 9, 0.9), measured("peer", 100, 10, 1))
    assert row.medians == {"ours": 9, "peer": 10}
    assert row.ratios["peer"].median == pytest.approx(0.9)
    assert row.ratios["peer"].low == pytest.approx(0.9)


def test_round_that_failed_on_one_server_is_no_pair() -> None:
    [row] = rows_of(measured("ours", 90, None, 80), measured("peer", 100, 10, None))
    assert row.ratios["peer"].median == pytest.approx(0.9)
    assert row.medians == {"ours": 85, "peer": 55}


def test_value_that_a_server_never_had_leaves_its_place_empty() -> None:
    [row] = rows_of(measured("ours", 90), measured("peer", None))
    assert row.ratios == {}
    assert table([row], ["ours", "peer"]).splitlines()[1].split() == ["single", "decode", "tok/s", "90", "-"]
    assert rows_of(measured("ours", None)) == []


def test_table_shows_the_ratio_with_its_span() -> None:
    found = rows_of(measured("ours", 50, 60, 70), measured("peer", 100, 100, 100))
    assert "0.600 (0.500 to 0.700)" in table(found, ["ours", "peer"])


def test_failures_say_where_and_why() -> None:
    assert failures(measured("peer", 1.0, None)) == ["single on peer, round 2: it failed"]


def test_chart_is_svg_with_a_bar_for_each_ratio() -> None:
    found = rows_of(measured("ours", 50, 1e-9), measured("<&", 100, 100))
    picture = ElementTree.fromstring(chart(found, "ours", "<&"))
    bars = [element for element in picture.iter() if element.get("fill") == "#4c78a8"]
    assert len(bars) == 1
    assert all(0 <= float(bar.get("x", "")) <= float(picture.get("width", "")) for bar in bars)


def test_every_scenario_says_what_it_measures() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
    assert all(scenario.what and scenario.units for scenario in SCENARIOS)
