"""Forms of answers: every client's words for them become one grammar, which compiles and binds."""

from __future__ import annotations

import datetime
import enum
import json
import uuid
from typing import Annotated, Any, Literal

import pytest
from grammar_check import accepts, compile_error, is_json, written_by_chance
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from r1chat.serve.api.forms.json_schema import MAX_BYTES, MAX_DEPTH
from r1chat.serve.api.forms.structure import ResponseFormat, StructureFields, grammar_of
from r1chat.serve.api.forms.tools import Tool
from r1chat.serve.engine.request import Grammar
from r1chat.serve.errors import InvalidRequestError, NotSupportedError

FORMAT: TypeAdapter[Any] = TypeAdapter(ResponseFormat)
Schema = dict[str, Any]


def test_a_schema_beside_a_free_form_binds_and_two_schemas_are_refused() -> None:
    digits, words = {"type": "integer"}, {"type": "string"}
    for form in ({"type": "text"}, {"type": "json_object"}, {"type": "json_object", "schema": digits}):
        fields = StructureFields.model_validate({"response_format": form, "guided_json": digits})
        grammar = grammar_of(fields.asked_format)
        assert grammar is not None and accepts(grammar, "12") and not accepts(grammar, "{}")
    with pytest.raises(InvalidRequestError, match="contradict each other"):
        _ = StructureFields.model_validate({"json_schema": words, "guided_json": digits}).asked_format
    with pytest.raises(InvalidRequestError, match="contradict each other"):
        _ = StructureFields.model_validate({"choice": ["a"], "guided_choice": ["b"]}).asked_choice


def test_a_format_that_is_no_word_is_passed_over() -> None:
    fields = StructureFields.model_validate({"guided_json": {"type": "object", "format": {"type": "string"}}})
    assert grammar_of(fields.asked_format) is not None


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    barks: bool


class Order(BaseModel):
    """Most of what pydantic puts into a schema."""

    name: Annotated[str, Field(min_length=1, max_length=8, pattern="^[a-z]+$")]
    colour: Colour
    when: datetime.datetime
    key: uuid.UUID
    path: Annotated[str, Field(json_schema_extra={"format": "path"})]
    price: Annotated[float, Field(gt=0, lt=1.5)]
    size: tuple[int, str]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    note: str | None
    tree: Node
    counts: Annotated[dict[str, int], Field(max_length=2)]


ORDER = {
    "name": "abc",
    "colour": "red",
    "when": "2025-01-02T03:04:05Z",
    "key": "12345678-1234-1234-1234-123456789abc",
    "path": "anything",
    "price": 1.25,
    "size": [1, "x"],
    "pet": {"kind": "dog", "barks": True},
    "note": None,
    "tree": {"value": 1, "children": [{"value": 2}]},
    "counts": {"a": 1},
}
STRICT: Schema = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "steps": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/step"}},
        "answer": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 99}, {"type": "null"}]},
    },
    "required": ["steps", "answer"],
    "additionalProperties": False,
    "$defs": {
        "step": {
            "type": "object",
            "properties": {"unit": {"const": "m"}, "level": {"enum": [1, "two", None]}},
            "required": ["unit", "level"],
            "additionalProperties": False,
        }
    },
}


def asked(schema: Schema, **more: Any) -> Grammar:
    body = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, **more}}
    grammar = grammar_of(FORMAT.validate_python(body))
    assert grammar is not None
    return grammar


def test_a_free_answer_has_no_grammar() -> None:
    assert grammar_of() is None
    assert grammar_of(FORMAT.validate_python({"type": "text"})) is None


def test_json_object_takes_any_object_and_nothing_else() -> None:
    grammar = grammar_of(FORMAT.validate_python({"type": "json_object"}))
    assert accepts(grammar, '{"a": [1, {"b": null}]}')
    assert accepts(grammar, "{}")
    assert not accepts(grammar, "[1]")
    assert not accepts(grammar, "Sure: {}")


def test_json_object_may_say_which_as_llama_servers_clients_do() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    grammar = grammar_of(FORMAT.validate_python({"type": "json_object", "schema": schema}))
    assert accepts(grammar, '{"a": 1}')
    assert not accepts(grammar, "{}")


def test_a_schema_of_pydantic_binds() -> None:
    grammar = asked(Order.model_json_schema())
    assert accepts(grammar, json.dumps(ORDER))
    for key, wrong in [("colour", "green"), ("name", "ABC"), ("when", "today"), ("price", 2), ("pet", {"kind": "cow"})]:
        assert not accepts(grammar, json.dumps({**ORDER, key: wrong})), key


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_written_under_a_strict_schema_is_valid(seed: int) -> None:
    text = written_by_chance(asked(STRICT, strict=True), seed)
    answer = json.loads(text)
    assert list(answer) == ["steps", "answer"]
    assert answer["answer"] is None or 0 <= answer["answer"] <= 99
    assert all(step["unit"] == "m" and step["level"] in (1, "two", None) for step in answer["steps"])


def test_answers_are_on_one_line_with_single_blanks() -> None:
    grammar = asked({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}})
    assert accepts(grammar, '{"a": 1, "b": 2}')
    for text in ['{"a":1}', '{"a":  1}', '{\n"a": 1}', '{"a": 1} ']:
        assert not accepts(grammar, text), text


