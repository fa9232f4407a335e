"""One completion as the rewards see it: taken apart into thought and answer, with the problem it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...serve.reasoning import OPEN_TAG, ends_in_thought, split
from ..rows import ProblemRow

Prompt = str | list[dict[str, Any]]  # as trl has them: rendered, or messages


@dataclass(frozen=True)
class Said:
    """`opened`: the prompt already wrote the opening tag. `closed`: the thought came to its end; if not, all there is
    is thought, and the answer is empty. `cut`: the completion reached the token limit without an end.
    """

    problem: ProblemRow
    text: str
    thought: str
    answer: str
    opened: bool
    closed: bool
    n_tokens: int = 0
    cut: bool = False

    @property
    def has_rule(self) -> bool:
        """Whether a rule can judge the answer: the problem has a verifier, and the gold that it needs."""
        if self.problem.verifier in ("math", "exact", "outside"):
            return self.problem.gold is not None
        return self.problem.verifier != "none"


Score = Callable[[Sequence[Said]], list[float | None]]
"""What each completion is worth; None where the reward has nothing to say on it."""


def take_apart(problem: ProblemRow, prompt: Prompt, text: str, *, n_tokens: int = 0, cut: bool = False) -> Said:
    """A completion in its parts, split where the server, too, would split it: at the first closing tag."""
    opened = is_open(prompt)
    parts = split(text, reasoning_open=opened or not text.lstrip().startswith(OPEN_TAG))
    closed = parts.state == "content"
    return Said(problem, text, parts.thought, parts.answer if closed else "", opened, closed, n_tokens, cut)


def is_open(prompt: Prompt) -> bool:
    """Whether a prompt ends within a thought. Messages are rendered by R1's template, which opens it."""
    return ends_in_thought(prompt) if isinstance(prompt, str) else True


def text_of(completion: str | list[dict[str, Any]]) -> str:
    """The text of a completion as trl hands it over; of messages that of the first, which is the model's."""
    return completion if isinstance(completion, str) else str(completion[0].get("content") or "")
