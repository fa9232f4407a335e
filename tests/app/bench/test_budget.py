"""bench budget: the table and the picture show what was measured, and a real run measures it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from r1chat.app.bench.budget import ARMS, FREE, Curves, Gain, Point, table
from r1chat.app.bench.curve import curve
from r1chat.app.cli import main
from r1chat.app.commands import bench_budget
from r1chat.app.commands.bench_budget import chosen_problems
from r1chat.distill.evaluate.accuracy import Accuracy
from r1chat.distill.evaluate.paired import Difference
from r1chat.serve.client import ServerUnreachableError

SVG = "{http://www.w3.org/2000/svg}"


def point(budget: int | None, arm: str, share: float, tokens: float) -> Point:
    return Point(budget, arm, Accuracy(720, 4, share, share - 0.02, share + 0.02, 0.001, tokens + 20, tokens))


def measured() -> Curves:
    soft, hard = ARMS
    points = [point(None, FREE, 0.97, 70)]
    points += [point(20, soft, 0.3, 24), point(20, hard, 0.2, 20), point(40, soft, 0.7, 45), point(40, hard, 0.5, 38)]
    return Curves(points, [Gain(20, Difference(0.1, 0.05, 0.15)), Gain(40, Difference(0.2, -0.01, 0.25))])


def test_the_table_has_both_arms_beside_each_other_and_their_difference() -> None:
    lines = table(measured()).splitlines()
    assert lines[2].split() == "20 30.0% 28.0%-32.0% 24.0+20.0 20.0% 18.0%-22.0% 20.0+20.0 +10.0 +5.0 to +15.0".split()
    assert lines[3].split()[-4:] == ["+20.0", "-1.0", "to", "+25.0"]
    assert lines[4].split() == ["none", "97.0%", "95.0%-99.0%", "70.0+20.0"]
    assert lines[5].startswith("720 problems x 4 samples") and "0.1%" in lines[5]


def test_what_was_measured_until_it_was_stopped_is_shown() -> None:
    soft, _ = ARMS
    assert "30.0%" in table(Curves([point(20, soft, 0.3, 24)], []))
    assert table(Curves([], [])).count("\n") == 1
    ElementTree.fromstring(curve(Curves([], []), "nothing yet"))


def test_what_was_measured_before_a_request_failed_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fails(args: Any, problems: Any, curves: Curves) -> None:
        curves.points.append(point(None, FREE, 0.97, 70))
        raise ServerUnreachableError("No answer from the server: it hung up")

    monkeypatch.setattr(bench_budget, "_measure", fails)
    assert main(["bench", "budget"]) == 1
    out, err = capsys.readouterr()
    assert "97.0%" in out and err == "r1chat: No answer from the server: it hung up\n"


def test_the_picture_has_a_line_for_each_arm_that_rises_with_the_share() -> None:
    root = ElementTree.fromstring(curve(measured(), "accuracy <over> thought"))
    lines = root.findall(f"{SVG}polyline")
    assert len(lines) == len(ARMS)
    for line in lines:
        (x1, y1), (x2, y2) = (tuple(map(float, place.split(","))) for place in line.attrib["points"].split())
        assert x1 < x2 and y1 > y2, "longer thoughts are to the right, better ones higher up"
    assert len(root.findall(f"{SVG}circle")) == 4


def test_no_thought_at_all_is_no_point_of_the_lines() -> None:
    curves = measured()
    soft, hard = ARMS
    curves.points += [point(0, soft, 0.8, 0), point(0, hard, 0.8, 0)]
    picture = curve(curves, "with none")
    assert len(ElementTree.fromstring(picture).findall(f"{SVG}circle")) == 4
    assert picture.count("no thought: 80.0%, 0 tokens of thought and 20 of answer") == 1


def test_so_many_problems_of_each_family_are_asked() -> None:
    few, all_of_them = chosen_problems("test", 2), chosen_problems("test", 40)
    families = {problem.family for problem in few}
    assert len(few) == 2 * len(families) and len(all_of_them) == 40 * len(families)
    assert "outside" not in families, "owning up is not solving"


@pytest.mark.slow
@pytest.mark.model
def test_a_real_budget_is_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "budget.svg"
    options = ["--problems", "1", "--samples", "1", "--budgets", "20", "--json", "--chart", str(picture)]
    assert main(["bench", "budget", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    free, soft, hard = found["points"]
    assert [point["accuracy"]["n"] for point in found["points"]] == [20] * 3
    assert hard["accuracy"]["mean_reasoning_tokens"] <= 20 < free["accuracy"]["mean_reasoning_tokens"]
    assert soft["accuracy"]["mean_reasoning_tokens"] <= 20 + ARMS["soft landing"]
    assert found["gains"][0]["budget"] == 20
    ElementTree.parse(picture)
