"""What a `--traces` names, read into rows: replies that a teacher gave elsewhere, and worked solutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from ..errors import DistillError
from ..rows import ProblemRow, Teacher, TraceRow, content_id
from .columns import first, problem_of
from .generated import LICENCE, SOURCE, check_families, generated_problems, problem_row
from .records import Record, Records, check_records, is_file, open_records, read_file
from .replies import Reply, replies_of

OPENR1_MATH = "openr1-math"
HUB_NAMES = {OPENR1_MATH: "open-r1/OpenR1-Math-220k"}
# Teachers by the Hub datasets whose rows do not name them.
WRITTEN = "written"
R1 = Teacher(name="deepseek-r1", licence="MIT")
TEACHERS = {"open-r1/OpenR1-Math-220k": R1, "open-r1/Mixture-of-Thoughts": R1}


def load_traces(spec: str, *, limit: int | None = None, seed: int = 0) -> Iterator[TraceRow]:
    """The traces of a spec in its order, the same ones with the same ids each time; at most `limit`.

    A spec is a path (.jsonl, .json), with a file of golds by the rows' ids behind an @ if wanted; `written
    [:families]` (or `generated`), the problems that we generate with the thoughts that our families write for them
    by rule, drawn by `seed`; `openr1-math`; or a dataset of the Hub, `user/name[:config[:split]]`. Raises
    DistillError, also while the rows are read.
    """
    if is_written(spec):
        return _written(spec.partition(":")[2], limit, seed)
    path, *keys = keyed_paths(spec)
    golds = {row_id: gold for name in keys for row_id, gold in _golds(Path(name))}
    return islice(_traces(open_records(HUB_NAMES.get(path, path), "traces"), golds), limit)


def check_traces(spec: str) -> None:
    """Whether a spec names traces, as far as can be told without the network or long work. Raises DistillError."""
    if is_written(spec):
        check_families(None, spec.partition(":")[2])
    elif spec not in HUB_NAMES:
        check_records(keyed_paths(spec)[0], "traces")


def is_written(spec: str) -> bool:
    """Whether a spec names the traces that our own families write: as many as are asked for."""
    return spec.partition(":")[0] in (WRITTEN, SOURCE)


def _traces(records: Records, golds: dict[str, str]) -> Iterator[TraceRow]:
    samples: Counter[str] = Counter()
    rows = without_reply = 0
    for index, record in enumerate(records.rows):
        rows += 1
        if isinstance(record.get("problem"), dict):
            yield _ours(record, records.name)
            continue
        replies = list(replies_of(record, records.name))
        without_reply += not replies
        for reply in replies:
            row = _valid(_trace(record, reply, records, index, golds), records.name)
            yield msgspec.structs.replace(row, sample=samples[row.problem.id])
            samples[row.problem.id] += 1
    if rows == without_reply:
        lacks = f"has no whole reply in any of its {rows:,} rows" if rows else "has no rows"
        raise DistillError(f"{records.name} {lacks}. Give another: r1chat distill generate --traces FILE.jsonl")


def _ours(record: Record, source: str) -> TraceRow:
    try:
        return msgspec.convert(record, TraceRow)
    except msgspec.ValidationError as error:
        raise DistillError(
            f"A trace of {source} is not as traces.jsonl has them: {error}. "
            "Take that of a run: r1chat distill generate --traces RUN/traces.jsonl"
        ) from error


def _valid(row: TraceRow, source: str) -> TraceRow:
    """Columns hold what they please, and what cannot be read again must not be written. Raises DistillError."""
    try:
        return msgspec.json.decode(msgspec.json.encode(row), type=TraceRow)
    except (msgspec.MsgspecError, ArithmeticError, TypeError, ValueError) as error:
        raise DistillError(
            f"A row of {source} is no trace: {error}. Mend it, then run: r1chat distill generate --traces FILE.jsonl"
        ) from error


def _trace(record: Record, reply: Reply, records: Records, index: int, golds: dict[str, str]) -> TraceRow:
    problem = problem_of(record, records.name, records.licence, not_gold=reply.column)
    own_id = first(record, ("id", "uuid"))
    gold = golds.get(str(own_id))
    return TraceRow(
        id=content_id(records.name, str(index if own_id is None else own_id), str(reply.number)),
        problem=problem if gold is None else msgspec.structs.replace(problem, gold=gold),
        teacher=_teacher(record, reply, records.name, problem),
        sample=0,
        reasoning=reply.reasoning,
        answer=reply.answer,
        finish_reason=reply.finish_reason,
        created=0.0,  # unknown, and the same rows are to come of the same file
        n_tokens=_count(record, "completion_tokens", "n_tokens", "num_tokens"),
        n_reasoning_tokens=_count(record, "reasoning_tokens", "n_reasoning_tokens"),
    )


def _teacher(record: Record, reply: Reply, source: str, problem: ProblemRow) -> Teacher:
    if reply.by_person:
        return Teacher(name=f"{source} (worked solutions)", licence=problem.licence)
    name = next((record[key] for key in ("model", "teacher", "generator") if isinstance(record.get(key), str)), None)
    if name is None and source.partition(":")[0] in TEACHERS:
        return TEACHERS[source.partition(":")[0]]
    return Teacher(name=name or source, licence=problem.licence)


def _count(record: Record, *names: str) -> int | None:
    return next((record[name] for name in names if type(record.get(name)) is int), None)


def keyed_paths(spec: str) -> tuple[str, ...]:
    """The path, and behind its last @ that of the golds; a file that is there may have an @ in its name."""
    path, at, keys = spec.rpartition("@")
    return (path, keys) if at and is_file(path) and not Path(spec).is_file() else (spec,)


def _golds(path: Path) -> Iterator[tuple[str, str]]:
    """From {id: gold}, or rows with an id and a gold (or answer)."""
    if path.is_file():
        try:
            plain: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
            if "id" not in plain:
                yield from ((key, str(gold)) for key, gold in plain.items())
                return
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # a list, or lines
    for row in read_file(path, "traces"):
        gold = row.get("gold", row.get("answer"))
        if "id" not in row or gold is None:
            raise DistillError(
                f"{path} is to have the columns id and gold, and has {', '.join(row)}. "
                f"Rename them, then run: r1chat distill generate --traces FILE.jsonl@{path}"
            )
        yield str(row["id"]), str(gold)


def _written(families: str, limit: int | None, seed: int) -> Iterator[TraceRow]:
    for problem in generated_problems(families, limit, seed):
        row = problem_row(problem, SOURCE)
        yield TraceRow(
            id=content_id(SOURCE, row.id, "solution"),
            problem=row,
            teacher=Teacher(name="written by rule", licence=LICENCE),
            sample=0,
            reasoning=problem.reasoning,
            answer=problem.answer,
            finish_reason="stop",
            created=0.0,
        )
