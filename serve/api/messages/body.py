"""What /v1/messages answers, as pydantic models, and the engine's counts in Anthropic's names."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Literal

import msgspec
from pydantic import BaseModel

from ...engine.request import Finished, FinishReason, Usage
from ..outputs import Reply, ToolCall

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]


class TextOut(BaseModel):
    type: Literal["text"] = "text"
    text: str
    citations: None = None


class ThinkingOut(BaseModel):
    """There is nobody to whom a thought must be proven, but clients send none back whose signature is empty."""

    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str


class ToolUseOut(BaseModel):
    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: dict[str, Any]


class OutputDetails(BaseModel):
    thinking_tokens: int


class MessageUsage(BaseModel):
    """`input_tokens` are those of the prompt that were not found in the cache."""

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: OutputDetails

    @classmethod
    def of(cls, usage: Usage) -> MessageUsage:
        return cls(
            input_tokens=usage.prompt_tokens - usage.cached_tokens,
            cache_read_input_tokens=usage.cached_tokens,
            output_tokens=usage.completion_tokens,
            output_tokens_details=OutputDetails(thinking_tokens=usage.reasoning_tokens),
        )


class MessageBody(BaseModel):
    """Body of the reply when it is not streamed. `reasoning_end` says why the thought ended."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[ThinkingOut | TextOut | ToolUseOut]
    stop_reason: StopReason
    stop_sequence: str | None
    usage: MessageUsage
    reasoning_end: str | None


class CountBody(BaseModel):
    input_tokens: int


class ErrorDetail(BaseModel):
    type: str
    message: str
    param: str | None
    code: str | None


class MessagesError(BaseModel):
    """Every error of these routes, on HTTP and inside a stream."""

    type: Literal["error"] = "error"
    error: ErrorDetail
    request_id: str | None


def blocks_of(reply: Reply, *, hides_thought: bool) -> list[ThinkingOut | TextOut | ToolUseOut]:
    """Thought, text and calls; never nothing at all."""
    blocks: list[ThinkingOut | TextOut | ToolUseOut] = []
    if reply.reasoning:
        signature = signature_of(hashlib.sha256(reply.reasoning.encode()).digest())
        blocks.append(ThinkingOut(thinking="" if hides_thought else reply.reasoning, signature=signature))
    calls = [block for call in reply.tool_calls if (block := _tool_use(call))]
    if reply.content or not calls:
        blocks.append(TextOut(text=reply.content))
    return [*blocks, *calls]


def signature_of(digest: bytes) -> str:
    """Of a thought with this digest; nothing is checked by it."""
    return base64.b64encode(digest).decode()


def _tool_use(call: ToolCall) -> ToolUseOut | None:
    """None for a call whose arguments cannot be read: one that ended before they did, or goes too deep."""
    try:
        arguments = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return None
    return ToolUseOut(id=call.id, name=call.name, input=arguments) if isinstance(arguments, dict) else None


def stop_reason(finished: Finished, *, called: bool) -> StopReason:
    """Why the reply ended. One that somebody cut short ended as if its tokens had been spent, and a call that a stop
    sequence cut off is no call to make.
    """
    if finished.reason is not FinishReason.STOP:
        return "max_tokens"
    if finished.stop is not None:
        return "stop_sequence"
    return "tool_use" if called else "end_turn"
