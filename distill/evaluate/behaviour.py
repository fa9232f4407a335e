"""What a thought does beside working: whether it checks itself, whether it turns back. By the words of its steps."""

from __future__ import annotations

from ...serve.anatomy.steps import steps


def checks_itself(thought: str | None) -> bool:
    """Whether a step of the thought checks ("let me check", "verify"): verification, as Four Habits counts it
    (arXiv:2503.01307). False without a thought.
    """
    return _has(thought, "check")


def turns_back(thought: str | None) -> bool:
    """Whether a step of the thought doubts what is before it or tries another way ("wait", "no,", "alternatively"):
    backtracking, as Four Habits counts it (arXiv:2503.01307). False without a thought.
    """
    return _has(thought, "reflection", "alternative")


def _has(thought: str | None, *kinds: str) -> bool:
    return any(step.kind in kinds for step in steps(thought or ""))
