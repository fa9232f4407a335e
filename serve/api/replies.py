"""A reply that goes back as pydantic models, and the engine's counts in the wire's names.

Streamed chunks are built in the writers, without pydantic.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from ..answers.ballot import VoteReport
from ..engine.governor import ReasoningEnd
from ..engine.request import Finished, FinishReason, Timings, Usage
from .chat.logprobs import ChoiceLogprobs


class CalledFunctionBody(BaseModel):
    """`arguments` is JSON."""

    name: str
    arguments: str


class ToolCallBody(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunctionBody


class ChatMessage(BaseModel):
    """The reply. The thought goes out under both names that clients look for."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    reasoning_content: str | None
    reasoning: str | None
    tool_calls: list[ToolCallBody] | None = None


class Choice(BaseModel):
    """`reasoning_end` says why the thought ended, and is null where there was none; `reasoning_end_evidence` is
    what showed that it went in circles.
    """

    index: int = 0
    message: ChatMessage
    logprobs: ChoiceLogprobs | None = None
    finish_reason: Literal["stop", "length", "tool_calls"]
    reasoning_end: ReasoningEnd | None = None
    reasoning_end_evidence: str | None = None


class PromptTokensDetails(BaseModel):
    cached_tokens: int


class CompletionTokensDetails(BaseModel):
    reasoning_tokens: int


class UsageBody(BaseModel):
    """`completion_tokens` holds thought and answer, `reasoning_tokens` the thought alone."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails

    @classmethod
    def of(cls, usage: Usage) -> UsageBody:
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=usage.cached_tokens),
            completion_tokens_details=CompletionTokensDetails(reasoning_tokens=usage.reasoning_tokens),
        )


class TimingsBody(BaseModel):
    """Milliseconds and tokens per second; a rate is null where there was nothing to measure.

    `draft_n` tokens were guessed ahead, of which `draft_n_accepted` were right.
    """

    queue_ms: float
    prompt_n: int
    cache_n: int
    prompt_ms: float
    prompt_per_second: float | None
    reasoning_ms: float
    answer_ms: float
    predicted_n: int
    predicted_ms: float
    predicted_per_second: float | None
    draft_n: int
    draft_n_accepted: int

    @classmethod
    def of(cls, timings: Timings, usage: Usage) -> TimingsBody:
        predicted_s = timings.reasoning_s + timings.answer_s
        prompt_n = max(0, usage.prompt_tokens - usage.cached_tokens)
        return cls(
            queue_ms=_ms(timings.queue_s),
            prompt_n=prompt_n,
            cache_n=usage.cached_tokens,
            prompt_ms=_ms(timings.prefill_s),
            prompt_per_second=_rate(prompt_n, timings.prefill_s),
            reasoning_ms=_ms(timings.reasoning_s),
            answer_ms=_ms(timings.answer_s),
            predicted_n=usage.completion_tokens,
            predicted_ms=_ms(predicted_s),
            predicted_per_second=_rate(usage.completion_tokens, predicted_s),
            draft_n=usage.drafted_tokens,
            draft_n_accepted=usage.accepted_tokens,
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 2) if count and seconds > 0 else None


class ChatCompletion(BaseModel):
    """Body of the reply when it is not streamed. `deterministic`: it was asked for, and holds. `vote`: how it went,
    where one was asked for.
    """

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageBody
    timings: TimingsBody
    deterministic: bool
    vote: VoteReport | None = None


def wire_finish_reason(reason: FinishReason) -> Literal["stop", "length"]:
    """OpenAI knows no abort: a reply that somebody else cut short ended early."""
    return "stop" if reason is FinishReason.STOP else "length"


def summed(finished: list[Finished]) -> tuple[Usage, Timings]:
    """What all replies to one prompt cost together. The prompt counts once, as the one who found it least cached
    computed it; times are those of the longest reply.
    """
    usages = [one.usage for one in finished]
    usage = Usage(
        prompt_tokens=max(one.prompt_tokens for one in usages),
        cached_tokens=min(one.cached_tokens for one in usages),
        completion_tokens=sum(one.completion_tokens for one in usages),
        reasoning_tokens=sum(one.reasoning_tokens for one in usages),
        drafted_tokens=sum(one.drafted_tokens for one in usages),
        accepted_tokens=sum(one.accepted_tokens for one in usages),
    )
    longest = max(finished, key=lambda one: one.timings.reasoning_s + one.timings.answer_s)
    return usage, longest.timings
