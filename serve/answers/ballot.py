"""A vote's books: which answers were given, by which thoughts, and when no more can change the outcome.

Knows no engine and no wire; how two answers are found equal is its caller's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel


class Tally(BaseModel):
    """An answer as its first voter wrote it, and the thoughts that came to it."""

    answer: str
    votes: int
    choices: list[int]


class ThoughtReport(BaseModel):
    """One of the thoughts: `answer` is null where it gave none, and where it was stopped before it could."""

    index: int
    answer: str | None
    finish_reason: Literal["stop", "length", "stopped"]
    reasoning: str | None
    content: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int

    def without_texts(self) -> ThoughtReport:
        """The same for a client that has seen them come."""
        return self.model_copy(update={"reasoning": None, "content": ""})


class VoteReport(BaseModel):
    """How a vote stands, or ended: then with `thoughts`, and `choice`, the thought whose reply is returned.

    `n_finished` thoughts came to their end and `n_stopped` were stopped because the outcome was certain.
    """

    answer: str | None
    votes: int
    n: int
    n_finished: int
    n_stopped: int = 0
    choice: int | None = None
    tally: list[Tally]
    thoughts: list[ThoughtReport] = []

    def without_reasoning(self) -> VoteReport:
        """The same for a client that wants to see no thoughts."""
        hidden = [thought.model_copy(update={"reasoning": None}) for thought in self.thoughts]
        return self.model_copy(update={"thoughts": hidden})


@dataclass(slots=True)
class Option:
    """An answer, and which thoughts voted for it."""

    answer: str
    voters: list[int] = field(default_factory=list)


class Ballot:
    """Counts the votes of `n` thoughts.

    The answer with most votes wins; among equals that of the thought with the lowest number, so that the
    outcome depends on the thoughts alone and not on which of them was computed first.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.options: list[Option] = []
        self._finished: set[int] = set()

    @property
    def n_finished(self) -> int:
        return len(self._finished)

    def abstain(self, thought: int) -> None:
        """The thought has finished without an answer."""
        self._finished.add(thought)

    def vote(self, thought: int, answer: str, option: Option | None) -> None:
        """The thought has finished with `answer`, which is that of `option`, or a new one."""
        self._finished.add(thought)
        if option is None:
            option = Option(answer)
            self.options.append(option)
        option.voters.append(thought)
        option.voters.sort()

    @property
    def ranked(self) -> list[Option]:
        """The leader first."""
        return sorted(self.options, key=lambda option: (-len(option.voters), option.voters[0]))

    @property
    def decided(self) -> bool:
        """Whether the leader wins whatever the thoughts that still run come to: all for one other, at worst.

        Self-consistency (Wang et al. 2022, arXiv 2203.11171) waits for every sample. Adaptive-consistency
        (Aggarwal et al. 2023, arXiv 2305.11860) stops when the outcome is likely; this stops only when it
        is certain, so that stopping never changes the answer.
        """
        running = [thought for thought in range(self.n) if thought not in self._finished]
        if not running:
            return True
        if not self.options:
            return False
        leader, *others = self.ranked
        # an answer that nobody has given yet may come from all who still run
        rivals = [*others, Option("")]
        return all(self._holds(leader, rival, running) for rival in rivals)

    def report(self) -> VoteReport:
        ranked = self.ranked
        return VoteReport(
            answer=ranked[0].answer if ranked else None,
            votes=len(ranked[0].voters) if ranked else 0,
            n=self.n,
            n_finished=self.n_finished,
            tally=[Tally(answer=o.answer, votes=len(o.voters), choices=list(o.voters)) for o in ranked],
        )

    def _holds(self, leader: Option, rival: Option, running: list[int]) -> bool:
        reach = len(rival.voters) + len(running)
        if reach != len(leader.voters):
            return reach < len(leader.voters)
        return leader.voters[0] < min([*rival.voters, *running])
