"""r1chat bench accuracy: every problem is asked through the API, and the table says what was counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

from r1chat.app.commands.accuracy import _measure, accuracy_table
from r1chat.distill.problems.held_out import held_out
from r1chat.serve.models.catalog import resolve


def test_every_problem_is_asked_so_many_times(noise_model: Path) -> None:
    two = tuple(p for p in held_out()["larger"] if p.family in ("sums", "outside"))[59:61]
    evaluation = asyncio.run(_measure(resolve(str(noise_model)), {"larger": two}, 2))
    families = evaluation["larger"]["families"]
    assert {name: (row["n"], row["k"]) for name, row in families.items()} == {"sums": (1, 2), "outside": (1, 2)}
    assert families["sums"]["pass_at_1"] == 0, "random weights solve nothing"
    assert evaluation["larger"]["overall"]["n"] == 1, "prompts to decline do not count as solved problems"
    assert accuracy_table(evaluation).splitlines()[1].startswith("larger                   0.0%   0.0% to ")
