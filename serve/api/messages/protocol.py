"""Bodies of /v1/messages and /v1/messages/count_tokens as pydantic models. Knows the wire, not how text is made."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from ..fields import OneReply, Strict, Unsupported, kinds, number, one_or_list
from ..forms.json_schema import MAX_BYTES, bounded, bounded_object
from ..forms.tools import ToolName
from ..reasoning_format import ReasoningFormat
from ..wire_types import MAX_INT, MAX_TEXT, Budget, Many, StopText, Text, TokenCount

# Agents with servers of tools behind them bring hundreds.
MAX_TOOLS = 1024

JsonSchema = Annotated[dict[str, Any], AfterValidator(bounded)]
CallId = Annotated[Text, Field(min_length=1, max_length=256)]


class TextBlock(Strict):
    type: Literal["text"]
    text: Text


class ThinkingBlock(Strict):
    """A thought of an earlier reply. Its signature is opaque: nothing is checked by it here."""

    type: Literal["thinking"]
    thinking: Text
    signature: Text | None = None


class RedactedThinkingBlock(Strict):
    """Another server's hidden thought, of no use here."""

    type: Literal["redacted_thinking"]
    data: Text


def _bounded_input(value: dict[str, Any]) -> dict[str, Any]:
    return bounded_object(value, "the input", MAX_TEXT)


class ToolUseBlock(Strict):
    """A call of an earlier reply; its input may hold a whole file."""

    type: Literal["tool_use"]
    id: CallId
    name: ToolName
    input: Annotated[dict[str, Any], AfterValidator(_bounded_input)]

    @property
    def arguments(self) -> str:
        return json.dumps(self.input, ensure_ascii=False)


ResultBlock = Annotated[Annotated[TextBlock, Tag("(text)")], kinds("text", default="text", what="Content blocks")]
ResultText = Annotated[Annotated[Text, Tag("(one)")] | Annotated[list[ResultBlock], Many, Tag("(list)")], one_or_list]


class ToolResultBlock(Strict):
    type: Literal["tool_result"]
    tool_use_id: CallId
    content: ResultText | None = None
    is_error: bool | None = None

    @property
    def text(self) -> str:
        text = joined(self.content)
        return f"Error: {text}" if self.is_error else text


Block = Annotated[
    Annotated[TextBlock, Tag("(text)")]
    | Annotated[ThinkingBlock, Tag("(thinking)")]
    | Annotated[RedactedThinkingBlock, Tag("(redacted_thinking)")]
    | Annotated[ToolUseBlock, Tag("(tool_use)")]
    | Annotated[ToolResultBlock, Tag("(tool_result)")],
    kinds("text", "thinking", "redacted_thinking", "tool_use", "tool_result", default="text", what="Content blocks"),
]
System = Annotated[Annotated[Text, Tag("(one)")] | Annotated[list[TextBlock], Many, Tag("(list)")], one_or_list]


class MessageParam(Strict):
    role: Literal["user", "assistant", "system"]
    content: Annotated[
        Annotated[Text, Tag("(one)")] | Annotated[list[Block], Field(min_length=1), Many, Tag("(list)")], one_or_list
    ]

    @property
    def blocks(self) -> list[Block]:
        if isinstance(self.content, str):
            return [TextBlock(type="text", text=self.content)]
        return self.content


class ThinkingEnabled(Strict):
    """`display` "omitted" leaves the thought's text out of the reply."""

    type: Literal["enabled"]
    budget_tokens: Budget
    display: Literal["summarized", "omitted"] | None = None


class ThinkingAdaptive(Strict):
    type: Literal["adaptive"]
    display: Literal["summarized", "omitted"] | None = None


class ThinkingDisabled(Strict):
    type: Literal["disabled"]


Thinking = Annotated[
    Annotated[ThinkingEnabled, Tag("(enabled)")]
    | Annotated[ThinkingAdaptive, Tag("(adaptive)")]
    | Annotated[ThinkingDisabled, Tag("(disabled)")],
    kinds("enabled", "adaptive", "disabled", default="enabled", what="Ways of thinking"),
]


class CustomTool(Strict):
    type: Literal["custom"] | None = None
    name: ToolName
    description: Annotated[Text, Field(max_length=MAX_BYTES)] | None = None
    input_schema: JsonSchema
    strict: bool | None = None


ToolParam = Annotated[Annotated[CustomTool, Tag("(custom)")], kinds("custom", default="custom", what="Tools")]


class AnyChoice(Strict):
    """`any` means that some tool must be called."""

    type: Literal["auto", "any", "none"]
    disable_parallel_tool_use: bool | None = None


class NamedChoice(Strict):
    type: Literal["tool"]
    name: ToolName
    disable_parallel_tool_use: bool | None = None


def _choice(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "(named)" if kind == "tool" else "(any)"


Choice = Annotated[Annotated[AnyChoice, Tag("(any)")] | Annotated[NamedChoice, Tag("(named)")], Discriminator(_choice)]


class JsonFormat(Strict):
    type: Literal["json_schema"]
    schema_: JsonSchema = Field(alias="schema")


class OutputConfig(Strict):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class PromptFields(OneReply):
    """What both routes read: all that goes into the prompt."""

    messages: Annotated[list[MessageParam], Field(min_length=1, max_length=100_000, fail_fast=True)]
    model: Annotated[Text, Field(max_length=512)] | None = None
    system: System | None = None
    tools: Annotated[list[ToolParam], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Choice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None
    cache_control: dict[str, Any] | None = None
    mcp_servers: Annotated[
        Annotated[list[Any], Field(max_length=0)] | None, Unsupported("mcp_servers are", harmless=([],))
    ] = None
    container: Annotated[None, Unsupported("containers are")] = None
    # Agents send it unasked, about thoughts of earlier turns: those are dropped here anyway.
    context_management: dict[str, Any] | None = None

    @property
    def format(self) -> JsonFormat | None:
        """The form of the answer, under either of its names."""
        return self.output_config.format if self.output_config and self.output_config.format else self.output_format


class CountRequest(PromptFields):
    """Body of POST /v1/messages/count_tokens."""


class MessagesRequest(PromptFields):
    """Body of POST /v1/messages. Without `thinking` the model thinks as it does by itself."""

    max_tokens: TokenCount
    stop_sequences: Annotated[list[StopText], Field(max_length=64)] | None = None
    stream: bool | None = None
    reasoning_format: ReasoningFormat | None = None
    temperature: float | None = number(0, 2)
    top_p: float | None = number(0, 1)
    top_k: Annotated[int, Field(ge=0, le=MAX_INT)] | None = None
    metadata: dict[str, Any] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    inference_geo: Text | None = None
    speed: Literal["standard", "fast"] | None = None

    @property
    def hides_thought(self) -> bool:
        """The reply says that there was a thought, and not what it was."""
        return getattr(self.thinking, "display", None) == "omitted"


def joined(content: str | list[TextBlock] | None) -> str:
    """Text blocks as one text; they are joined by newlines."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(block.text for block in content)
