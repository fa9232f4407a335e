"""Messages -> prompt segments through a chat template. Knows no tokens; message text never becomes special ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jinja2

from ...engine.request import Begun, ModelInfo, Segment
from ...errors import InvalidRequestError
from ...reasoning import CLOSE_TAG, OPEN_TAG, ends_in_thought
from ..forms.tools import Tool, call_text, description, result_text, wire_form
from .marks import JsonText, Put, segments_of
from .model_template import ModelTemplate, template_of
from .sandbox import fill

logger = logging.getLogger(__name__)

OPENING = Segment(f"{OPEN_TAG}\n", True)
CLOSING = Segment(f"{CLOSE_TAG}\n\n", True)


class TurnCall(NamedTuple):
    """A tool call of an earlier reply; `arguments` is JSON as the model wrote it."""

    id: str
    name: str
    arguments: str


class Turn(NamedTuple):
    """One message as a template sees it: system, user, assistant or tool, and its text.

    `reasoning` and `tool_calls` are the assistant's; `tool_call_id` says which call a tool's text answers.
    """

    role: str
    content: str
    reasoning: str | None = None
    tool_calls: tuple[TurnCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True)
class RenderedPrompt:
    """`reasoning_open`: the prompt ends inside the thought, so the reply starts there."""

    segments: tuple[Segment, ...]
    reasoning_open: bool

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)


def render(
    turns: Sequence[Turn],
    info: ModelInfo,
    tools: Sequence[Tool] = (),
    *,
    enable_thinking: bool | None = None,
    keeps_thoughts: bool = False,
) -> RenderedPrompt:
    """The prompt for a reply to `turns`. Raises InvalidRequestError where the template refuses them.

    A template that knows tools in our form gets them; to any other they are told as text. Thoughts are kept
    where a reply goes on after tools have answered, and dropped everywhere else, but for `keeps_thoughts`: then the
    prompt has each turn as it was generated. `enable_thinking` False goes to templates that know the word.
    """
    template = template_of(info.chat_template)
    turns = _with_thoughts_in_place(turns, keeps_all=keeps_thoughts)
    if not template.knows_tools:
        turns, tools = _told(turns, tools), ()

    def print_with(put: Put) -> str:
        shown = [] if not tools else [_marked(wire_form(tool), put) for tool in tools]
        n_past = _n_past(turns)
        shows = template.knows_tools and template.knows_reasoning
        messages = [_message(turn, put, shows_thought=shows and i > n_past) for i, turn in enumerate(turns)]
        return _fill(template, messages, info, tools=shown, enable_thinking=enable_thinking is not False)

    segments = segments_of(print_with)
    tail = segments[-1] if segments else Segment("", True)
    return RenderedPrompt(segments, tail.special and ends_in_thought(tail.text))


def render_begun(
    turns: Sequence[Turn],
    info: ModelInfo,
    tools: Sequence[Tool] = (),
    *,
    into: Literal["reasoning_content", "content"] | None = None,
    enable_thinking: bool | None = None,
    keeps_thoughts: bool = False,
) -> tuple[RenderedPrompt, Begun]:
    """The prompt for the last turn, an assistant's, and what there is of it: the reply goes on from there.

    `into` says where: amid the thought, or in the answer, which closes it; else the answer's text decides.
    Raises InvalidRequestError.
    """
    *before, last = turns or [Turn("", "")]
    if last.role != "assistant" or last.tool_calls:
        raise InvalidRequestError("Only an assistant's last message of text can be continued.", "messages")
    last = _split(last)
    if into == "reasoning_content" and last.content:
        raise InvalidRequestError("A message with content has closed its thought.", "continue_final_message")
    prompt = render(before, info, tools, enable_thinking=enable_thinking, keeps_thoughts=keeps_thoughts)
    answers = into == "content" or (into is None and bool(last.content))
    thought = last.reasoning or ""
    thinks = bool(thought) or into == "reasoning_content"
    segments = [] if prompt.reasoning_open or not thinks else [OPENING]
    if not answers:
        segments.append(Segment(thought, False))
    elif prompt.reasoning_open or thinks:
        segments += _closed(thought)
    segments.append(Segment(last.content, False))
    return prompt, Begun(segments=tuple(segment for segment in segments if segment.text))


def _closed(thought: str) -> tuple[Segment, Segment]:
    """Cut where a model's own tokens part: a line break belongs to the text before it."""
    return Segment(f"{thought}\n", False), CLOSING


