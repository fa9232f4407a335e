"""JSON schemas as clients send them: bounded in size, and made ready for the grammar that will bind a reply to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

MAX_BYTES = 64 * 1024
MAX_DEPTH = 64
# One line with the blanks that Python and most of what models have read put there. A grammar that lets
# blanks through would let a weak model write nothing else.
LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
# Said to readers. The prompt has it; a grammar would only grow by it.
_REMARKS = frozenset({"title", "description", "default", "examples", "$comment", "x-guidance"})
# Any other format is a remark for readers, as the standard has it.
ENFORCED_FORMATS = frozenset(
    "date-time time date duration email hostname ipv4 ipv6 uuid uri".split(),
)
_COMPOSING = frozenset({"allOf", "anyOf", "oneOf", "$ref", "if", "not"})
_OPEN_ENDS = frozenset({"additionalProperties", "patternProperties", "unevaluatedProperties"})
_MAPS_OF_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")


def bounded(schema: Schema) -> Schema:
    """The schema itself. Raises ValueError where it is too large, nested too deep or holds half characters."""
    return bounded_object(schema, "the JSON schema", MAX_BYTES)


def bounded_object(value: dict[str, Any], what: str, max_bytes: int) -> dict[str, Any]:
    """The object itself, which is called `what`. Raises ValueError as `bounded`."""
    if _is_deeper(value, MAX_DEPTH):
        raise ValueError(f"{what} is nested deeper than {MAX_DEPTH} levels")
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} holds half of a surrogate pair, which is no character") from None
    if size > max_bytes:
        raise ValueError(f"{what} has {size} bytes; {max_bytes} are allowed")
    return value


def text_for_grammar(schema: Schema, *, lenient: bool = False) -> str:
    """The schema as the grammar takes it. `lenient`: keywords the grammar does not know bind nothing."""
    ready = _ready(schema, closes=not _composes_objects(schema))
    return json.dumps({**ready, "x-guidance": {**LAYOUT, "lenient": lenient}})


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _ready(schema: Any, *, closes: bool) -> Any:
    """`closes`: objects take the properties that are named, unless the schema says what else they may take.

    What the narrower schema allows, the schema allows, and a weak model does not invent properties for ever.
    """
    if not isinstance(schema, dict):
        return schema
    ready = {key: value for key, value in schema.items() if key not in _REMARKS}
    if str(ready.get("format")) not in ENFORCED_FORMATS:
        ready.pop("format", None)
    if closes and "properties" in ready and not _OPEN_ENDS & ready.keys():
        ready["additionalProperties"] = False
    for key in _MAPS_OF_SCHEMAS:
        if isinstance(ready.get(key), dict):
            ready[key] = {name: _ready(value, closes=closes) for name, value in ready[key].items()}
    for key in _LISTS_OF_SCHEMAS:
        if isinstance(ready.get(key), list):
            ready[key] = [_ready(value, closes=closes) for value in ready[key]]
    for key in _SCHEMAS:
        if key in ready:
            ready[key] = _ready(ready[key], closes=closes)
    return ready


def _composes_objects(schema: Any) -> bool:
    """True where one object may have to satisfy several schemas, which closed ones would contradict."""
    if not isinstance(schema, dict):
        return any(_composes_objects(child) for child in _children(schema))
    if "allOf" in schema or ("properties" in schema and _COMPOSING & schema.keys()):
        return True
    return any(_composes_objects(child) for child in schema.values())
