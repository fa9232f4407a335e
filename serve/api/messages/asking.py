"""A Messages body as an Ask: its blocks as turns, its thinking as a budget, its tools and format as a grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ...engine.request import SamplingParams
from ...errors import InvalidRequestError, NotSupportedError
from ..ask import Ask, Continues, with_one_system
from ..dialects import EFFORTS
from ..forms.structure import Form, JsonSchemaFormat
from ..forms.tools import FunctionName, NamedTool, Tool, ToolChoice, offered
from ..prompt.chat_template import Turn, TurnCall
from .protocol import (
    CustomTool,
    MessageParam,
    MessagesRequest,
    NamedChoice,
    PromptFields,
    TextBlock,
    ThinkingBlock,
    ThinkingDisabled,
    ThinkingEnabled,
    ToolResultBlock,
    ToolUseBlock,
    joined,
)

# A client's word to whoever bills it: it differs in every request, so that nothing behind it would be in the cache.
_FOR_THE_BILL = re.compile(r"\A(?:x-anthropic-[^\n]*\n*)+")


def prompt_of(body: PromptFields, owner: str) -> Ask:
    """All that goes into the prompt. Raises InvalidRequestError, NotSupportedError."""
    turns = with_one_system(tuple(_turns(body)))
    if not turns:
        raise InvalidRequestError("There is nothing to reply to.", "messages")
    return Ask(
        turns=turns,
        tools=offered(_tools(body), _tool_choice(body)),
        thinking=False if isinstance(body.thinking, ThinkingDisabled) else None,
        continues=_continues(turns[-1]) if body.messages[-1].role == "assistant" else None,
        owner=owner,
    )


def ask_of(body: MessagesRequest, owner: str) -> Ask:
    """Raises InvalidRequestError, NotSupportedError."""
    prompt = prompt_of(body, owner)
    choice = body.tool_choice
    form = Form(
        _format(body),
        tools=_tools(body),
        tool_choice=_tool_choice(body),
        parallel=not (choice and choice.disable_parallel_tool_use),
    )
    return replace(prompt, params=_params(body), grammar=form.grammar, form=form)


def _continues(last: Turn) -> Continues | None:
    """A last message of the assistant's is how the reply begins."""
    if last.role != "assistant":
        return None
    if last.tool_calls:
        raise InvalidRequestError("The results of the last message's tool calls are missing.", "messages")
    return "content" if last.content else "reasoning_content"


def _params(body: MessagesRequest) -> SamplingParams:
    given = {"temperature": body.temperature, "top_p": body.top_p, "top_k": body.top_k}
    return SamplingParams(
        max_tokens=body.max_tokens,
        stop=tuple(body.stop_sequences or ()),
        reasoning_budget=_budget(body),
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
    )


def _budget(body: PromptFields) -> int | None:
    """Tokens of thought; None leaves them to the model. A budget beats an effort."""
    if isinstance(body.thinking, ThinkingDisabled):
        return 0
    if isinstance(body.thinking, ThinkingEnabled):
        return body.thinking.budget_tokens
    effort = body.output_config.effort if body.output_config else None
    return EFFORTS[effort] if effort else None


def _format(body: PromptFields) -> JsonSchemaFormat | None:
    if body.format is None:
        return None
    return JsonSchemaFormat.model_validate(
        {"type": "json_schema", "json_schema": {"name": "output", "schema": body.format.schema_}}
    )


def _tools(body: PromptFields) -> list[Tool]:
    return [_tool(tool) for tool in body.tools or ()]


def _tool(tool: CustomTool) -> Tool:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
        "strict": tool.strict,
    }
    return Tool.model_validate({"type": "function", "function": function})


def _tool_choice(body: PromptFields) -> ToolChoice | None:
    choice = body.tool_choice
    if choice is None:
        return None
    if isinstance(choice, NamedChoice):
        return NamedTool(type="function", function=FunctionName(name=choice.name))
    if choice.type == "any":
        return "required"
    return choice.type


def _turns(body: PromptFields) -> Iterator[Turn]:
    if body.system is not None:
        texts = [body.system] if isinstance(body.system, str) else [block.text for block in body.system]
        yield Turn("system", "\n".join(filter(None, (_FOR_THE_BILL.sub("", text) for text in texts))))
    for message in body.messages:
        if message.role == "assistant":
            yield _assistant(message)
        else:
            yield from _told(message)


def _assistant(message: MessageParam) -> Turn:
    blocks = message.blocks
    if any(isinstance(block, ToolResultBlock) for block in blocks):
        raise NotSupportedError("A message of the assistant's cannot hold tool_result blocks.", "messages")
    return Turn(
        "assistant",
        joined([block for block in blocks if isinstance(block, TextBlock)]),
        "\n".join(block.thinking for block in blocks if isinstance(block, ThinkingBlock)) or None,
        tuple(TurnCall(block.id, block.name, block.arguments) for block in blocks if isinstance(block, ToolUseBlock)),
    )


def _told(message: MessageParam) -> Iterator[Turn]:
    """Results of tools are turns of their own; texts beside each other are one."""
    texts: list[TextBlock] = []
    for block in message.blocks:
        if isinstance(block, TextBlock):
            texts.append(block)
            continue
        if not isinstance(block, ToolResultBlock):
            raise NotSupportedError(f"A message of the {message.role}'s cannot hold {block.type} blocks.", "messages")
        if texts:
            yield Turn(message.role, joined(texts))
            texts = []
        yield Turn("tool", block.text, tool_call_id=block.tool_use_id)
    if texts:
        yield Turn(message.role, joined(texts))
