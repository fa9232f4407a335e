"""Log probabilities of a choice's tokens in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from ...engine.request import Channel, TokenLogprob


class TopLogprob(BaseModel):
    """A token that might have come: its text, its log probability and its bytes."""

    token: str
    logprob: float
    bytes: list[int]

    @classmethod
    def of(cls, one: TokenLogprob) -> TopLogprob:
        return cls(token=_text(one), logprob=one.logprob, bytes=list(one.piece))


class TokenLogprobBody(TopLogprob):
    """A token that came, and the likeliest in its place."""

    top_logprobs: list[TopLogprob]

    @classmethod
    def of(cls, one: TokenLogprob) -> TokenLogprobBody:
        top = [TopLogprob.of(other) for other in one.top]
        return cls(token=_text(one), logprob=one.logprob, bytes=list(one.piece), top_logprobs=top)


class ChoiceLogprobs(BaseModel):
    """`reasoning_content` holds those of the thought. Tokens that were put in without being drawn have none."""

    content: list[TokenLogprobBody]
    refusal: None = None
    reasoning_content: list[TokenLogprobBody]

    @classmethod
    def of(cls, content: Sequence[TokenLogprob], reasoning: Sequence[TokenLogprob]) -> ChoiceLogprobs:
        return cls(
            content=[TokenLogprobBody.of(one) for one in content],
            reasoning_content=[TokenLogprobBody.of(one) for one in reasoning],
        )

    @classmethod
    def on(cls, channel: Channel, drawn: Sequence[TokenLogprob]) -> ChoiceLogprobs:
        return cls.of(drawn, ()) if channel is Channel.CONTENT else cls.of((), drawn)


def _text(one: TokenLogprob) -> str:
    """Half a character is shown as such; the bytes tell what it is."""
    return one.piece.decode(errors="replace")
