"""The reply, or the replies, in a row of somebody else's traces: the thought byte for byte, the answer apart. Line
breaks at their ends belong to the tags, with which a student learns them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...serve.reasoning import CLOSE_TAG, OPEN_TAG, split
from .columns import conversation, first, gold_of, unknown_columns, worked_solution
from .records import Record

REASONING = ("reasoning", "reasoning_content", "thinking")
TEXT = ("content", "response", "completion", "output", "generation")
UNDERSTOOD = ("generations", "messages", "conversations", *REASONING, *TEXT, "solution", "answer with ####")


@dataclass(frozen=True)
class Reply:
    """`number` tells the replies of one row apart; `column` is the one that the answer came from."""

    reasoning: str | None
    answer: str
    number: int = 0
    finish_reason: str = "stop"
    column: str | None = None
    by_person: bool = False


def replies_of(record: Record, source: str) -> Iterator[Reply]:
    """All that a row has and that its own marks call complete and right. Raises DistillError where it has no column for
    one; the column may be empty.
    """
    if isinstance(record.get("generations"), list):
        yield from _generations(record)
        return
    turn = next((turn for turn in conversation(record) if turn.get("role") == "assistant"), None)
    if turn is not None:
        yield split_reply(str(turn["content"]), first(turn, REASONING))
        return
    reasoning = first(record, REASONING)
    column = next((name for name in (*TEXT, *(("answer",) if reasoning else ())) if record.get(name)), None)
    if column is not None:
        reply = split_reply(str(record[column]), reasoning)
        finish = str(record.get("finish_reason") or reply.finish_reason)
        yield Reply(reply.reasoning, reply.answer, finish_reason=finish, column=column)
        return
    steps = worked_solution(record)
    if steps is None:
        if record.keys() & {"messages", "conversations", *TEXT, "solution"}:
            return
        raise unknown_columns(record, source, "no reply", UNDERSTOOD)
    if (gold := gold_of(record)) is not None:
        yield Reply(steps, f"The answer is \\boxed{{{gold}}}.", by_person=True)


def _generations(record: Record) -> Iterator[Reply]:
    """OpenR1's form: texts with tags, and beside them lists that say which are complete and which are right."""
    complete = record.get("is_reasoning_complete") or []
    right = record.get("correctness_math_verify") or []
    for number, text in enumerate(record["generations"]):
        if not (_holds(complete, number) and _holds(right, number)):
            continue
        reply = split_reply(str(text), None)
        yield Reply(reply.reasoning, reply.answer, number, reply.finish_reason)


def _holds(marks: list[bool | None], number: int) -> bool:
    return not marks or (number < len(marks) and marks[number] is True)


def split_reply(text: str, reasoning: str | None) -> Reply:
    """A reply whose thought may have come apart, or stands in its text between tags, of which the first may be in
    the prompt. A thought that does not end leaves an empty answer and the finish_reason `length`.
    """
    if isinstance(reasoning, str):
        reasoning = reasoning.strip("\n")
    if reasoning:
        return Reply(reasoning, text.lstrip("\n"))
    opened = text.lstrip().startswith(OPEN_TAG)
    if not opened and CLOSE_TAG not in text:
        return Reply(None, text)
    parts = split(text.lstrip() if opened else text, reasoning_open=True)
    return Reply(parts.thought, parts.answer, finish_reason="length" if parts.state == "reasoning" else "stop")
