"""A thought that checks or turns back is known by its words; one that only works is taken for neither."""

from __future__ import annotations

import pytest

from r1chat.distill.evaluate.behaviour import checks_itself, turns_back


@pytest.mark.parametrize(
    ("thought", "checks", "turns"),
    [
        ("3 + 5 = 8. 8 * 2 = 16.", False, False),
        ("3 + 5 = 8. Let me check: 8 - 5 = 3. Yes.", True, False),
        ("3 + 5 = 8. Wait, that is not 7. 12 - 5 = 7.", False, True),
        ("3 + 5 = 8.\nNo, 8 is not 7.\nLet me check: 12 - 5 = 7.", True, True),
        ("12 + 5 = 17. Alternatively, 12 - 5 = 7.", False, True),
        ("", False, False),
        (None, False, False),
    ],
)
def test_checks_and_turns_are_told_apart(thought: str | None, checks: bool, turns: bool) -> None:
    assert (checks_itself(thought), turns_back(thought)) == (checks, turns)
