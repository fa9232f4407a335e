"""The bytes of one chat completion in the OpenAI shape, whole or in chunks.

Per token only its own text is encoded; everything constant is prepared once per request.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec

from ...answers.ballot import ThoughtReport, VoteReport
from ...engine.governor import ReasoningEnd
from ...engine.request import Channel, Finished, FinishReason, ThoughtEnded, TokenOutput
from ..outputs import Output, Reply, ToolCall, ToolCallDelta
from ..replies import (
    CalledFunctionBody,
    ChatCompletion,
    ChatMessage,
    Choice,
    TimingsBody,
    ToolCallBody,
    UsageBody,
    summed,
    wire_finish_reason,
)
from ..voting.shown import VoteThought
from .logprobs import ChoiceLogprobs

DONE = b"data: [DONE]\n\n"


class ChatWriter:
    """One completion of `n` choices on its way out. `with_logprobs`: they were asked for."""

    def __init__(
        self,
        completion_id: str,
        model: str,
        *,
        n: int,
        include_usage: bool,
        deterministic: bool,
        with_logprobs: bool = False,
    ) -> None:
        self._id = completion_id
        self._created = int(time.time())
        self._model = model
        self._deterministic = deterministic
        self._include_usage = include_usage
        self._with_logprobs = with_logprobs
        head = msgspec.json.encode(
            {"id": completion_id, "object": "chat.completion.chunk", "created": self._created, "model": model}
        )
        self._head = b"data: " + head[:-1] + b',"choices":['
        self._deltas = [self._head + b'{"index":%d,"delta":' % index for index in range(n)]
        self._null_usage = b',"usage":null' if include_usage else b""
        self._after_delta = b',"logprobs":null,"finish_reason":null}]' + self._null_usage + b"}\n\n"
        self._finished: list[Finished] = []
        self._calling: set[int] = set()

    def head(self) -> bytes:
        return b"".join(delta + b'{"role":"assistant","content":null}' + self._after_delta for delta in self._deltas)

    def frame(self, output: Output) -> bytes:
        index, event = output
        if isinstance(event, TokenOutput):
            return self._text(index, event)
        if isinstance(event, ToolCallDelta):
            self._calling.add(index)
            return self._deltas[index] + msgspec.json.encode({"tool_calls": [_call_delta(event)]}) + self._after_delta
        if isinstance(event, ThoughtEnded):
            return self._thought_ended(index, event)
        if isinstance(event, VoteThought):
            return self._thought_of_vote(event)
        if isinstance(event, VoteReport):
            return self._vote(index, event)
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
        vote = next((reply.vote for reply in replies if reply.vote), None)
        completion = ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[self._choice(index, reply) for index, reply in enumerate(replies)],
            usage=UsageBody.of(usage),
            timings=TimingsBody.of(timings, usage),
            deterministic=self._deterministic,
            vote=vote,
        )
        return completion.model_dump_json(exclude=None if vote else {"vote"}).encode()

    def _text(self, index: int, event: TokenOutput) -> bytes:
        """Reasoning goes out under both names that clients look for."""
        if not (event.text or (self._with_logprobs and event.logprobs)):
            return b""
        encoded = msgspec.json.encode(event.text)
        if event.channel == Channel.CONTENT:
            delta = self._deltas[index] + b'{"content":' + encoded + b"}"
        else:
            delta = self._deltas[index] + b'{"reasoning_content":' + encoded + b',"reasoning":' + encoded + b"}"
        if not (self._with_logprobs and event.logprobs):
            return delta + self._after_delta
        logprobs = ChoiceLogprobs.on(event.channel, event.logprobs).model_dump_json().encode()
        return delta + b',"logprobs":' + logprobs + b',"finish_reason":null}]' + self._null_usage + b"}\n\n"

    def _vote(self, index: int, report: VoteReport) -> bytes:
        """How the vote stands, beside a choice that says nothing."""
        silent = self._deltas[index] + b'{},"logprobs":null,"finish_reason":null}]'
        return silent + self._null_usage + b',"vote":' + report.model_dump_json().encode() + b"}\n\n"

    def _thought_of_vote(self, thought: VoteThought) -> bytes:
        """Beside no choice at all: none of them is the reply yet."""
        told = _told(thought.event)
        if not told:
            return b""
        body = msgspec.json.encode({"index": thought.index, **told})
        return self._head + b"]" + self._null_usage + b',"vote_thought":' + body + b"}\n\n"

    def _thought_ended(self, index: int, event: ThoughtEnded) -> bytes:
        choice: dict[str, Any] = {
            "index": index,
            "delta": {},
            "logprobs": None,
            "finish_reason": None,
            "reasoning_end": event.cause,
            "reasoning_end_evidence": event.evidence,
            "reasoning_tokens": event.tokens,
        }
        return self._head + msgspec.json.encode(choice) + b"]" + self._null_usage + b"}\n\n"

    def _end(self, index: int, finished: Finished) -> bytes:
        choice: dict[str, Any] = {
            "index": index,
            "delta": {},
            "logprobs": None,
            "finish_reason": _finish_reason(finished, calls=index in self._calling),
            "reasoning_end": finished.reasoning_end,
            "reasoning_end_evidence": finished.evidence,
        }
        timing = TimingsBody.of(finished.timings, finished.usage).model_dump_json().encode()
        return self._head + msgspec.json.encode(choice) + b"]" + self._null_usage + self._rest(timing)

    def _rest(self, timing: bytes) -> bytes:
        deterministic = b',"deterministic":' + msgspec.json.encode(self._deterministic)
        return b',"timings":' + timing + deterministic + b"}\n\n"

    def _choice(self, index: int, reply: Reply) -> Choice:
        reasoning = reply.reasoning or None
        calls = [_call(call) for call in reply.tool_calls] or None
        content = None if calls and not reply.content else reply.content
        finished = reply.finished
        logprobs = ChoiceLogprobs.of(reply.content_logprobs, reply.reasoning_logprobs) if self._with_logprobs else None
        return Choice(
            index=index,
            message=ChatMessage(content=content, reasoning_content=reasoning, reasoning=reasoning, tool_calls=calls),
            logprobs=logprobs,
            finish_reason=_finish_reason(finished, calls=bool(calls)),
            reasoning_end=ReasoningEnd(finished.reasoning_end) if finished.reasoning_end else None,
            reasoning_end_evidence=finished.evidence,
        )


def _finish_reason(finished: Finished, *, calls: bool) -> Literal["stop", "length", "tool_calls"]:
    """A call that was cut off, by a stop string too, is no call that could be carried out."""
    if calls and finished.reason is FinishReason.STOP and finished.stop is None:
        return "tool_calls"
    return wire_finish_reason(finished.reason)


def _told(event: TokenOutput | ThoughtEnded | ThoughtReport) -> dict[str, Any]:
    """What a thought of a vote has just done, in the words of a reply's own chunks."""
    if isinstance(event, ThoughtReport):
        return event.model_dump(exclude={"index", "reasoning", "content"})
    if isinstance(event, ThoughtEnded):
        return {
            "reasoning_end": event.cause,
            "reasoning_end_evidence": event.evidence,
            "reasoning_tokens": event.tokens,
        }
    if not event.text:
        return {}
    return {"content" if event.channel is Channel.CONTENT else "reasoning_content": event.text}


def _call(call: ToolCall) -> ToolCallBody:
    return ToolCallBody(id=call.id, function=CalledFunctionBody(name=call.name, arguments=call.arguments))


def _call_delta(event: ToolCallDelta) -> dict[str, Any]:
    """The first piece of a call says what it is, the others only go on with its arguments."""
    if event.name is None:
        return {"index": event.call, "function": {"arguments": event.arguments}}
    function = {"name": event.name, "arguments": event.arguments}
    return {"index": event.call, "id": event.id, "type": "function", "function": function}
