"""The bytes of one chat completion in the OpenAI shape, whole or in chunks.

Per token only its own text is encoded; everything constant is prepared once per request.
"""

from __future__ import annotations

import time

import msgspec

from ..engine.request import Channel, Finished, TokenOutput
from .generation import Output, Reply
from .replies import (
    ChatCompletion,
    ChatMessage,
    Choice,
    TimingsBody,
    UsageBody,
    summed,
    wire_finish_reason,
)

DONE = b"data: [DONE]\n\n"


class ChatWriter:
    """One completion of `n` choices on its way out."""

    def __init__(self, completion_id: str, model: str, *, n: int, include_usage: bool, deterministic: bool) -> None:
        self._id = completion_id
        self._created = int(time.time())
        self._model = model
        self._deterministic = deterministic
        self._include_usage = include_usage
        head = msgspec.json.encode(
            {"id": completion_id, "object": "chat.completion.chunk", "created": self._created, "model": model}
        )
        self._head = b"data: " + head[:-1] + b',"choices":['
        self._deltas = [self._head + b'{"index":%d,"delta":' % index for index in range(n)]
        self._null_usage = b',"usage":null' if include_usage else b""
        self._after_delta = b',"logprobs":null,"finish_reason":null}]' + self._null_usage + b"}\n\n"
        self._finished: list[Finished] = []

    def head(self) -> bytes:
        return b"".join(delta + b'{"role":"assistant","content":null}' + self._after_delta for delta in self._deltas)

    def frame(self, output: Output) -> bytes:
        index, event = output
        if isinstance(event, TokenOutput):
            return self._text(index, event.channel, event.text) if event.text else b""
        if isinstance(event, Finished):
            self._finished.append(event)
            return self._end(index, event)
        return b""

    def tail(self) -> bytes:
        """The usage of all choices where it was asked for, and [DONE]."""
        if not self._include_usage:
            return DONE
        usage, timings = summed(self._finished)
        body = UsageBody.of(usage).model_dump_json().encode()
        timing = TimingsBody.of(timings, usage).model_dump_json().encode()
        return self._head + b'],"usage":' + body + self._rest(timing) + DONE

    def error(self, body: bytes) -> bytes:
        return b"data: " + body + b"\n\n"

    def whole(self, replies: list[Reply]) -> bytes:
        usage, timings = summed([reply.finished for reply in replies])
        completion = ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[_choice(index, reply) for index, reply in enumerate(replies)],
            usage=UsageBody.of(usage),
            timings=TimingsBody.of(timings, usage),
            deterministic=self._deterministic,
        )
        return completion.model_dump_json().encode()

    def _text(self, index: int, channel: Channel, text: str) -> bytes:
        """Reasoning goes out under both names that clients look for."""
        delta, encoded = self._deltas[index], msgspec.json.encode(text)
        if channel == Channel.CONTENT:
            return delta + b'{"content":' + encoded + b"}" + self._after_delta
        return delta + b'{"reasoning_content":' + encoded + b',"reasoning":' + encoded + b"}" + self._after_delta

    def _end(self, index: int, finished: Finished) -> bytes:
        reason = msgspec.json.encode(wire_finish_reason(finished.reason))
        timing = TimingsBody.of(finished.timings, finished.usage).model_dump_json().encode()
        last = b'{},"logprobs":null,"finish_reason":' + reason + b"}]" + self._null_usage
        return self._deltas[index] + last + self._rest(timing)

    def _rest(self, timing: bytes) -> bytes:
        deterministic = b',"deterministic":' + msgspec.json.encode(self._deterministic)
        return b',"timings":' + timing + deterministic + b"}\n\n"


def _choice(index: int, reply: Reply) -> Choice:
    reasoning = reply.reasoning or None
    return Choice(
        index=index,
        message=ChatMessage(content=reply.content, reasoning_content=reasoning, reasoning=reasoning),
        finish_reason=wire_finish_reason(reply.finished.reason),
    )
