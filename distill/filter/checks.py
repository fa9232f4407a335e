"""What a single row can fail by its form and its verdict."""

from __future__ import annotations

from ...serve.reasoning import TAGS
from ..rows import TraceRow
from .funnel import Drop


def check_finished(row: TraceRow) -> Drop | None:
    """Only a reply that the teacher ended itself shows a student how to end."""
    return None if row.finish_reason == "stop" else Drop("unfinished", row.finish_reason)


def check_thought(row: TraceRow) -> Drop | None:
    """A row is one closed thought with an answer behind it, and no tag but those around the thought."""
    if row.reasoning is None:
        return Drop("no_thought")
    if not row.reasoning.strip():
        return Drop("empty_thought")
    for part, text in (("thought", row.reasoning), ("answer", row.answer)):
        found = next((tag for tag in TAGS if tag in text), None)
        if found:
            return Drop("stray_tag", f"{found} in the {part}")
    return None if row.answer.strip() else Drop("empty_answer")


def check_verdict(row: TraceRow, *, keep_unverified: bool) -> Drop | None:
    """Wrong answers go; those that could not be judged go too, unless asked for."""
    if row.verdict == "wrong":
        return Drop("wrong", row.verdict_reason or "")
    if row.verdict != "right" and not keep_unverified:
        return Drop("unverified", row.verdict_reason or "")
    return None
