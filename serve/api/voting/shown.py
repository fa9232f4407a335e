"""Thoughts of a vote as they come: what one of them has just done, for a client that watches them all."""

from __future__ import annotations

from dataclasses import dataclass

from ...answers.ballot import ThoughtReport
from ...engine.request import Channel, ThoughtEnded, TokenOutput


@dataclass(frozen=True, slots=True)
class VoteThought:
    """A piece of the text of thought `index`, the end of its thinking, or its own end: then a report without texts,
    which it has told before.
    """

    index: int
    event: TokenOutput | ThoughtEnded | ThoughtReport

    @property
    def is_reasoning(self) -> bool:
        """Whether it tells what is thought, and not only that there is thinking."""
        return isinstance(self.event, TokenOutput) and self.event.channel is Channel.REASONING
