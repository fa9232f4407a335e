"""The OpenAI chat API as pydantic models: known fields typed, finite and bounded; unknown ones let through.

Knows the wire's names and limits, not how text is made. Streamed chunks are built in sse.py, without pydantic.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic.config import JsonDict

from ..engine.request import FinishReason, SamplingParams, Timings, Usage

MAX_TEXT = 2_000_000
MAX_INT = 2**31 - 1
# llama.cpp reads the largest 32-bit seed as "draw one at random".
SEEDS = 2**32 - 1


def _no_lone_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half of a surrogate pair, which is no character") from None
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_no_lone_surrogates)]
StopText = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_no_lone_surrogates)]
TokenId = Annotated[str, Field(pattern="^[0-9]{1,10}$")]
TokenCount = Annotated[int, Field(ge=1, le=MAX_INT)]


# A tag for each branch, so that an error speaks of the branch that was meant. Tags are no names: see wire_errors.
_one_or_list = Discriminator(lambda value: "(list)" if isinstance(value, list) else "(one)")


def _number(low: float, high: float) -> Any:
    return Field(default=None, ge=low, le=high, allow_inf_nan=False)


class _Strict(BaseModel):
    """No conversions: true is no number and "1" is no number either. Unknown fields inside are dropped."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class TextPart(_Strict):
    type: Literal["text"]
    text: Text


# What the validator below checks, for readers of the schema.
_SPOKEN: JsonDict = {"required": ["content"], "properties": {"content": {"not": {"type": "null"}}}}
_ASSISTANT: JsonDict = {"properties": {"role": {"const": "assistant"}}}


class Message(_Strict):
    """One turn. Reasoning of earlier turns is accepted under both names and never goes into the prompt."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [_ASSISTANT, _SPOKEN]})

    role: Literal["system", "developer", "user", "assistant"]
    content: (
        Annotated[
            Annotated[Text, Tag("(one)")] | Annotated[list[TextPart], Field(min_length=1), Tag("(list)")],
            _one_or_list,
        ]
        | None
    ) = None
    reasoning_content: Text | None = None
    reasoning: Text | None = None

    @model_validator(mode="after")
    def _only_assistants_may_be_silent(self) -> Message:
        if self.content is None and self.role != "assistant":
            raise ValueError(f"a {self.role} message needs content")
        return self

    @property
    def text(self) -> str:
        """The content as one string; parts are joined by newlines."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(_Strict):
    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """Body of POST /v1/chat/completions. A null field means what its absence means."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)]
    model: Annotated[Text, Field(max_length=512)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: TokenCount | None = None
    max_tokens: TokenCount | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    temperature: float | None = _number(0, 2)
    top_p: float | None = _number(0, 1)
    top_k: Annotated[int, Field(ge=0, le=MAX_INT)] | None = None
    min_p: float | None = _number(0, 1)
    repetition_penalty: float | None = _number(0.01, 10)
    presence_penalty: float | None = _number(-2, 2)
    frequency_penalty: float | None = _number(-2, 2)
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: (
        Annotated[
            Annotated[StopText, Tag("(one)")] | Annotated[list[StopText], Field(max_length=4), Tag("(list)")],
            _one_or_list,
        ]
        | None
    ) = None
    logit_bias: (
        Annotated[
            dict[TokenId, Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]],
            Field(max_length=1024),
        ]
        | None
    ) = None

    @property
    def ignored(self) -> list[str]:
        """Names of the fields that we do not know."""
        return sorted(self.model_extra or {})

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def sampling_params(self) -> SamplingParams:
        """The engine's parameters: what was not given keeps the engine's default."""
        given: dict[str, Any] = {name: value for name in _SAMPLING_FIELDS if (value := getattr(self, name)) is not None}
        if self.seed is not None:
            given["seed"] = self.seed % SEEDS
        if self.stop is not None:
            given["stop"] = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        if self.logit_bias:
            given["logit_bias"] = {int(token): bias for token, bias in self.logit_bias.items()}
        return SamplingParams(max_tokens=self.max_completion_tokens or self.max_tokens, **given)


_SAMPLING_FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
)


class ChatMessage(BaseModel):
    """The reply. The thought goes out under both names that clients look for."""

    role: Literal["assistant"] = "assistant"
    content: str
    reasoning_content: str | None
    reasoning: str | None


class Choice(BaseModel):
    index: int = 0
    message: ChatMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


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
    """Milliseconds and tokens per second; a rate is null where there was nothing to measure."""

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
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 2) if count and seconds > 0 else None


class ChatCompletion(BaseModel):
    """Body of the reply when it is not streamed."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageBody
    timings: TimingsBody


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class Health(BaseModel):
    """`status` is ok, or what the engine is doing instead; `detail` says why where it failed."""

    status: str
    model: str
    restarts: int
    detail: str | None = None


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Every error, on HTTP and inside a stream."""

    error: ErrorDetail


def wire_finish_reason(reason: FinishReason) -> Literal["stop", "length"]:
    """OpenAI knows no abort: a reply that somebody else cut short ended early."""
    return "stop" if reason is FinishReason.STOP else "length"
