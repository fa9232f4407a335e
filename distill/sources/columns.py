"""Reads a problem out of a row that somebody else laid out: what its columns are called, where its gold stands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast, get_args

import msgspec

from ...serve.answers.extraction import boxed
from ..errors import DistillError
from ..rows import ProblemRow, Verifier, content_id
from .records import Record

PROMPT = ("problem", "question", "prompt", "instruction")
GOLD = ("answer", "gold", "final_answer", "expected_answer", "solution")
FAMILY = ("family", "subject", "problem_type", "type", "category")
LICENCE = ("licence", "license")
CALCULATOR = re.compile(r"<<[^<>]*>>")  # GSM8K's notes to a calculator
_SHORT = 80  # a longer solution without a box is prose
FINAL = "####"  # what stands before GSM8K's answers


def problem_of(record: Record, source: str, licence: str | None, *, not_gold: str | None = None) -> ProblemRow:
    """The problem of a row: one of ours as it is, any other by its columns. `not_gold` is a column that holds
    something else. Raises DistillError where there is no prompt.
    """
    if {"id", "prompt", "gold", "source"} <= record.keys():
        try:
            return msgspec.convert(record, ProblemRow)
        except msgspec.ValidationError:
            pass  # others have columns of these names too
    prompt = prompt_of(record)
    if not prompt:
        raise unknown_columns(record, source, "no problem", PROMPT)
    named = record.get("verifier")
    verifier: Verifier = cast(Verifier, named) if named in get_args(Verifier) else "math"
    return ProblemRow(
        id=content_id(source, prompt),
        prompt=prompt,
        gold=gold_of(record, not_gold),
        source=source,
        verifier=verifier,
        family=str(first(record, FAMILY) or ""),
        licence=_licence(record) or licence,
        check=check if isinstance(check := record.get("check"), dict) else None,
    )


def prompt_of(record: Record) -> str | None:
    """The question itself, or what the user says first in a conversation."""
    value = first(record, PROMPT)
    if isinstance(value, list):
        return first_turn(_turns(value), "user")
    if value is None:
        return first_turn(conversation(record), "user")
    # Alpaca's form: what an instruction is about stands beside it
    about = record.get("input") if value == record.get("instruction") else None
    return f"{value}\n\n{about}" if isinstance(about, str) and about.strip() else str(value)


def conversation(record: Record) -> list[Record]:
    """Messages of OpenAI's form; ShareGPT's `from` and `value` are understood too."""
    return _turns(record.get("messages") or record.get("conversations") or record.get("conversation"))


def _turns(value: Any) -> list[Record]:
    turns = [turn for turn in value if isinstance(turn, dict)] if isinstance(value, list) else []
    return [
        {**turn, "role": _role(turn), "content": _text(turn.get("content") or turn.get("value") or "")}
        for turn in turns
    ]


def _text(content: Any) -> str:
    """OpenAI's lists of parts are one text."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content)


def _licence(record: Record) -> str | None:
    named = first(record, LICENCE)
    return ", ".join(map(str, named)) if isinstance(named, list) else None if named is None else str(named)


def _role(turn: Record) -> str:
    name = str(turn.get("role") or turn.get("from"))
    return {"human": "user", "gpt": "assistant"}.get(name, name)


def first_turn(turns: Iterable[Record], role: str) -> str | None:
    return next((str(turn["content"]) for turn in turns if turn.get("role") == role), None)


def gold_of(record: Record, not_gold: str | None = None) -> str | None:
    """The short right answer: what follows GSM8K's ####, what a worked solution boxes last, or the column itself.
    Prose is none: beside it any answer would be wrong.
    """
    for name in GOLD:
        value = record.get(name)
        if name == not_gold or value is None or value == "" or isinstance(value, (dict, list)):
            continue
        text = str(value).strip()
        if FINAL in text:
            return text.rpartition(FINAL)[2].strip().replace(",", "")
        if name != "solution":
            return text
        if found := boxed(text) or (text if len(text) <= _SHORT and "\n" not in text else None):
            return found
    return None


def worked_solution(record: Record) -> str | None:
    """The steps that a person wrote down, where the row has them."""
    answer = record.get("answer")
    if isinstance(answer, str) and FINAL in answer:
        return CALCULATOR.sub("", answer.rpartition(FINAL)[0]).strip()
    solution = record.get("solution")
    return solution.strip() or None if isinstance(solution, str) else None


def first(record: Record, names: Iterable[str]) -> Any:
    """The first of these columns that holds something."""
    return next((record[name] for name in names if record.get(name) not in (None, "", [])), None)


def unknown_columns(record: Record, source: str, lacks: str, understood: Iterable[str]) -> DistillError:
    return DistillError(
        f"{source} has {lacks} in a row with the columns {', '.join(map(str, record)) or 'none'}; "
        f"understood are {', '.join(understood)}. "
        "Rename the columns, then run: r1chat distill generate"
    )
