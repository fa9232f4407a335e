"""How fast a teacher would write, as the plan tells it."""

from __future__ import annotations

import pytest

from r1chat.app.distilling import pace
from r1chat.serve.models.fit.machine import Machine


@pytest.fixture(autouse=True)
def _rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "read_rate", lambda: 10e9)
    monkeypatch.setattr(pace, "look", lambda: Machine(16 << 30, 12 << 30))


def test_a_larger_teacher_writes_more_slowly_also_where_it_is_not_here_yet() -> None:
    paces = [found for name in ("demo", "r1:1.5b", "r1:7b", "r1:7b:q8_0") if (found := pace.teacher_pace(name))]
    assert len(paces) == 4
    assert paces == sorted(paces, reverse=True)
    slow, fast = paces[2]
    assert 0.5 < slow < 1 < fast < 2  # 4.7 GB through 10 GB a second


@pytest.mark.parametrize("name", ["http://gpu-box:8000", "some/model-GGUF:Q4_K_M", "nowhere/teacher.gguf", "bad name"])
def test_of_what_nobody_knows_here_nothing_is_foretold(name: str) -> None:
    assert pace.teacher_pace(name) is None
