"""Answers that are compared to the letter, up to their dress, and answers that are JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from ...serve.answers.extraction import boxed, canonical_json, comparable, undressed
from .ruling import Ruling, right, unknown, wrong
from .schema import SchemaNotKnown, violation

MAX_TEXT = 1_000_000
# over marks, and over line breaks behind one, to the answer's first sign
_ANNOUNCED = re.compile(
    r"\banswer(?: is[ \t]+|(?: is)?[ \t]*[:=*_][\s:=*_]{0,20})([^\s:=*_][^\n]{0,499})", re.IGNORECASE
)
# "C because" is C, but A and I begin sentences
_LETTER = re.compile(r"\(([A-Z])\)(?:[.: ].*)?|([A-Z])(?:[.:)].*)?|([B-HJ-Z]) .*", re.DOTALL)


def rule_exact(gold: str | None, text: str) -> Ruling:
    """Whether the answer is the gold: 36.0 is 36 and \\text{Monday} is monday, but no mathematics is done."""
    answer = final_answer(text)
    if answer is None:
        return wrong("no answer")
    if gold is None:
        return unknown("no gold", answer)
    same = gold.strip() == answer or comparable(gold.strip(), "boxed") == comparable(answer, "boxed")
    if not same and (choice := _LETTER.fullmatch(undressed(answer))) and _is_choice(gold):
        answer = next(filter(None, choice.groups()))
        same = answer == gold.strip().strip("()")
    return (right if same else wrong)("equal" if same else "another answer", answer)


def final_answer(text: str) -> str | None:
    """The last \\boxed{}; without one what the last "answer is" or "Answer:" announces, or else the last line."""
    if "\\boxed{" in text:
        return boxed(text[-MAX_TEXT:])
    announced = _ANNOUNCED.findall(text[-MAX_TEXT:])
    lines = text[-MAX_TEXT:].strip().rsplit("\n", 1)
    return (announced or lines)[-1].strip(" *_`\t").removesuffix(".").rstrip(" *_`\t") or None


def rule_json(gold: str | None, check: dict[str, Any] | None, text: str) -> Ruling:
    """Whether the answer is JSON that fits `check["schema"]`, where there is one, and equals the gold, if any."""
    if len(text) > MAX_TEXT:
        return wrong(f"longer than {MAX_TEXT} characters")
    answer = canonical_json(text)
    if answer is None:
        return wrong("no JSON")
    schema = (check or {}).get("schema")
    if gold is None and schema is None:
        return unknown("no gold", answer)
    if gold is not None and canonical_json(gold) != answer:
        return wrong("other JSON", answer)
    if schema is None:
        return right("equal", answer)
    try:
        against = violation(json.loads(answer), schema)
    except SchemaNotKnown as error:
        return unknown(str(error), answer)
    except (ArithmeticError, AttributeError, TypeError, ValueError):  # whoever wrote the row wrote the schema
        return unknown("the schema is none", answer)
    return wrong(against, answer) if against else right("fits the schema", answer)


def _is_choice(gold: str) -> bool:
    return re.fullmatch(r"\(?[A-Z]\)?", gold.strip()) is not None
