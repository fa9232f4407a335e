"""Body of POST /v1/responses as pydantic models. Knows the wire's names and limits, not how text is made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from ..dialects import Reasoning, ThinkingFields
from ..fields import OneReply, SamplingFields, Stop, Strict, Unsupported, kinds, one_or_list, unsupported
from ..forms.json_schema import MAX_BYTES, bounded
from ..forms.structure import StructureFields
from ..forms.tools import MAX_TOOLS, ToolName
from ..reasoning_format import ReasoningFormat
from ..wire_types import Many, Text, TokenCount

JsonSchema = Annotated[dict[str, Any], AfterValidator(bounded)]
CallId = Annotated[Text, Field(min_length=1, max_length=256)]


class TextPart(Strict):
    """Text of a message, whoever said it."""

    type: Literal["input_text", "output_text", "text"]
    text: Text


class RefusalPart(Strict):
    type: Literal["refusal"]
    refusal: Text


Part = Annotated[
    Annotated[TextPart, Tag("(input_text)")]
    | Annotated[TextPart, Tag("(output_text)")]
    | Annotated[TextPart, Tag("(text)")]
    | Annotated[RefusalPart, Tag("(refusal)")],
    kinds("input_text", "output_text", "text", "refusal", default="input_text", what="Parts of a message"),
]
Spoken = Annotated[Annotated[Text, Tag("(one)")] | Annotated[list[Part], Many, Tag("(list)")], one_or_list]


class MessageItem(Strict):
    type: Literal["message"] | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: Spoken


class ReasoningText(Strict):
    type: Literal["reasoning_text", "text"]
    text: Text


class ReasoningItem(Strict):
    """A thought of an earlier reply, as it went out."""

    type: Literal["reasoning"]
    content: Annotated[list[ReasoningText], Many] | None = None

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.content or ())


class CallItem(Strict):
    type: Literal["function_call"]
    call_id: CallId
    name: ToolName
    arguments: Text


class CallOutputItem(Strict):
    type: Literal["function_call_output"]
    call_id: CallId
    output: Spoken


Item = Annotated[
    Annotated[MessageItem, Tag("(message)")]
    | Annotated[ReasoningItem, Tag("(reasoning)")]
    | Annotated[CallItem, Tag("(function_call)")]
    | Annotated[CallOutputItem, Tag("(function_call_output)")],
    kinds("message", "reasoning", "function_call", "function_call_output", default="message", what="Input items"),
]
Input = Annotated[
    Annotated[Text, Tag("(one)")] | Annotated[list[Item], Field(min_length=1), Many, Tag("(list)")],
    one_or_list,
]


class ReasoningParam(Reasoning):
    """`summary` asks for what stands in full in the reply anyway."""

    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class PlainFormat(Strict):
    type: Literal["text"] = "text"


class JsonObjectFormat(Strict):
    type: Literal["json_object"]


class JsonSchemaFormat(Strict):
    type: Literal["json_schema"]
    name: Annotated[Text, Field(max_length=512)]
    schema_: JsonSchema = Field(alias="schema")
    description: Annotated[Text, Field(max_length=MAX_BYTES)] | None = None
    strict: bool | None = None


Format = Annotated[
    Annotated[PlainFormat, Tag("(text)")]
    | Annotated[JsonObjectFormat, Tag("(json_object)")]
    | Annotated[JsonSchemaFormat, Tag("(json_schema)")],
    kinds("text", "json_object", "json_schema", default="text", what="Formats"),
]


class TextParam(Strict):
    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class FunctionTool(Strict):
    type: Literal["function"]
    name: ToolName
    description: Annotated[Text, Field(max_length=MAX_BYTES)] | None = None
    parameters: JsonSchema | None = None
    strict: bool | None = None


class OtherTool(Strict):
    """One that the API's own server would run, or whose input is free text. Agents send such beside their functions,
    for the model to use if it may.
    """

    type: Annotated[Text, Field(max_length=64)]


def _tool(value: Any) -> str:
    kind = value.get("type", "function") if isinstance(value, dict) else getattr(value, "type", "function")
    return "(function)" if kind == "function" else "(other)"


ToolParam = Annotated[
    Annotated[FunctionTool, Tag("(function)")] | Annotated[OtherTool, Tag("(other)")], Discriminator(_tool)
]


class NamedChoice(Strict):
    type: Literal["function"]
    name: ToolName


class AllowedChoice(Strict):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedChoice], Field(min_length=1, max_length=MAX_TOOLS)]


def _choice(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    if isinstance(value, str) or kind is None:
        return "(word)"
    return "(allowed)" if kind == "allowed_tools" else "(named)"


Choice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("(word)")]
    | Annotated[NamedChoice, Tag("(named)")]
    | Annotated[AllowedChoice, Tag("(allowed)")],
    Discriminator(_choice),
]

# What may be asked for beside the reply, and is there anyway or to be had.
LOGPROBS = "message.output_text.logprobs"
Includable = Literal["reasoning.encrypted_content", "message.output_text.logprobs"]


def _known_includes(value: Any) -> Any:
    known = Includable.__args__  # type: ignore[attr-defined]
    if isinstance(value, list) and any(isinstance(name, str) and name not in known for name in value):
        raise unsupported("what `include` names is")
    return value


class StreamOptions(Strict):
    include_obfuscation: bool | None = None


class ResponsesRequest(SamplingFields, ThinkingFields, StructureFields, OneReply):
    """Body of POST /v1/responses. Nothing is stored: `store` changes nothing, and each request brings its
    conversation with it. Beyond OpenAI's: what the chat route has for sampling, for how much is
    thought and for the form of an answer.
    """

    input: Input
    model: Annotated[Text, Field(max_length=512)] | None = None
    instructions: Text | None = None
    max_output_tokens: TokenCount | None = None
    stop: Stop | None = None
    reasoning_format: ReasoningFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    reasoning: ReasoningParam | None = None
    text: TextParam | None = None
    tools: Annotated[list[ToolParam], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: Annotated[list[Includable], Field(max_length=16), BeforeValidator(_known_includes)] | None = None
    store: bool | None = None
    metadata: (
        Annotated[
            dict[Annotated[Text, Field(max_length=64)], Annotated[Text, Field(max_length=512)]], Field(max_length=16)
        ]
        | None
    ) = None
    user: Annotated[Text, Field(max_length=512)] | None = None
    safety_identifier: Annotated[Text, Field(max_length=512)] | None = None
    prompt_cache_key: Annotated[Text, Field(max_length=512)] | None = None
    prompt_cache_retention: Text | None = None
    service_tier: Text | None = None
    max_tool_calls: TokenCount | None = None
    truncation: Annotated[
        Literal["disabled"] | None, Unsupported("truncation other than disabled is", harmless=("disabled",))
    ] = None
    background: Annotated[Literal[False] | None, Unsupported("background replies are", harmless=(False,))] = None
    previous_response_id: Annotated[
        None, Unsupported("replies are not kept for later, and so previous_response_id is")
    ] = None
    conversation: Annotated[None, Unsupported("conversations are not kept for later, and so this is")] = None
    prompt: Annotated[None, Unsupported("stored prompts are")] = None
    context_management: Annotated[None, Unsupported("context_management is")] = None
    moderation: Annotated[None, Unsupported("moderation is")] = None

    @property
    def ignored(self) -> list[str]:
        """And the tools that the model is not told of."""
        others = {f"tools[{tool.type}]" for tool in self.tools or () if isinstance(tool, OtherTool)}
        return [*super().ignored, *sorted(others)]

    @property
    def functions(self) -> list[FunctionTool]:
        return [tool for tool in self.tools or () if isinstance(tool, FunctionTool)]

    @property
    def format(self) -> Format:
        """The form of the answer; free where nothing is said of it."""
        return (self.text and self.text.format) or PlainFormat()

    @property
    def wants_logprobs(self) -> int | None:
        """How many likeliest tokens are wanted beside each; None where no log probabilities are."""
        if self.top_logprobs is not None:
            return self.top_logprobs
        return 0 if LOGPROBS in (self.include or ()) else None


def spoken(content: str | list[Part]) -> str:
    """A message's text; parts are joined by newlines."""
    if isinstance(content, str):
        return content
    return "\n".join(part.refusal if isinstance(part, RefusalPart) else part.text for part in content)
