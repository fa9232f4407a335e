"""Tools: what may be called, how the prompt tells of it, and a grammar under which a call cannot go wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from grammar_check import accepts, compile_error, written_by_chance
from pydantic import TypeAdapter, ValidationError

from r1chat.serve.api.forms.call_parser import Argument, Called, CallParser
from r1chat.serve.api.forms.structure import ResponseFormat, grammar_of
from r1chat.serve.api.forms.tools import MAX_CALLS, Tool, ToolChoice, Tools, call_text, description, offered
from r1chat.serve.engine.request import Grammar
from r1chat.serve.errors import InvalidRequestError

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": 'The "weather".',
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 9}, "days": {"type": "integer", "maximum": 7}},
            "required": ["city"],
        },
    },
}
NOW = {"type": "function", "function": {"name": "now"}}
TOOLS: list[Tool] = TypeAdapter(Tools).validate_python([WEATHER, NOW])
IN_PARIS = call_text("get_weather", '{"city": "Paris"}')
TIME = call_text("now", "{}")


def chosen(value: Any) -> ToolChoice:
    made: ToolChoice = TypeAdapter(ToolChoice).validate_python(value)
    return made


NAMED = {"type": "function", "function": {"name": "now"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}}


def made(choice: Any = None, **more: Any) -> Grammar:
    grammar = grammar_of(tools=TOOLS, tool_choice=None if choice is None else chosen(choice), **more)
    assert grammar is not None
    return grammar


@pytest.mark.parametrize(
    "text", ["", "No call.", "Let me see.\n" + IN_PARIS, TIME, f"{TIME}\n{IN_PARIS}", "a < b <tool"]
)
def test_auto_takes_text_calls_or_text_before_calls(text: str) -> None:
    assert accepts(made(), text)
    assert accepts(made("auto"), text)


BROKEN = [
    "<tool_call>",
    "see <tool_call> tags",
    call_text("rm", "{}"),
    call_text("get_weather", "{}"),
    call_text("get_weather", '{"city": 3}'),
    call_text("get_weather", '{"city": "Paris", "more": 1}'),
    call_text("now", "[]"),
    IN_PARIS.removesuffix("</tool_call>"),
    IN_PARIS + " and so on",
]


@pytest.mark.parametrize("text", BROKEN)
def test_no_way_of_asking_lets_a_broken_call_through(text: str) -> None:
    assert not any(accepts(made(choice), text) for choice in (None, "auto", "required", ALLOWED))


def test_required_means_calls_and_nothing_else() -> None:
    grammar = made("required")
    assert accepts(grammar, TIME)
    assert accepts(grammar, f"{TIME}\n{IN_PARIS}")
    assert not accepts(grammar, "")
    assert not accepts(grammar, "Well. " + TIME)


def test_a_named_tool_is_called_once() -> None:
    grammar = made(NAMED)
    assert accepts(grammar, TIME)
    assert not accepts(grammar, IN_PARIS)
    assert not accepts(grammar, f"{TIME}\n{TIME}")
    assert not accepts(grammar, "no")


def test_allowed_tools_are_some_of_the_tools() -> None:
    grammar = made(ALLOWED)
    assert accepts(grammar, "no")
    assert accepts(grammar, f"{TIME}\n{TIME}")
    assert not accepts(grammar, IN_PARIS)


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_without_parallel_calls_there_is_one(choice: str) -> None:
    grammar = made(choice, parallel=False)
    assert accepts(grammar, TIME)
    assert not accepts(grammar, f"{TIME}\n{TIME}")


def test_calls_come_to_an_end() -> None:
    grammar = made("required")
    assert accepts(grammar, "\n".join([TIME] * MAX_CALLS))
    assert not accepts(grammar, "\n".join([TIME] * (MAX_CALLS + 1)))


def test_none_leaves_the_answer_free_and_the_tools_unsaid() -> None:
    assert grammar_of(tools=TOOLS, tool_choice="none") is None
    assert offered(TOOLS, "none") == ()


def test_beside_a_form_the_answer_is_a_call_or_has_that_form() -> None:
    form: Any = TypeAdapter(ResponseFormat).validate_python({"type": "json_object"})
    grammar = made(response_format=form)
    assert accepts(grammar, '{"a": 1}')
    assert accepts(grammar, TIME)
    assert not accepts(grammar, "text")
    assert not accepts(made("required", response_format=form), '{"a": 1}')


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("choice", ["required", NAMED])
def test_calls_of_a_model_that_knows_nothing_are_calls(choice: Any, seed: int) -> None:
    parser = CallParser(tool.function.name for tool in TOOLS)
    parts = parser.feed(written_by_chance(made(choice), seed)) + parser.flush()
    assert isinstance(parts[0], Called)
    arguments = "".join(part.text for part in parts if isinstance(part, Argument))
    assert set(json.loads(arguments)) <= {"city", "days"}


@pytest.mark.parametrize("name", ["a-b", "a.b", "A_1", "x" * 64])
def test_every_name_of_a_tool_makes_a_grammar(name: str) -> None:
    tool = Tool.model_validate({"type": "function", "function": {"name": name}})
    assert accepts(grammar_of(tools=[tool], tool_choice="required"), call_text(name, "{}"))


@pytest.mark.parametrize("name", ["", "a b", 'a"', "a\n", "é", "x" * 129, "<tool_call>"])
def test_a_name_that_could_break_a_call_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Tool.model_validate({"type": "function", "function": {"name": name}})


def with_parameters(parameters: dict[str, Any], **more: Any) -> list[Tool]:
    return [Tool.model_validate({"type": "function", "function": {"name": "f", "parameters": parameters, **more}})]


def test_keywords_no_grammar_knows_are_kept_as_far_as_it_goes_unless_strict() -> None:
    parameters = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    lenient, strict = with_parameters(parameters), with_parameters(parameters, strict=True)
    assert accepts(grammar_of(tools=lenient), call_text("f", '{"a": [1, 2]}'))
    grammar = grammar_of(tools=strict)
    assert grammar is not None
    assert "uniqueItems" in compile_error(grammar)


@pytest.mark.parametrize("parameters", [{}, {"type": "object"}, {"properties": {}}])
def test_a_tool_without_parameters_takes_an_empty_object(parameters: dict[str, Any]) -> None:
    assert accepts(grammar_of(tools=with_parameters(parameters)), call_text("f", "{}"))


def test_requests_that_make_no_sense_are_refused() -> None:
    for tools, choice, param in [
        ([*TOOLS, TOOLS[0]], None, "tools"),
        (with_parameters({"type": "array"}), None, "tools"),
        ([], "required", "tool_choice"),
        (None, NAMED, "tool_choice"),
        (with_parameters({}), NAMED, "tool_choice"),
    ]:
        with pytest.raises(InvalidRequestError) as refused:
            grammar_of(tools=tools, tool_choice=chosen(choice) if choice else None)
        assert refused.value.param == param


def test_the_prompt_tells_of_every_tool_as_json() -> None:
    told = description(TOOLS)
    lines = told.split("<tools>\n")[1].split("\n</tools>")[0].splitlines()
    assert [json.loads(line) for line in lines] == [WEATHER["function"], NOW["function"]]
