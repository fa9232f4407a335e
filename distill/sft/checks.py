"""What must hold of every row before the first step: what breaks a reasoning student is silent later on."""

from __future__ import annotations

from collections.abc import Iterable

from ...serve.reasoning import split
from ..errors import DistillError
from ..rows import TraceRow
from .formats import CLOSING
from .rows import IGNORED, EncodedRow, RowEncoder


def check_rows(rows: Iterable[tuple[TraceRow, EncodedRow]], encoder: RowEncoder, max_tokens: int) -> int:
    """Of each trace and what is trained on of it: the prompt is the server's and not learned; the thought, its closing
    tag, the answer and the end are, byte for byte; none is longer than `max_tokens` or the base's positions.

    Returns how many there were. Raises DistillError, naming the first row that is otherwise and why.
    """
    limit = min(max_tokens, encoder.context or max_tokens)
    count = 0
    for trace, row in rows:
        if fault := _fault(trace, row, encoder, limit):
            raise DistillError(
                f"Row {trace.id} cannot be trained on: {fault}. Filter the traces again: r1chat distill filter"
            )
        count += 1
    return count


def _fault(trace: TraceRow, row: EncodedRow, encoder: RowEncoder, limit: int) -> str | None:
    if trace.reasoning is None:
        return "it has no thought"
    if len(row.input_ids) > limit:
        return f"it has {len(row.input_ids)} tokens, and {limit} is the most"
    if len(row.labels) != len(row.input_ids):
        return f"it has {len(row.labels)} labels for {len(row.input_ids)} tokens"
    prompt = encoder.encode_prompt(trace.problem.prompt)
    n = len(prompt)
    if row.input_ids[:n] != prompt:
        return "its prompt is not the one that the server asks with"
    if row.labels[:n] != [IGNORED] * n:
        return "its prompt would be learned"
    learned = row.labels[n:]
    if learned != row.input_ids[n:]:
        return "a part of its thought, answer or end would not be learned"
    if learned[-1:] != [encoder.eos_id] or learned.count(encoder.eos_id) != 1:
        return f"it does not end with {encoder.format.eos}, or not only there"
    if encoder.decode(learned[:-1]) != f"{trace.reasoning}\n{CLOSING}{trace.answer}":
        return "its tokens do not spell its thought, closing tag and answer"
    return _misread(trace)


def _misread(trace: TraceRow) -> str | None:
    """The server must split the reply where the trace was split; it drops line breaks that touch a tag."""
    parts = split(f"{trace.reasoning}\n{CLOSING}{trace.answer}", reasoning_open=True)
    if parts.thought != (trace.reasoning or "").strip("\n"):
        return "its thought holds a think tag, so that it would be split elsewhere"
    return None if trace.answer.strip() else "it has no answer"
