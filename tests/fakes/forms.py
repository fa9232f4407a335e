"""Forms of answers, and requests for them, as the engine's tests use them."""

from __future__ import annotations

import json

import msgspec
from engine_tools import request

from r1chat.serve.engine.request import GenerateRequest, Grammar

SCHEMA = {
    "type": "object",
    "properties": {
        "answer": {"type": "integer", "minimum": 0, "maximum": 99999},
        "unit": {"enum": ["sheep", "apples", "none"]},
        "note": {"type": "string", "maxLength": 16},
        "steps": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
    },
    "required": ["answer", "unit", "note", "steps"],
    "additionalProperties": False,
}
JSON = Grammar("json_schema", json.dumps(SCHEMA))
DIGITS = Grammar("regex", "[0-9]{1,4} (sheep|apples)")
CHOICE = Grammar("lark", 'start: "yes" | "no" | "maybe so"')
# It would be tried for hours.
ENDLESS = Grammar("json_schema", json.dumps({"allOf": [{"pattern": f".*{chr(97 + i)}.{{{i}}}"} for i in range(25)]}))


def shaped(request_id: str, grammar: Grammar, text: str = "What is 12 + 30?", **params: object) -> GenerateRequest:
    return msgspec.structs.replace(request(request_id, text, **{"max_tokens": 500, **params}), grammar=grammar)


def is_valid(text: str) -> bool:
    value = json.loads(text)
    return (
        list(value) == ["answer", "unit", "note", "steps"]
        and isinstance(value["answer"], int)
        and 0 <= value["answer"] <= 99999
        and value["unit"] in ("sheep", "apples", "none")
        and isinstance(value["note"], str)
        and len(value["note"]) <= 16
        and len(value["steps"]) <= 3
        and all(isinstance(step, bool) for step in value["steps"])
    )
