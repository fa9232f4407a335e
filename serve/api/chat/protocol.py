"""Body of the OpenAI chat API as pydantic models: known fields typed, finite and bounded; unknown ones let through.

Knows the wire's names and limits, not how text is made.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag, model_validator
from pydantic.config import JsonDict

from ...engine.request import SamplingParams
from ...errors import InvalidRequestError, NotSupportedError
from ..ask import Continues
from ..dialects import ThinkingFields, preserved
from ..fields import ForeignSampling, SamplingFields, Stop, Strict, Unsupported, kinds, one_or_list, stop_of
from ..forms.structure import StructureFields
from ..forms.tools import ToolChoice, ToolName, Tools
from ..prompt.chat_template import Turn, TurnCall
from ..reasoning_format import ReasoningFormat
from ..voting.vote import Vote
from ..wire_types import MAX_CHOICES, NO_LIMIT, Many, OpenTokenCount, Text

MAX_CALLS = 128
MAX_TOP = 20


class TextPart(Strict):
    type: Literal["text"]
    text: Text


Parts = Annotated[
    list[Annotated[Annotated[TextPart, Tag("(text)")], kinds("text", default="text", what="Content parts")]],
    Field(min_length=1),
    Many,
]


class CalledFunction(Strict):
    """`arguments` is JSON as the model wrote it."""

    name: ToolName
    arguments: Text


class Call(Strict):
    id: Annotated[Text, Field(max_length=256)]
    type: Literal["function"] = "function"
    function: CalledFunction


# What the validator below checks, for readers of the schema.
_SPOKEN: JsonDict = {"required": ["content"], "properties": {"content": {"not": {"type": "null"}}}}
_ASSISTANT: JsonDict = {"properties": {"role": {"const": "assistant"}}}


class Message(Strict):
    """One turn. An assistant's thought is accepted under both names; it goes into the prompt where calls of tools
    and their results follow it, where it is to be continued, and with `preserve_thinking`; nowhere else.
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": [_ASSISTANT, _SPOKEN]})

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[Annotated[Text, Tag("(one)")] | Annotated[Parts, Tag("(list)")], one_or_list] | None = None
    reasoning_content: Text | None = None
    reasoning: Text | None = None
    tool_calls: Annotated[list[Call], Field(max_length=MAX_CALLS)] | None = None
    tool_call_id: Annotated[Text, Field(max_length=256)] | None = None
    name: Annotated[Text, Field(max_length=256)] | None = None

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

    @property
    def turn(self) -> Turn:
        """As the template sees it."""
        if self.role == "tool":
            return Turn("tool", self.text, tool_call_id=self.tool_call_id)
        if self.role != "assistant":
            return Turn("system" if self.role == "developer" else self.role, self.text)
        reasoning = self.reasoning if self.reasoning_content is None else self.reasoning_content
        calls = (TurnCall(call.id, call.function.name, call.function.arguments) for call in self.tool_calls or ())
        return Turn("assistant", self.text, reasoning, tuple(calls))


class StreamOptions(Strict):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class HarmlessFields(Strict):
    """What clients of OpenAI and llama-server send, and what changes nothing of a reply here."""

    user: Any = None
    metadata: Any = None
    service_tier: Any = None
    safety_identifier: Any = None
    verbosity: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    cache_prompt: Any = None
    id_slot: Any = None
    timings_per_token: Any = None
    return_progress: Any = None
    reasoning_control: Any = None


class UnsupportedFields(ForeignSampling):
    """What other servers do and this one does not: better an error than a reply that looks as if it had."""

    audio: Annotated[None, Unsupported("audio is")] = None
    modalities: Annotated[list[Literal["text"]] | None, Unsupported("modalities but text are", (["text"],))] = None
    web_search_options: Annotated[None, Unsupported("web search is")] = None
    functions: Annotated[None, Unsupported("functions, which came before tools, are")] = None
    function_call: Annotated[Literal["none"] | None, Unsupported("function_call is", ("none",))] = None
    prediction: Annotated[None, Unsupported("predictions are")] = None
    store: Annotated[Literal[False] | None, Unsupported("storing replies is", (False,))] = None
    background: Annotated[Literal[False] | None, Unsupported("background is", (False,))] = None


class ChatRequest(ThinkingFields, StructureFields, UnsupportedFields, HarmlessFields, SamplingFields):
    """Body of POST /v1/chat/completions. A null field means what its absence means.

    Beyond OpenAI's: `priority` says who waits; cached prompts are shared among requests of one `cache_salt`;
    `deterministic` gives the same tokens whatever else the server does meanwhile; thoughts are bounded by
    `reasoning_budget_tokens` and its many other names, and go out as `reasoning_format` says;
    `continue_final_message` goes on with the last message, an assistant's; `vote` asks several thoughts;
    `preserve_thinking` keeps the thoughts of earlier turns in the prompt. Where `thinking_control` is false no thought
    is ended for the model: one that does not end by itself is cut off by max_tokens, without an answer.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    messages: Annotated[list[Message], Field(min_length=1), Many]
    model: Annotated[Text, Field(max_length=512)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: OpenTokenCount | None = None
    max_tokens: OpenTokenCount | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stop: Stop | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP)] | None = None
    reasoning_format: ReasoningFormat | None = None
    include_reasoning: bool | None = None
    separate_reasoning: bool | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    vote: Vote | None = None
    continue_final_message: bool | Literal["reasoning_content", "content"] | None = None
    add_generation_prompt: bool | None = None
    preserve_thinking: bool | None = None
    thinking_control: bool | None = None

    @property
    def thought_format(self) -> ReasoningFormat | None:
        """reasoning_format, or what other servers' switches say: `include_reasoning`, `reasoning.exclude`, and
        `separate_reasoning`.
        """
        if self.reasoning_format is not None:
            return self.reasoning_format
        if self.include_reasoning is False or self.hides_thought:
            return "hidden"
        return "inline" if self.separate_reasoning is False else None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def continues(self) -> Continues | None:
        """Where the last message is to be continued, if it is. Raises InvalidRequestError."""
        asked = self.continue_final_message
        if asked and self.add_generation_prompt:
            raise InvalidRequestError(
                "continue_final_message goes on with a reply, add_generation_prompt begins one.",
                "add_generation_prompt",
            )
        if not asked and self.add_generation_prompt is False:
            raise NotSupportedError(
                "A prompt without the beginning of a reply is not supported here, but for continue_final_message.",
                "add_generation_prompt",
            )
        return "anywhere" if asked is True else asked or None

    @property
    def keeps_thoughts(self) -> bool:
        """Of earlier turns. Raises InvalidRequestError."""
        return preserved(self.preserve_thinking, self.chat_template_kwargs)

    def sampling_params(self) -> SamplingParams:
        """The engine's parameters: what was not given keeps the engine's default. Raises InvalidRequestError."""
        if self.top_logprobs is not None and not self.logprobs:
            raise InvalidRequestError("top_logprobs comes with logprobs: true.", "top_logprobs")
        max_tokens = self.max_completion_tokens or self.max_tokens
        return self.drawn(
            max_tokens=None if max_tokens == NO_LIMIT else max_tokens,
            stop=stop_of(self.stop),
            reasoning_budget=self.asked_thinking.budget,
            reasoning_grace=self.reasoning_grace_tokens,
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            governed=self.thinking_control,
        )
