"""The calls in a reply's answer, told apart from its text as it comes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import aclosing

import msgspec

from ...engine.request import Channel, Finished, TokenLogprob, TokenOutput
from ..outputs import Output, Outputs, ToolCallDelta
from .call_parser import Argument, Called, CallParser, Part, Spoken
from .tools import Tool


async def parsed(outputs: Outputs, tools: Sequence[Tool]) -> Outputs:
    """The same outputs, with calls of `tools` as ToolCallDelta instead of text. O(1) work for each token."""
    replies: dict[int, _Reply] = {}
    async with aclosing(outputs):
        async for output in outputs:
            choice, event = output
            if not tools or not isinstance(event, TokenOutput | ToolCallDelta | Finished):
                yield output
                continue
            reply = replies.setdefault(choice, _Reply(tools))
            if isinstance(event, ToolCallDelta):  # an upstream that reads calls itself
                for told in reply.called():
                    yield Output(choice, told)
                yield output
            elif isinstance(event, Finished):
                for told in reply.ended():
                    yield Output(choice, told)
                yield output
            elif event.channel is Channel.REASONING:
                yield output
            else:
                for told in reply.told(event):
                    yield Output(choice, told)


class _Reply:
    """One reply's answer. Tokens and log probabilities that wait with their text go out with it."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._parser = CallParser(tool.function.name for tool in tools)
        self._call = -1
        self._last: TokenOutput | None = None
        self._tokens = 0
        self._logprobs: list[TokenLogprob] = []

    def told(self, event: TokenOutput) -> Iterator[TokenOutput | ToolCallDelta]:
        self._last = event
        self._tokens += event.tokens
        self._logprobs += event.logprobs
        yield from self._events(self._parser.feed(event.text))

    def called(self) -> Iterator[TokenOutput | ToolCallDelta]:
        yield from self._events(self._parser.called())

    def ended(self) -> Iterator[TokenOutput | ToolCallDelta]:
        yield from self._events(self._parser.flush())

    def _events(self, parts: Sequence[Part]) -> Iterator[TokenOutput | ToolCallDelta]:
        for part in parts:
            match part:
                case Spoken(text):
                    yield self._text(text)
                case Called(name):
                    self._call += 1
                    yield ToolCallDelta(self._call, "", f"call_{secrets.token_hex(12)}", name)
                case Argument(text):
                    self._forget()
                    yield ToolCallDelta(self._call, text)

    def _text(self, text: str) -> TokenOutput:
        assert self._last is not None, "text comes from an event"
        event = msgspec.structs.replace(self._last, text=text, tokens=self._tokens, logprobs=tuple(self._logprobs))
        self._forget()
        return event

    def _forget(self) -> None:
        """A call's tokens have no text for log probabilities to stand beside."""
        self._tokens = 0
        self._logprobs = []
