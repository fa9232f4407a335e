"""What the replies of a group come to: each one's answer, whether it is the gold one, and whether they agree.

Answers are compared as mathematics in a child that is killed when it takes too long (serve/answers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, Protocol

from ...serve.answers.ballot import Ballot
from ...serve.answers.extraction import boxed, comparable
from ..conversations.records import Message

Mark = Literal["right", "wrong", "none"]


class Comparison(Protocol):
    async def equal(self, one: str, other: str) -> bool:
        """Whether two answers are one formula; False also where nobody can tell in time."""
        ...


def judged_text(reply: Message) -> str | None:
    """What of an ended reply is judged: nothing of one that did not come to its own end."""
    return reply.content if reply.state == "done" and reply.finish_reason == "stop" else None


class Verdicts:
    """For one group while it is judged: no two answers are compared twice."""

    def __init__(self, formulas: Comparison) -> None:
        self._formulas = formulas
        self._known: dict[tuple[str, str], bool] = {}

    async def of(self, texts: Mapping[str, str], gold: str) -> dict[str, Any]:
        """`texts` are the whole replies by their messages, without their thoughts. `answers` and `marks` come back by
        message (marks only where there is a `gold`), and `agree`, None below two replies.
        """
        answers = {name: boxed(text) for name, text in texts.items()}
        wanted = boxed(gold) or gold.strip()
        marks = {name: await self._mark(answer, wanted) for name, answer in answers.items()} if wanted else {}
        return {"answers": answers, "marks": marks, "agree": await self._agree(list(answers.values()))}

    async def tally(self, texts: Sequence[str | None]) -> dict[str, Any]:
        """How a vote among whole replies stands, None for those without a vote: as the server's VoteReport has it."""
        ballot = Ballot(len(texts))
        for index, text in enumerate(texts):
            answer = None if text is None else boxed(text)
            if answer is None:
                ballot.abstain(index)
                continue
            same = [option for option in ballot.options if await self._same(option.answer, answer)]
            ballot.vote(index, answer, same[0] if same else None)
        return ballot.report().model_dump(include={"answer", "votes", "tally"})

    async def _mark(self, answer: str | None, gold: str) -> Mark:
        if answer is None:
            return "none"
        return "right" if await self._same(gold, answer) else "wrong"

    async def _agree(self, answers: list[str | None]) -> bool | None:
        if len(answers) < 2:
            return None
        first, *others = answers
        if first is None:
            return False
        return all([other is not None and await self._same(first, other) for other in others])

    async def _same(self, one: str, other: str) -> bool:
        if (one, other) not in self._known:
            keys = comparable(one, "boxed"), comparable(other, "boxed")
            are_numbers = all(isinstance(key, Fraction) for key in keys)
            same = keys[0] == keys[1] or (not are_numbers and await self._formulas.equal(one, other))
            self._known[one, other] = same
        return self._known[one, other]
