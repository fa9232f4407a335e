"""Tools a reply may call: their models on the wire, how a prompt tells of them, and the grammar that calls keep to.

A call is `<tool_call>`, one line of JSON with `name` and `arguments`, `</tool_call>`: the form that Qwen's models,
and so R1's distillates of them, have read most of. tool_calls.py reads it back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, Tag

from ...errors import InvalidRequestError
from ..fields import Strict, kinds
from ..wire_types import Text
from .json_schema import MAX_BYTES, Schema, bounded, text_for_grammar

CALL_OPEN = "<tool_call>"
CALL_CLOSE = "</tool_call>"
RESULT_OPEN = "<tool_response>"
RESULT_CLOSE = "</tool_response>"

MAX_TOOLS = 128
# An upper end for replies that must call: a weak model would call until its tokens are spent.
MAX_CALLS = 16
# OpenAI's names end at 64 characters, Anthropic's at 128.
ToolName = Annotated[str, Field(pattern="^[a-zA-Z0-9_.-]{1,128}$")]


class Function(Strict):
    """`parameters` is the JSON schema of the arguments, an object's; without it there are none.

    `strict`: a schema of which the grammar cannot keep every word is an error, instead of kept as far as it goes.
    """

    name: ToolName
    description: Annotated[Text, Field(max_length=MAX_BYTES)] | None = None
    parameters: Annotated[dict[str, Any], AfterValidator(bounded)] | None = None
    strict: bool | None = None


class Tool(Strict):
    type: Literal["function"]
    function: Function


class FunctionName(Strict):
    name: ToolName


class NamedTool(Strict):
    """The one function that must be called."""

    type: Literal["function"]
    function: FunctionName


class AllowedTools(Strict):
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS)]


class AllowedToolsChoice(Strict):
    """Some of the tools, in the prompt's eyes all of them: what is cached stays of use."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


_TOOLS = kinds("function", default="function", what="Tools")
Tools = Annotated[list[Annotated[Annotated[Tool, Tag("(function)")], _TOOLS]], Field(max_length=MAX_TOOLS)]
# A word has no member `type`, and so is the default.
ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("(word)")]
    | Annotated[NamedTool, Tag("(function)")]
    | Annotated[AllowedToolsChoice, Tag("(allowed_tools)")],
    kinds("function", "allowed_tools", "word", default="word", what="Choices of a tool"),
]


def offered(tools: Sequence[Tool] | None, choice: ToolChoice | None) -> tuple[Tool, ...]:
    """The tools the prompt tells of: none where none may be called. Raises InvalidRequestError."""
    if not tools:
        if choice not in (None, "none", "auto"):
            raise InvalidRequestError("tool_choice asks for a call, and there are no tools.", "tool_choice")
        return ()
    names = [tool.function.name for tool in tools]
    if len(set(names)) < len(names):
        raise InvalidRequestError("Two tools have the same name.", "tools")
    for tool in tools:
        if (tool.function.parameters or {}).get("type", "object") != "object":
            raise InvalidRequestError(f"The parameters of {tool.function.name} are no object's schema.", "tools")
    return () if choice == "none" else tuple(tools)


def callable_now(tools: Sequence[Tool], choice: ToolChoice | None) -> tuple[tuple[Tool, ...], bool]:
    """Those of the offered tools that this reply may call, and whether it must. Raises InvalidRequestError."""
    if choice is None or isinstance(choice, str):
        return tuple(tools), choice == "required"
    wanted = [choice] if isinstance(choice, NamedTool) else choice.allowed_tools.tools
    names = {one.function.name for one in wanted}
    if missing := names - {tool.function.name for tool in tools}:
        raise InvalidRequestError(f"tool_choice names {min(missing)}, and tools have no such.", "tool_choice")
    must = isinstance(choice, NamedTool) or choice.allowed_tools.mode == "required"
    return tuple(tool for tool in tools if tool.function.name in names), must


def wire_form(tool: Tool) -> dict[str, Any]:
    """As chat templates take it, and as the prompt shows it."""
    form = tool.model_dump(exclude_none=True)
    form["function"].pop("strict", None)
    return form


def description(tools: Sequence[Tool]) -> str:
    """What a model without words of its own for tools is told of them."""
    lines = "\n".join(json.dumps(wire_form(tool)["function"], ensure_ascii=False) for tool in tools)
    return (
        "# Tools\n\n"
        "You may call functions to help the user. These are available, with the JSON schema of their arguments:\n"
        f"<tools>\n{lines}\n</tools>\n\n"
        "To call one, end your answer with its name and arguments as JSON between these tags, once for each call:\n"
        f'{CALL_OPEN}\n{{"name": "<function name>", "arguments": {{<arguments>}}}}\n{CALL_CLOSE}\n'
        f"You are then given what each call returned between {RESULT_OPEN} and {RESULT_CLOSE}."
    )


def call_text(name: str, arguments: str) -> str:
    """A call as the model writes it. `arguments` is JSON."""
    return f'{CALL_OPEN}\n{{"name": {json.dumps(name)}, "arguments": {arguments or "{}"}}}\n{CALL_CLOSE}'


def result_text(content: str) -> str:
    """What a call returned, as the model reads it."""
    return f"{RESULT_OPEN}\n{content}\n{RESULT_CLOSE}"


def calls_grammar(tools: Sequence[Tool], *, must_call: bool, n_calls: int, otherwise: Schema | None = None) -> str:
    """Lark, in llguidance's dialect: calls of `tools`, or text unless it must call.

    The text may lead to calls; nothing follows them. `otherwise` is the schema of an answer without calls.
    """
    rules = [f"body: {' | '.join(f'body{i}' for i in range(len(tools)))}"]
    close = json.dumps("}\n" + CALL_CLOSE)
    for i, tool in enumerate(tools):
        head = json.dumps(f'\n{{"name": {json.dumps(tool.function.name)}, "arguments": ')
        rules += [f"body{i}: {head} arguments{i} {close}"]
        rules += [f"arguments{i}: %json {_arguments_schema(tool)}"]
    more = f' ("\\n{CALL_OPEN}" body){{0,{n_calls - 1}}}' if n_calls > 1 else ""
    called = f'"{CALL_OPEN}" body{more}'
    if must_call:
        return "\n".join([f"start: {called}", *rules])
    if otherwise is not None:
        return "\n".join([f"start: answer | {called}", f"answer: %json {text_for_grammar(otherwise)}", *rules])
    prose = [
        f"start: TEXT | opening body{more}",
        f"TEXT: /(?s:.*)/ & ~/(?s:.*){CALL_OPEN}(?s:.*)/",
        f'opening[suffix="{CALL_OPEN}"]: /(?s:.*)/',
    ]
    return "\n".join([*prose, *rules])


def _arguments_schema(tool: Tool) -> str:
    schema = {"type": "object", "properties": {}, **(tool.function.parameters or {})}
    return text_for_grammar(schema, lenient=not tool.function.strict)