def test_a_model_cannot_invent_properties() -> None:
    grammar = asked({"type": "object", "properties": {"a": {"type": "integer"}}})
    assert not accepts(grammar, '{"a": 1, "b": 2}')


OPEN = [
    {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "integer"}},
    {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"type": "integer"}}}]},
    {"properties": {"a": {"type": "integer"}}, "anyOf": [{"properties": {"b": {"type": "integer"}}}]},
]


@pytest.mark.parametrize("schema", OPEN)
def test_what_a_schema_leaves_open_on_purpose_stays_open(schema: Schema) -> None:
    assert accepts(asked({"type": "object", **schema}), '{"a": 1, "b": 2}')


def test_properties_may_bear_the_names_of_keywords() -> None:
    schema = {"type": "object", "properties": {"format": {"type": "string"}, "properties": {"type": "integer"}}}
    assert accepts(asked(schema), '{"format": "x", "properties": 1}')


def test_a_format_nobody_can_check_is_a_remark() -> None:
    assert accepts(asked({"type": "string", "format": "password"}), '"x"')
    assert not accepts(asked({"type": "string", "format": "date"}), '"x"')


@pytest.mark.parametrize(
    "schema",
    [{"not": {"type": "string"}}, {"type": "foo"}, {"$ref": "#/$defs/none"}, {"type": "string", "pattern": "("}],
)
def test_a_schema_that_cannot_be_kept_to_does_not_compile(schema: Schema) -> None:
    assert compile_error(asked(schema))


def test_a_schema_has_bounds() -> None:
    deep: Schema = {"type": "string"}
    for _ in range(MAX_DEPTH):
        deep = {"type": "array", "items": deep}
    for schema in (deep, {"description": "x" * MAX_BYTES}, {"description": "\ud800"}):
        with pytest.raises(ValidationError):
            asked(schema)


def test_a_regular_expression_must_match_the_whole_answer() -> None:
    grammar = grammar_of(regex=r"\d{2}/[a-c]+")
    assert accepts(grammar, "12/abc")
    assert not accepts(grammar, "12/abcd")
    assert not accepts(grammar, "x12/a")


CHOICES = ["a", "ab", 'say "hi"\n', "C:\\new", "50 % /x/", "ja/nein", "größer", "😀", "{{x}}", "%json {}", "\x7f\u2028"]


def test_every_choice_and_no_other_text_is_an_answer() -> None:
    grammar = grammar_of(choice=CHOICES)
    assert all(accepts(grammar, text) for text in CHOICES)
    assert not any(accepts(grammar, text) for text in ["", "abc", "A", "C:\new", "a "])


class Body(StructureFields):
    """A request with these fields."""


@pytest.mark.parametrize("fields", [{"regex": "a+"}, {"guided_regex": "a+"}, {"structured_outputs": {"regex": "a+"}}])
def test_every_spelling_of_a_regular_expression_is_heard(fields: Schema) -> None:
    assert Body.model_validate(fields).asked_regex == "a+"


@pytest.mark.parametrize(
    "fields", [{"choice": ["a"]}, {"guided_choice": ["a"]}, {"structured_outputs": {"choice": ["a"]}}]
)
def test_every_spelling_of_a_choice_is_heard(fields: Schema) -> None:
    assert Body.model_validate(fields).asked_choice == ["a"]


SMALL: Schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SMALL}}},
        {"guided_json": SMALL},
        {"structured_outputs": {"json": SMALL}},
    ],
)
def test_every_spelling_of_a_schema_is_heard(fields: Schema) -> None:
    grammar = grammar_of(Body.model_validate(fields).asked_format)
    assert accepts(grammar, '{"a": 1}')
    assert not accepts(grammar, "{}")


def test_vllms_json_object_is_heard() -> None:
    body = Body.model_validate({"structured_outputs": {"json_object": True}})
    assert accepts(grammar_of(body.asked_format), '{"a": "b"}')


def test_two_forms_at_once_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="several") as refused:
        grammar_of(FORMAT.validate_python({"type": "json_object"}), regex="a")
    assert refused.value.param == "regex"


def test_a_choice_beside_tools_is_not_supported() -> None:
    tool = Tool.model_validate({"type": "function", "function": {"name": "f"}})
    with pytest.raises(NotSupportedError):
        grammar_of(choice=["a"], tools=[tool])
    assert accepts(grammar_of(choice=["a"], tools=[tool], tool_choice="none"), "a")


@pytest.mark.parametrize("seed", range(8))
def test_json_object_written_by_chance_is_json(seed: int) -> None:
    grammar = grammar_of(FORMAT.validate_python({"type": "json_object"}))
    assert grammar is not None
    assert is_json(written_by_chance(grammar, seed))


def test_every_grammar_says_which_field_is_to_blame() -> None:
    tool = Tool.model_validate({"type": "function", "function": {"name": "f"}})
    made = [asked(SMALL), grammar_of(regex="a"), grammar_of(choice=["a"]), grammar_of(tools=[tool])]
    assert [grammar and grammar.field for grammar in made] == ["response_format", "regex", "choice", "tools"]
