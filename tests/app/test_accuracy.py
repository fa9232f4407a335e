"""r1chat bench accuracy: every problem is asked through the API, and the table says what was counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from r1chat.app.commands.accuracy import _measure, accuracy_table
from r1chat.distill.problems.held_out import held_out
from r1chat.serve.models.catalog import resolve


@pytest.mark.slow
def test_every_problem_is_asked_so_many_times(noise_model: Path) -> None:
    two = tuple(p for p in held_out()["test"] if p.family in ("sums", "outside"))[39:41]
    evaluation = asyncio.run(_measure(resolve(str(noise_model)), {"test": two}, 2))
    families = evaluation["test"]["families"]
    assert {name: (row["n"], row["k"]) for name, row in families.items()} == {"sums": (1, 2), "outside": (1, 2)}
    assert families["sums"]["pass_at_1"] == 0, "random weights solve nothing"
    assert evaluation["test"]["overall"]["n"] == 1, "prompts to decline do not count as solved problems"
    assert evaluation["test"]["refused"] == 0
    assert accuracy_table(evaluation).splitlines()[1].startswith("test                     0.0%   0.0% to ")