def _n_past(turns: Sequence[Turn]) -> int:
    """Where the user spoke last."""
    return max((i for i, turn in enumerate(turns) if turn.role == "user"), default=-1)


def _with_thoughts_in_place(turns: Sequence[Turn], *, keeps_all: bool) -> list[Turn]:
    """Thoughts go, as R1 was trained; those that led to calls stay until the user has spoken again."""
    n_past = _n_past(turns)
    return [
        _split(turn, keeps=keeps_all or (i > n_past and bool(turn.tool_calls)))
        if turn.role == "assistant"
        else turn._replace(reasoning=None, tool_calls=())
        for i, turn in enumerate(turns)
    ]


def _split(turn: Turn, *, keeps: bool = True) -> Turn:
    """A thought written into the text is no text, exactly as the R1 template has it."""
    thought, tag, answer = turn.content.rpartition(CLOSE_TAG)
    reasoning = turn.reasoning
    if tag and reasoning is None:
        reasoning = thought.lstrip().removeprefix(OPEN_TAG).strip("\n")
    if tag and keeps:
        # it comes back with the tag
        answer = answer.removeprefix("\n\n")
    return turn._replace(content=answer, reasoning=reasoning if keeps else None)


def _told(turns: Sequence[Turn], tools: Sequence[Tool]) -> list[Turn]:
    """Tools, calls and results as text of the roles that every template knows."""
    told: list[Turn] = []
    for i, turn in enumerate(turns):
        if turn.role == "tool":
            result = result_text(turn.content)
            if i and turns[i - 1].role == "tool":
                told[-1] = told[-1]._replace(content=f"{told[-1].content}\n{result}")
            else:
                told.append(Turn("user", result))
        else:
            calls = [call_text(call.name, call.arguments) for call in turn.tool_calls]
            told.append(Turn(turn.role, "\n".join(filter(None, [turn.content, *calls])), turn.reasoning))
    return _with_tools(told, tools) if tools else told


def _with_tools(turns: list[Turn], tools: Sequence[Tool]) -> list[Turn]:
    """The last system text is the one that R1's template shows."""
    at = next((i for i in reversed(range(len(turns))) if turns[i].role == "system"), None)
    if at is None:
        return [Turn("system", description(tools)), *turns]
    text = "\n\n".join(filter(None, [turns[at].content, description(tools)]))
    return [*turns[:at], turns[at]._replace(content=text), *turns[at + 1 :]]


def _message(turn: Turn, put: Put, *, shows_thought: bool) -> dict[str, Any]:
    """The message as Hugging Face's templates expect it. Where the template would drop a thought (`shows_thought`
    False), it goes before the text behind the template's back.
    """
    message: dict[str, Any] = {"role": turn.role}
    if turn.reasoning and turn.tool_calls and shows_thought:
        message["reasoning_content"] = put(turn.reasoning)
        message["content"] = put(turn.content)
    else:
        message["content"] = put(turn.content, (OPENING, *_closed(turn.reasoning)) if turn.reasoning else ())
    if turn.tool_calls:
        message["tool_calls"] = [_call(call, put) for call in turn.tool_calls]
    if turn.tool_call_id is not None:
        message["tool_call_id"] = put(turn.tool_call_id)
    return message


def _call(call: TurnCall, put: Put) -> dict[str, Any]:
    arguments = JsonText(put(call.arguments or "{}"))
    return {"id": put(call.id), "type": "function", "function": {"name": put(call.name), "arguments": arguments}}


def _marked(value: Any, put: Put) -> Any:
    """A tool with marks for all its texts that could hold template text; names that templates ask for hold none."""
    if isinstance(value, dict):
        return {_marked(key, put): _marked(child, put) for key, child in value.items()}
    if isinstance(value, list):
        return [_marked(child, put) for child in value]
    return value if not isinstance(value, str) or value.replace("_", "").isalnum() else put(value)


def _fill(template: ModelTemplate, messages: list[dict[str, Any]], info: ModelInfo, **given: Any) -> str:
    try:
        return fill(template.compiled, messages, bos_token=info.bos_token, eos_token=info.eos_token, **given)
    except jinja2.TemplateError as error:
        raise InvalidRequestError(
            f"The model's chat template refuses these messages: {error}", param="messages"
        ) from error
    except Exception as error:  # the template is somebody's program and may raise anything
        logger.warning("the model's chat template failed: %s: %s", type(error).__name__, error)
        raise InvalidRequestError("The model's chat template failed on these messages.", param="messages") from error
