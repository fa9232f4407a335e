"""The gates between a starred turn and the distil set, in the order in which they are told. Distill's own checks, so
that what is let in here is not dropped there.

Each gate looks at one star and names its reason; nothing here judges an answer or knows other stars.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...distill.filter.checks import check_thought
from ...distill.filter.config import FilterConfig
from ...distill.filter.language import check_language
from ...distill.filter.repetition import check_repetition
from ...distill.lengths import CHARACTERS_PER_TOKEN
from ...distill.rows import ProblemRow, Teacher, TraceRow
from .records import Gate, GateState, Judged, Star, StarState

# In tokens. A shorter thought shows a student no way to its answer.
SHORTEST_THOUGHT = 16
# What a run drops by itself unless told otherwise.
LONGEST_ROW = FilterConfig().max_tokens


def gates_of(star: Star) -> tuple[Gate, ...]:
    """What speaks for and against a star by itself."""
    return tuple(_gates(star))


def answer_gate(judged: Judged | None, reason: str, *, wrong: bool, said: str = "") -> Gate:
    """What is known of the answer; `said` is the answer as it was read."""
    if judged is not None:
        return Gate(name="answer", state="passed", reason=judged.by, detail={"gold": judged.gold})
    return Gate(name="answer", state="failed" if wrong else "open", reason=reason, detail={"said": said[:200]})


def state_of(gates: tuple[Gate, ...]) -> StarState:
    """One that fails refuses, one that is open has it wait."""
    states = {gate.state for gate in gates}
    return "refused" if "failed" in states else "waiting" if "open" in states else "accepted"


def row_tokens(star: Star) -> int:
    """Of thought and answer together: as the model counted them, or about so many where they were edited."""
    return thought_tokens(star) + _tokens(star.turn.answer, star.original.answer, star.source.answer_tokens)


def thought_tokens(star: Star) -> int:
    """Of the thought, in the same way."""
    return _tokens(star.turn.thought, star.original.thought, star.source.thought_tokens)


def _gates(star: Star) -> Iterator[Gate]:
    yield _ended(star)
    yield _shape(star)
    yield _loop(star)
    yield _length(star)
    yield _language(star)
    yield _context(star)


def _ended(star: Star) -> Gate:
    """How thought and answer ended by themselves; where a person wrote the end anew, that person answers for it."""
    source, edited = star.source, star.edited
    if source.state != "done" and "answer" not in edited:
        return _gate("ended", "failed", source.state)
    if "thought" not in edited and source.reasoning_end not in (None, "natural"):
        return _gate("ended", "failed", f"thought_{source.reasoning_end}")
    if "answer" not in edited and source.finish_reason not in (None, "", "stop"):
        return _gate("ended", "failed", "answer_cut", finish=source.finish_reason)
    return _gate("ended", "passed", "edited" if {"thought", "answer"} & {*edited} else "natural")


def _shape(star: Star) -> Gate:
    if not star.turn.question.strip():
        return _gate("shape", "failed", "no_question")
    drop = check_thought(as_row(star))
    return _gate("shape", "passed", "whole") if drop is None else _gate("shape", "failed", drop.reason)


def _loop(star: Star) -> Gate:
    drop = check_repetition(f"{star.turn.thought}\n{star.turn.answer}")
    if drop is None:
        return _gate("loop", "passed", "none")
    return _gate("loop", "failed", drop.reason, found=drop.detail[:300])


def _length(star: Star) -> Gate:
    thought, whole = thought_tokens(star), row_tokens(star)
    if thought < SHORTEST_THOUGHT:
        return _gate("length", "failed", "short", tokens=thought, least=SHORTEST_THOUGHT)
    if whole > LONGEST_ROW:
        return _gate("length", "failed", "long", tokens=whole, most=LONGEST_ROW)
    return _gate("length", "passed", "fits", tokens=whole)


def _language(star: Star) -> Gate:
    """Runs that begin on the page learn thoughts of one language."""
    usual = FilterConfig()
    drop = check_language(star.turn.thought, star.turn.answer, usual.language, usual.min_language_share)
    if drop is None:
        return _gate("language", "passed", "usual")
    return _gate("language", "failed", drop.reason, found=drop.detail[:300])


def _context(star: Star) -> Gate:
    """A row is one question without anything before it; that a later question stands alone, only a person can tell."""
    if star.source.n_before == 0 and not star.source.system:
        return _gate("context", "passed", "first")
    if star.alone:
        return _gate("context", "passed", "alone")
    return _gate("context", "open", "later" if star.source.n_before else "system", before=star.source.n_before)


def as_row(star: Star) -> TraceRow:
    """The star as distill sees a trace, without its gold."""
    problem = ProblemRow(id=star.id, prompt=star.turn.question, gold=None, source="chat")
    return TraceRow(
        id=star.id,
        problem=problem,
        teacher=Teacher(name=star.source.model),
        sample=0,
        reasoning=star.turn.thought or None,
        answer=star.turn.answer,
        finish_reason="stop",
        created=star.created,
    )


def _tokens(now: str, before: str, counted: int) -> int:
    return counted if counted and now == before else round(len(now) / CHARACTERS_PER_TOKEN)


def _gate(name: str, state: GateState, reason: str, **detail: object) -> Gate:
    return Gate(name=name, state=state, reason=reason, detail=detail)
