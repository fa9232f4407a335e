"""r1chat bench grpo: a step's parts are measured for both ways of drawing completions."""

from __future__ import annotations

import json
import sys

import pytest

from r1chat.app.cli import main
from r1chat.app.commands.bench_grpo import table
from r1chat.distill.grpo.measure import StepTime

GIB = 1 << 30
TIMES = [
    StepTime("generate", 3.0, 1.0, 4000.0, 2 * GIB),
    StepTime("server", 1.0, 1.0, 4000.0, GIB, GIB),
    StepTime("generate", 5.0, 3.0, 4000.0, GIB),
]


def test_the_table_has_medians_and_the_most_memory() -> None:
    lines = table(TIMES).splitlines()
    assert lines[1].split() == ["generate", "6.00", "s", "4.00", "s", "2.00", "s", "750", "2.00", "GiB"]
    assert lines[2].split() == ["server", "2.00", "s", "1.00", "s", "1.00", "s", "2,000", "1.00", "GiB", "1.00", "GiB"]


def test_an_unknown_shape_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="needs the extra `distill`")
    assert main(["bench", "grpo", "--shape", "huge"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.endswith("Use: r1chat bench grpo --shape tiny\n")


def test_without_the_extra_it_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["bench", "grpo"]) == 1
    assert capsys.readouterr().err == (
        'r1chat: The stage bench grpo needs torch, which is not here. Install it: pip install "r1chat[distill]"\n'
    )


@pytest.mark.slow
def test_a_step_is_measured_by_its_parts_with_a_server_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("trl", reason="needs the extra `distill`")
    asked = ["bench", "grpo", "--shape", "tiny", "--rollouts", "server", "--steps", "1", "--prompts", "1", "--json"]
    assert main([*asked, "--generations", "2", "--tokens", "16", "--sync-every", "3"]) == 0
    (served,) = json.loads(capsys.readouterr().out)["measured"]
    assert served["way"] == "server"
    assert 16 < served["tokens"] <= 32, "two completions, of which one at least is as long as it may be"
    assert served["rollout_seconds"] > 0 < served["update_seconds"]
    assert served["server_memory"] > 1e7
