"""The bytes of one message in Anthropic's shape: whole, or as a stream of blocks, one open at a time."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from ...engine.request import Accepted, Channel, Finished, ThoughtEnded, TokenOutput
from ..outputs import Output, Reply, ToolCallDelta
from .body import MessageBody, MessageUsage, blocks_of, signature_of, stop_reason
from .errors import translated

Kind = Literal["thinking", "text", "tool_use"]

_EMPTY: dict[Kind, dict[str, Any]] = {
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
    "text": {"type": "text", "text": ""},
}
_DELTAS: dict[Kind, dict[str, str]] = {
    "thinking": {"type": "thinking_delta", "thinking": ""},
    "text": {"type": "text_delta", "text": ""},
    "tool_use": {"type": "input_json_delta", "partial_json": ""},
}


class MessagesWriter:
    """One message on its way out. With `hides_thought` a thought is an empty block."""

    def __init__(self, message_id: str, model: str, *, request_id: str, hides_thought: bool) -> None:
        self._id = message_id
        self._model = model
        self._request_id = request_id
        self._hides_thought = hides_thought
        self._index = -1
        self._open: Kind | None = None
        self._thought = hashlib.sha256()
        self._call = -1
        self._delta_head = b""
        self._called = False
        self._finished: Finished | None = None

    def head(self) -> bytes:
        return b""

    def frame(self, output: Output) -> bytes:
        event = output.event
        if isinstance(event, TokenOutput):
            return self._text("thinking" if event.channel is Channel.REASONING else "text", event.text)
        if isinstance(event, ToolCallDelta):
            return self._arguments(event)
        if isinstance(event, Accepted):
            return self._start(event.prompt_tokens)
        if isinstance(event, ThoughtEnded):
            return self._stop() if self._open == "thinking" else b""
        if isinstance(event, Finished):
            self._finished = event
        return b""

    def tail(self) -> bytes:
        assert self._finished is not None, "every reply ends with its Finished"
        blocks = self._stop() if self._index >= 0 else self._begin("text", _EMPTY["text"]) + self._stop()
        finished = self._finished
        delta = {"stop_reason": stop_reason(finished, called=self._called), "stop_sequence": finished.stop}
        usage = MessageUsage.of(finished.usage).model_dump()
        last = _event("message_delta", delta=delta, usage=usage, reasoning_end=finished.reasoning_end)
        return blocks + last + _event("message_stop")

    def error(self, body: bytes) -> bytes:
        return b"event: error\ndata: " + translated(body, self._request_id) + b"\n\n"

    def whole(self, replies: list[Reply]) -> bytes:
        (reply,) = replies
        blocks = blocks_of(reply, hides_thought=self._hides_thought)
        message = MessageBody(
            id=self._id,
            model=self._model,
            content=blocks,
            stop_reason=stop_reason(reply.finished, called=blocks[-1].type == "tool_use"),
            stop_sequence=reply.finished.stop,
            usage=MessageUsage.of(reply.finished.usage),
            reasoning_end=reply.finished.reasoning_end,
        )
        return message.model_dump_json().encode()

    def _start(self, prompt_tokens: int) -> bytes:
        """How much of the prompt was cached is known at the end only; message_delta says it."""
        usage = {"input_tokens": prompt_tokens, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage, "output_tokens": 0},
        }
        return _event("message_start", message=message)

    def _text(self, kind: Kind, text: str) -> bytes:
        if not text:
            return b""
        begun = b"" if self._open == kind else self._begin(kind, _EMPTY[kind])
        if kind == "thinking":
            self._thought.update(text.encode())
        if kind == "thinking" and self._hides_thought:
            return begun
        return begun + self._delta(text)

    def _arguments(self, delta: ToolCallDelta) -> bytes:
        begun = b""
        if self._open != "tool_use" or delta.call != self._call:
            self._call, self._called = delta.call, True
            begun = self._begin("tool_use", {"type": "tool_use", "id": delta.id, "name": delta.name, "input": {}})
        return begun + (self._delta(delta.arguments) if delta.arguments else b"")

    def _begin(self, kind: Kind, block: dict[str, Any]) -> bytes:
        stopped = self._stop()
        self._index += 1
        self._open = kind
        empty = _event("content_block_delta", index=self._index, delta=_DELTAS[kind])
        # What a delta adds is its last member: `""}}` and the blank line are cut off.
        self._delta_head = empty[: -len(b'""}}\n\n')]
        return stopped + _event("content_block_start", index=self._index, content_block=block)

    def _delta(self, text: str) -> bytes:
        return self._delta_head + msgspec.json.encode(text) + b"}}\n\n"

    def _stop(self) -> bytes:
        if self._open is None:
            return b""
        signature = b""
        if self._open == "thinking":
            delta = {"type": "signature_delta", "signature": signature_of(self._thought.digest())}
            signature = _event("content_block_delta", index=self._index, delta=delta)
            self._thought = hashlib.sha256()
        self._open = None
        return signature + _event("content_block_stop", index=self._index)


def _event(name: str, /, **members: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode({"type": name, **members}))
