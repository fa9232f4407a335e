"""What a client says of its answer's form, in the words of OpenAI, vLLM and llama-server, as one Grammar."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Tag

from ...engine.request import Grammar
from ...errors import InvalidRequestError, NotSupportedError
from ..fields import Strict, Unsupported, kinds, only
from ..wire_types import Text
from .json_schema import MAX_BYTES, Schema, bounded, text_for_grammar
from .tools import MAX_CALLS, NamedTool, Tool, ToolChoice, callable_now, calls_grammar, offered

ANY_OBJECT: Schema = {"type": "object"}
MAX_CHOICES = 1024

JsonSchema = Annotated[dict[str, Any], AfterValidator(bounded)]


Pattern = Annotated[Text, Field(min_length=1, max_length=MAX_BYTES)]
ChoiceText = Annotated[Text, Field(min_length=1, max_length=4096)]


def _small(choices: list[str]) -> list[str]:
    if sum(map(len, choices)) > MAX_BYTES:
        raise ValueError(f"the choices have more than {MAX_BYTES} characters together")
    return choices


Choices = Annotated[list[ChoiceText], Field(min_length=1, max_length=MAX_CHOICES), AfterValidator(_small)]


class TextFormat(Strict):
    type: Literal["text"]


class JsonObjectFormat(Strict):
    """Any JSON object; llama-server's form may say which."""

    type: Literal["json_object"]
    schema_: JsonSchema | None = Field(None, alias="schema")


class NamedSchema(Strict):
    """`strict` changes nothing: answers always keep to the schema."""

    name: Annotated[str, Field(max_length=512)] | None = None
    description: Annotated[str, Field(max_length=MAX_BYTES)] | None = None
    strict: bool | None = None
    schema_: JsonSchema | None = Field(None, alias="schema")


class JsonSchemaFormat(Strict):
    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("(text)")]
    | Annotated[JsonObjectFormat, Tag("(json_object)")]
    | Annotated[JsonSchemaFormat, Tag("(json_schema)")],
    kinds("text", "json_object", "json_schema", default="text", what="Forms of an answer"),
]


class StructuredOutputs(Strict):
    """vLLM's field: one of these."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, populate_by_name=True)

    json_: JsonSchema | None = Field(None, alias="json")
    regex: Pattern | None = None
    choice: Choices | None = None
    json_object: bool | None = None
    grammar: Annotated[None, Unsupported("structured_outputs.grammar is")] = None
    structural_tag: Annotated[None, Unsupported("structured_outputs.structural_tag is")] = None


class StructureFields(BaseModel):
    """The fields of a chat request that speak of its answer's form; `regex` and `choice` are ours, `json_schema`
    is llama-server's.
    """

    response_format: ResponseFormat | None = None
    regex: Pattern | None = None
    choice: Choices | None = None
    json_schema: JsonSchema | None = None
    guided_json: JsonSchema | None = None
    guided_regex: Pattern | None = None
    guided_choice: Choices | None = None
    structured_outputs: StructuredOutputs | None = None

    @property
    def asked_format(self) -> ResponseFormat | None:
        """response_format, under whatever name it was given. Raises InvalidRequestError where two names say two
        things.
        """
        vllm, form = self._vllm, self.response_format
        own = None if form is None else _own_schema(form)
        schema = only(
            {
                "response_format": own,
                "json_schema": self.json_schema,
                "guided_json": self.guided_json,
                "structured_outputs.json": vllm.json_,
            }
        )
        if own is not None or (schema is None and not vllm.json_object):
            return form
        return JsonObjectFormat.model_validate({"type": "json_object", "schema": schema})

    @property
    def asked_regex(self) -> str | None:
        """Raises InvalidRequestError as `asked_format`."""
        named = {"regex": self.regex, "guided_regex": self.guided_regex}
        return only({**named, "structured_outputs.regex": self._vllm.regex})

    @property
    def asked_choice(self) -> list[str] | None:
        """Raises InvalidRequestError as `asked_format`."""
        named = {"choice": self.choice, "guided_choice": self.guided_choice}
        return only({**named, "structured_outputs.choice": self._vllm.choice})

    @property
    def _vllm(self) -> StructuredOutputs:
        return self.structured_outputs or StructuredOutputs.model_validate({})


def grammar_of(
    response_format: ResponseFormat | None = None,
    regex: str | None = None,
    choice: Sequence[str] | None = None,
    tools: Sequence[Tool] | None = None,
    tool_choice: ToolChoice | None = None,
    parallel: bool | None = None,
) -> Grammar | None:
    """The form of the answer; None where it is free. Raises InvalidRequestError, its `param` the field to blame."""
    schema = _schema_of(response_format)
    given = {"response_format": schema is not None, "regex": regex is not None, "choice": choice is not None}
    asked = [name for name, is_given in given.items() if is_given]
    if len(asked) > 1:
        raise InvalidRequestError(f"An answer has one form; {' and '.join(asked)} ask for several.", asked[-1])
    if at_hand := offered(tools, tool_choice):
        if regex is not None or choice is not None:
            raise NotSupportedError(f"{asked[0]} does not go together with tools.", asked[0])
        return _calls(at_hand, tool_choice, schema, parallel=parallel is not False)
    if schema is not None:
        return Grammar("json_schema", text_for_grammar(schema))
    if regex is not None:
        return Grammar("regex", regex, "regex")
    if choice is not None:
        return Grammar("lark", f"start: {' | '.join(map(_literal, choice))}", "choice")
    return None


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an answer as it was asked for: for engines that keep to forms in ways of their own."""

    response_format: ResponseFormat | None = None
    regex: str | None = None
    choice: Sequence[str] | None = None
    tools: Sequence[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel: bool | None = None

    @property
    def grammar(self) -> Grammar | None:
        """See grammar_of. Raises InvalidRequestError."""
        return grammar_of(self.response_format, self.regex, self.choice, self.tools, self.tool_choice, self.parallel)

    @property
    def schema(self) -> Schema | None:
        """Of the JSON that the answer is to be."""
        return _schema_of(self.response_format)


def _literal(text: str) -> str:
    """As Lark takes it: JSON's way of writing it, but for the one control character that JSON leaves bare."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _calls(tools: Sequence[Tool], choice: ToolChoice | None, schema: Schema | None, *, parallel: bool) -> Grammar:
    usable, must_call = callable_now(tools, choice)
    n_calls = MAX_CALLS if parallel and not isinstance(choice, NamedTool) else 1
    return Grammar("lark", calls_grammar(usable, must_call=must_call, n_calls=n_calls, otherwise=schema), "tools")


def _own_schema(form: ResponseFormat) -> Schema | None:
    """The schema that it names, if it does."""
    if isinstance(form, JsonSchemaFormat):
        return form.json_schema.schema_
    return form.schema_ if isinstance(form, JsonObjectFormat) else None


def _schema_of(response_format: ResponseFormat | None) -> Schema | None:
    if isinstance(response_format, JsonObjectFormat):
        return response_format.schema_ or ANY_OBJECT
    if isinstance(response_format, JsonSchemaFormat):
        return response_format.json_schema.schema_ or ANY_OBJECT
    return None
