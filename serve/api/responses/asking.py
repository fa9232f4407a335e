"""A Responses body as an Ask: items become turns, one for each reply, and tools and format become a grammar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..ask import Ask, with_one_system
from ..dialects import preserved
from ..fields import stop_of
from ..forms.structure import Form, ResponseFormat
from ..forms.structure import JsonObjectFormat as AnyJson
from ..forms.structure import JsonSchemaFormat as NamedJson
from ..forms.tools import AllowedTools, AllowedToolsChoice, FunctionName, NamedTool, Tool, ToolChoice, offered
from ..prompt.chat_template import Turn, TurnCall
from .protocol import (
    AllowedChoice,
    CallItem,
    CallOutputItem,
    FunctionTool,
    Item,
    JsonObjectFormat,
    JsonSchemaFormat,
    MessageItem,
    NamedChoice,
    ReasoningItem,
    ResponsesRequest,
    spoken,
)


def ask_of(body: ResponsesRequest, owner: str) -> Ask:
    """Raises InvalidRequestError."""
    tools, choice = [_tool(tool) for tool in body.functions], _tool_choice(body)
    params = body.drawn(
        max_tokens=body.max_output_tokens,
        stop=stop_of(body.stop),
        top_logprobs=body.wants_logprobs,
        reasoning_budget=body.asked_thinking.budget,
        reasoning_grace=body.reasoning_grace_tokens,
    )
    form = Form(
        _format(body) or body.asked_format,
        body.asked_regex,
        body.asked_choice,
        tools,
        choice,
        body.parallel_tool_calls,
    )
    return Ask(
        turns=with_one_system(tuple(_turns(body))),
        tools=offered(tools, choice),
        params=params,
        thinking=body.asked_thinking.wanted,
        keeps_thoughts=preserved(None, body.chat_template_kwargs),
        grammar=form.grammar,
        form=form,
        priority=body.waits,
        owner=owner,
        cache_salt=body.cache_salt or "",
        deterministic=bool(body.deterministic),
    )


def _format(body: ResponsesRequest) -> ResponseFormat | None:
    asked = body.format
    if isinstance(asked, JsonObjectFormat):
        return AnyJson.model_validate({"type": "json_object"})
    if isinstance(asked, JsonSchemaFormat):
        schema = {"name": asked.name, "strict": asked.strict, "schema": asked.schema_}
        return NamedJson.model_validate({"type": "json_schema", "json_schema": schema})
    return None


def _tool(tool: FunctionTool) -> Tool:
    function = tool.model_dump(include={"name", "description", "parameters", "strict"})
    return Tool.model_validate({"type": "function", "function": function})


def _tool_choice(body: ResponsesRequest) -> ToolChoice | None:
    choice = body.tool_choice
    if isinstance(choice, NamedChoice):
        return _named(choice)
    if isinstance(choice, AllowedChoice):
        allowed = AllowedTools(mode=choice.mode, tools=[_named(one) for one in choice.tools])
        return AllowedToolsChoice(type="allowed_tools", allowed_tools=allowed)
    return choice


def _named(choice: NamedChoice) -> NamedTool:
    return NamedTool(type="function", function=FunctionName(name=choice.name))


def _turns(body: ResponsesRequest) -> Iterator[Turn]:
    if body.instructions:
        yield Turn("system", body.instructions)
    if isinstance(body.input, str):
        yield Turn("user", body.input)
    else:
        yield from _turns_of(body.input)


def _turns_of(items: Sequence[Item]) -> Iterator[Turn]:
    """The items of one reply, which are its thought, its text and its calls, become one turn."""
    reply: _Reply | None = None
    for item in items:
        if isinstance(item, (ReasoningItem, CallItem)) or _is_reply(item):
            reply = reply or _Reply()
            if reply.ends_before(item):
                yield reply.turn()
                reply = _Reply()
            reply.add(item)
            continue
        if reply:
            yield reply.turn()
            reply = None
        if isinstance(item, CallOutputItem):
            yield Turn("tool", spoken(item.output), tool_call_id=item.call_id)
        elif isinstance(item, MessageItem):
            yield Turn("system" if item.role == "developer" else item.role, spoken(item.content))
    if reply:
        yield reply.turn()


def _is_reply(item: Item) -> bool:
    return isinstance(item, MessageItem) and item.role == "assistant"


class _Reply:
    """A reply of before, as its items come in."""

    def __init__(self) -> None:
        self._thoughts: list[str] = []
        self._content: str | None = None
        self._calls: list[TurnCall] = []

    def ends_before(self, item: Item) -> bool:
        """A thought, or a second text, begins another reply."""
        if isinstance(item, ReasoningItem):
            return self._content is not None or bool(self._calls)
        return isinstance(item, MessageItem) and (self._content is not None or bool(self._calls))

    def add(self, item: Item) -> None:
        if isinstance(item, ReasoningItem):
            self._thoughts.append(item.text)
        elif isinstance(item, CallItem):
            self._calls.append(TurnCall(item.call_id, item.name, item.arguments))
        elif isinstance(item, MessageItem):
            self._content = spoken(item.content)

    def turn(self) -> Turn:
        return Turn("assistant", self._content or "", "\n".join(self._thoughts) or None, tuple(self._calls))
