"""Events of a vote whose thoughts are watched while they run, as the chunks of its stream tell of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class VoteDelta:
    """A piece of the thought `index` of a vote, or of the answer it comes to; `id` is the vote's."""

    index: int
    reasoning: str = ""
    content: str = ""
    id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class VoteThinkingEnded:
    """The thought `index` is over, and its answer begins; why, and after how many tokens."""

    index: int
    reasoning_end: str
    reasoning_tokens: int


@dataclass(frozen=True, slots=True)
class VoteThoughtDone:
    """The thought `index` has come to its end: `finish_reason` is stop, length, or stopped where its vote could not
    change the outcome any more. `answer` is what it voted for, None where it gave none.
    """

    index: int
    finish_reason: str
    answer: str | None
    completion_tokens: int
    reasoning_tokens: int


@dataclass(frozen=True, slots=True)
class VoteStanding:
    """How the vote stands, as the server's VoteReport; with a `choice` it is over."""

    report: dict[str, Any]


VoteEvent = VoteDelta | VoteThinkingEnded | VoteThoughtDone | VoteStanding


def vote_event(chunk: dict[str, Any]) -> VoteEvent | None:
    """What a chunk says of a vote; None where it says nothing of it."""
    if report := chunk.get("vote"):
        return VoteStanding(report)
    said = chunk.get("vote_thought")
    if not said:
        return None
    index = said["index"]
    if "finish_reason" in said:
        tokens = (said.get("completion_tokens") or 0, said.get("reasoning_tokens") or 0)
        return VoteThoughtDone(index, said["finish_reason"], said.get("answer"), *tokens)
    if "reasoning_end" in said:
        return VoteThinkingEnded(index, said["reasoning_end"], said.get("reasoning_tokens") or 0)
    return VoteDelta(index, said.get("reasoning_content") or "", said.get("content") or "", chunk.get("id") or "")
