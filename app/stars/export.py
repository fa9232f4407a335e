"""The accepted stars as files: rows that `r1chat distill --traces` reads as they are, and ShareGPT's conversations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from ...distill.rows import ProblemRow, Teacher, TraceRow, content_id
from ...serve.reasoning import CLOSE_TAG, OPEN_TAG
from ..distilling.host import licence_of
from .gates import row_tokens, thought_tokens
from .records import Star

Format = Literal["traces", "sharegpt"]
SOURCE = "chat"


def exported(stars: Iterable[Star], form: Format) -> Iterator[bytes]:
    """One line a star, the oldest first; only those that passed every gate."""
    accepted = sorted((star for star in stars if star.state == "accepted"), key=lambda star: (star.created, star.id))
    rows = trace_rows(accepted) if form == "traces" else map(_conversation, accepted)
    return (msgspec.json.encode(row) + b"\n" for row in rows)


def trace_rows(stars: Iterable[Star]) -> Iterator[TraceRow]:
    """Rows of traces.jsonl. Each has a gold by which a run finds its answer right again."""
    samples: Counter[str] = Counter()
    for star in stars:
        row = _trace(star)
        yield msgspec.structs.replace(row, sample=samples[row.problem.id])
        samples[row.problem.id] += 1


def _trace(star: Star) -> TraceRow:
    turn, source = star.turn, star.source
    assert star.judged is not None, "an accepted star was judged"
    gold, verifier = star.judged.gold, star.judged.verifier
    return TraceRow(
        id=star.id,
        problem=ProblemRow(
            id=content_id(SOURCE, turn.question, gold),
            prompt=turn.question,
            gold=gold,
            source=SOURCE,
            verifier=verifier,
            check={"checked_by": star.judged.by},
        ),
        teacher=Teacher(name=source.model or "unknown", licence=licence_of(source.model)),
        sample=0,
        reasoning=turn.thought,
        answer=turn.answer,
        finish_reason="stop",
        created=star.created,
        params=_params(star),
        n_tokens=row_tokens(star),
        n_reasoning_tokens=thought_tokens(star),
        seconds=source.seconds or None,
    )


def _params(star: Star) -> dict[str, Any]:
    """How the reply was asked for, and what a person did to it since."""
    source = star.source
    told = {
        "reply_id": source.reply_id,
        "choice": source.choice,
        "origin": source.origin,
        "kept_chars": source.kept_chars,
        "system": source.system,
        "edited": list(star.edited),
    }
    return {**source.sampling, **{name: value for name, value in told.items() if value}}


def _conversation(star: Star) -> dict[str, Any]:
    turn = star.turn
    reply = f"{OPEN_TAG}\n{turn.thought.strip()}\n{CLOSE_TAG}\n\n{turn.answer.strip()}"
    said = [{"from": "human", "value": turn.question}, {"from": "gpt", "value": reply}]
    return {"id": star.id, "model": star.source.model, "conversations": said}
