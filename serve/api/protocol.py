"""Body of the OpenAI chat API as pydantic models: known fields typed, finite and bounded; unknown ones let through.

Knows the wire's names and limits, not how text is made.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic.config import JsonDict

from ..engine.request import Priority, SamplingParams

MAX_TEXT = 2_000_000
MAX_INT = 2**31 - 1
MAX_CHOICES = 64
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
Budget = Annotated[int, Field(ge=0, le=MAX_INT)]


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
    """Body of POST /v1/chat/completions. A null field means what its absence means.

    Beyond OpenAI's: `priority` says who waits; cached prompts are shared among requests of one `cache_salt`;
    `deterministic` gives the same tokens whatever else the server does meanwhile; `reasoning_budget_tokens`,
    which is `thinking_budget_tokens` too, closes the thought after that many tokens, at most a quarter more
    to end a sentence; 0 asks for no thought at all.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)]
    model: Annotated[Text, Field(max_length=512)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: TokenCount | None = None
    max_tokens: TokenCount | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
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
    priority: Literal["interactive", "batch", "background"] | None = None
    cache_salt: Annotated[Text, Field(max_length=512)] | None = None
    deterministic: bool | None = None
    reasoning_budget_tokens: Budget | None = None
    thinking_budget_tokens: Budget | None = None

    @property
    def ignored(self) -> list[str]:
        """Names of the fields that we do not know."""
        return sorted(self.model_extra or {})

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def waits(self) -> Priority:
        """Who waits for the reply; a person, unless it was said otherwise."""
        return Priority(self.priority or Priority.INTERACTIVE)

    @property
    def reasoning_budget(self) -> int | None:
        """Under either of its names; 0 is a budget, too."""
        given = (self.reasoning_budget_tokens, self.thinking_budget_tokens)
        return next((budget for budget in given if budget is not None), None)

    def sampling_params(self) -> SamplingParams:
        """The engine's parameters: what was not given keeps the engine's default."""
        given: dict[str, Any] = {name: value for name in _SAMPLING_FIELDS if (value := getattr(self, name)) is not None}
        if self.seed is not None:
            given["seed"] = self.seed % SEEDS
        elif self.deterministic:
            given["seed"] = 0
        if self.stop is not None:
            given["stop"] = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        if self.logit_bias:
            given["logit_bias"] = {int(token): bias for token, bias in self.logit_bias.items()}
        return SamplingParams(
            max_tokens=self.max_completion_tokens or self.max_tokens, reasoning_budget=self.reasoning_budget, **given
        )


_SAMPLING_FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
)
