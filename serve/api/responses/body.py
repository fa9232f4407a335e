"""What /v1/responses answers, as pydantic models, and what of the request it repeats."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel

from ...engine.request import Finished, FinishReason, TokenLogprob, Usage
from ..outputs import Reply, ToolCall
from .protocol import ResponsesRequest

Status = Literal["in_progress", "completed", "incomplete", "failed"]


class LogprobEntry(BaseModel):
    token: str
    bytes: list[int]
    logprob: float


class LogprobBody(LogprobEntry):
    top_logprobs: list[LogprobEntry]


class OutputText(BaseModel):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any] = []
    logprobs: list[LogprobBody] = []


class ReasoningText(BaseModel):
    type: Literal["reasoning_text"] = "reasoning_text"
    text: str


class MessageOut(BaseModel):
    type: Literal["message"] = "message"
    id: str
    status: Status
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]


class ReasoningOut(BaseModel):
    """The thought in full; there is no summary of it."""

    type: Literal["reasoning"] = "reasoning"
    id: str
    status: Status
    summary: list[Any] = []
    content: list[ReasoningText]
    encrypted_content: None = None


class CallOut(BaseModel):
    type: Literal["function_call"] = "function_call"
    id: str
    call_id: str
    name: str
    arguments: str
    status: Status


OutputItem = ReasoningOut | MessageOut | CallOut


class InputDetails(BaseModel):
    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(BaseModel):
    reasoning_tokens: int


class ResponseUsage(BaseModel):
    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> ResponseUsage:
        return cls(
            input_tokens=usage.prompt_tokens,
            input_tokens_details=InputDetails(cached_tokens=usage.cached_tokens),
            output_tokens=usage.completion_tokens,
            output_tokens_details=OutputDetails(reasoning_tokens=usage.reasoning_tokens),
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
        )


class IncompleteDetails(BaseModel):
    reason: Literal["max_output_tokens"]


class ResponseError(BaseModel):
    code: str
    message: str


class ResponseBody(BaseModel):
    """Body of the reply when it is not streamed. `reasoning_end` says why the thought ended."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    model: str
    status: Status
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    output: list[OutputItem] = []
    usage: ResponseUsage | None = None
    reasoning_end: str | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: None = None
    reasoning: dict[str, Any]
    store: Literal[False] = False
    background: Literal[False] = False
    temperature: float | None
    top_p: float | None
    text: dict[str, Any]
    tool_choice: Any
    tools: list[dict[str, Any]]
    top_logprobs: int
    truncation: Literal["disabled"] = "disabled"
    user: str | None

    def ended(self, finished: Finished, output: list[OutputItem], at: int) -> ResponseBody:
        """With all that is known once the reply is over."""
        complete = finished.reason is FinishReason.STOP
        details = None if complete else IncompleteDetails(reason="max_output_tokens")
        news = {
            "status": status_of(finished),
            "completed_at": at if complete else None,
            "incomplete_details": details,
            "output": output,
            "usage": ResponseUsage.of(finished.usage),
            "reasoning_end": finished.reasoning_end,
        }
        return self.model_copy(update=news)


def response_of(body: ResponsesRequest, response_id: str, model: str, created_at: int) -> ResponseBody:
    """The response as it begins."""
    choice = body.tool_choice
    return ResponseBody(
        id=response_id,
        created_at=created_at,
        model=model,
        status="in_progress",
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        max_tool_calls=body.max_tool_calls,
        metadata=body.metadata or {},
        parallel_tool_calls=body.parallel_tool_calls is not False,
        reasoning={"effort": body.reasoning.effort if body.reasoning else None, "summary": None},
        temperature=body.temperature,
        top_p=body.top_p,
        text={"format": body.format.model_dump(by_alias=True, exclude_none=True)},
        tool_choice="auto" if choice is None else choice if isinstance(choice, str) else choice.model_dump(),
        tools=[{"strict": None, "parameters": None, **tool.model_dump()} for tool in body.functions],
        top_logprobs=body.top_logprobs or 0,
        user=body.user,
    )


def status_of(finished: Finished) -> Status:
    """One that somebody cut short ended as if its tokens had been spent."""
    return "completed" if finished.reason is FinishReason.STOP else "incomplete"


def status_of_last(finished: Finished, *, is_call: bool) -> Status:
    """Of the item that came last: a call that a stop string cut off is not whole."""
    return "incomplete" if is_call and finished.stop is not None else status_of(finished)


def items_of(reply: Reply) -> list[OutputItem]:
    """Thought, text and calls; never nothing at all. Only what came last may be incomplete."""
    items: list[OutputItem] = []
    if reply.reasoning:
        thought = [ReasoningText(text=reply.reasoning)]
        items.append(ReasoningOut(id=item_id("rs"), status="completed", content=thought))
    if reply.content or not (reply.reasoning or reply.tool_calls):
        text = OutputText(text=reply.content, logprobs=logprobs_of(reply.content_logprobs))
        items.append(MessageOut(id=item_id("msg"), status="completed", content=[text]))
    items.extend(_call(call) for call in reply.tool_calls)
    status = status_of_last(reply.finished, is_call=isinstance(items[-1], CallOut))
    items[-1] = items[-1].model_copy(update={"status": status})
    return items


def _call(call: ToolCall) -> CallOut:
    return CallOut(id=item_id("fc"), call_id=call.id, name=call.name, arguments=call.arguments, status="completed")


def item_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"


def logprobs_of(drawn: Iterable[TokenLogprob]) -> list[LogprobBody]:
    """Of the tokens of one text."""
    return [LogprobBody(**_entry(one).model_dump(), top_logprobs=[_entry(other) for other in one.top]) for one in drawn]


def _entry(one: TokenLogprob) -> LogprobEntry:
    return LogprobEntry(token=one.piece.decode(errors="replace"), bytes=list(one.piece), logprob=one.logprob)
