"""Where a thought goes out: apart from the answer, inside it between its tags, or nowhere."""

from __future__ import annotations

from contextlib import aclosing
from typing import Literal

import msgspec

from ..answers.ballot import VoteReport
from ..engine.request import Channel, Finished, ThoughtEnded, TokenOutput
from ..reasoning import CLOSE_TAG, OPEN_TAG
from .outputs import Output, Outputs
from .voting.shown import VoteThought

# Ours, and what llama-server and Groq call the same.
ReasoningFormat = Literal["both", "inline", "hidden", "auto", "deepseek", "parsed", "none", "raw"]
INLINE = frozenset({"inline", "none", "raw"})
OPENING = f"{OPEN_TAG}\n"
CLOSING = f"\n{CLOSE_TAG}\n\n"


def formatted(outputs: Outputs, how: ReasoningFormat | None, *, hides: bool = False) -> Outputs:
    """`outputs` with their thoughts where the client wants them; `hides`: nowhere, unless `how` says otherwise."""
    if how in INLINE:
        return inline(outputs)
    return hidden(outputs) if how == "hidden" or (how is None and hides) else outputs


async def inline(outputs: Outputs) -> Outputs:
    """Thoughts become text of the answer, between their tags. One that never ended has no closing tag."""
    thinking: dict[int, str] = {}
    async with aclosing(outputs):
        async for output in outputs:
            index, event = output
            if isinstance(event, TokenOutput) and event.channel is Channel.REASONING:
                opening = "" if index in thinking else OPENING
                thinking[index] = event.request_id
                event = msgspec.structs.replace(event, channel=Channel.CONTENT, text=opening + event.text)
            elif index in thinking and _ends_thought(event):
                yield Output(index, TokenOutput(thinking.pop(index), Channel.CONTENT, CLOSING, 0))
            yield Output(index, event)


def _ends_thought(event: object) -> bool:
    cause = event.cause if isinstance(event, ThoughtEnded) else getattr(event, "reasoning_end", None)
    return isinstance(event, (ThoughtEnded, TokenOutput, Finished)) and cause != "length"


async def hidden(outputs: Outputs) -> Outputs:
    """Thoughts stay here; that and why they ended is told all the same."""
    async with aclosing(outputs):
        async for output in outputs:
            if isinstance(output.event, VoteReport):
                yield Output(output.choice, output.event.without_reasoning())
            elif not _is_reasoning(output.event):
                yield output


def _is_reasoning(event: object) -> bool:
    if isinstance(event, VoteThought):
        return event.is_reasoning
    return isinstance(event, TokenOutput) and event.channel is Channel.REASONING
