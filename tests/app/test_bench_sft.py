"""r1chat bench sft: our training and trl's are measured on the same rows, and the ratio is what was measured."""

from __future__ import annotations

import json
import sys

import pytest

from r1chat.app.cli import main
from r1chat.app.commands.bench_sft import ratios, table
from r1chat.distill.sft.measure import Speed

SPEEDS = [
    Speed("r1chat", 100.0, 1 << 30, 2.0),
    Speed("trl", 80.0, 2 << 30, 2.0),
    Speed("trl", 40.0, 1 << 30, 2.0),
    Speed("r1chat", 140.0, 1 << 30, 2.0),
]


def test_ratios_are_of_median_speeds_and_highest_memory() -> None:
    assert ratios(SPEEDS) == {"speed_ratio": 2.0, "memory_ratio": 0.5}
    lines = table(SPEEDS).splitlines()
    assert lines[1].split() == ["r1chat", "120", "1.00", "GiB"]
    assert lines[2].split() == ["trl", "60", "2.00", "GiB"]
    assert lines[3].split() == ["ratio", "2.00", "0.50"]


def test_an_unknown_shape_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="needs the extra `distill`")
    assert main(["bench", "sft", "--shape", "huge"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.endswith("Use: r1chat bench sft --shape tiny\n")


def test_without_the_extra_it_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["bench", "sft"]) == 1
    assert capsys.readouterr().err == (
        'r1chat: The stage bench sft needs torch, which is not here. Install it: pip install "r1chat[distill]"\n'
    )


@pytest.mark.slow
def test_both_learn_the_same_from_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("trl", reason="needs the extra `distill`")
    assert (
        main(["bench", "sft", "--shape", "tiny", "--steps", "2", "--batch-size", "4", "--row-tokens", "64", "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    ours, theirs = found["measured"]
    assert (ours["who"], theirs["who"]) == ("r1chat", "trl")
    assert ours["loss"] == pytest.approx(theirs["loss"], abs=0.05)
    assert found["speed_ratio"] == pytest.approx(ours["tokens_per_second"] / theirs["tokens_per_second"])
    assert min(ours["peak_memory"], theirs["peak_memory"]) > 1e8
