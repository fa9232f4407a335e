"""The rows that pass from stage to stage, and the JSONL files they lie in."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import msgspec

from ..serve.files import replace_file
from .errors import DistillError, quoted

# expression: the numbers of `check`, each used once, make its target (Countdown);
# outside: the answer must own up to it that the question lies outside the model's field
Verifier = Literal["math", "exact", "json", "code", "instructions", "expression", "outside", "none"]
Verdict = Literal["right", "wrong", "unknown"]
Row = TypeVar("Row", bound=msgspec.Struct)


class ProblemRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt, and how an answer to it is judged: `verifier` against `gold`, with what `check` adds (a JSON
    schema, unit tests). `family` is the template or subject it comes from; splits go by it.
    """

    id: str
    prompt: str
    gold: str | None
    source: str
    verifier: Verifier = "math"
    family: str = ""
    licence: str | None = None
    check: dict[str, Any] | None = None


class Teacher(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who wrote a trace. `sha256` is of its GGUF, where it is a file here."""

    name: str
    quant: str | None = None
    sha256: str | None = None
    licence: str | None = None


class TraceRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer of a teacher to one problem, byte for byte; what verify and filter found is filled in by them.

    `reasoning` is what stood between the think tags, `answer` what followed; None where the reply had no
    closed thought. `consensus` is the answer most samples of the problem gave, `consensus_share` how many.
    """

    id: str
    problem: ProblemRow
    teacher: Teacher
    sample: int
    reasoning: str | None
    answer: str
    finish_reason: str
    created: float
    params: dict[str, Any] = {}
    n_tokens: int | None = None
    n_reasoning_tokens: int | None = None
    seconds: float | None = None
    verdict: Verdict | None = None
    verdict_reason: str | None = None
    consensus: str | None = None
    consensus_share: float | None = None
    pass_rate: float | None = None
    lang: str | None = None


class SampleRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer of a measured model. `model` is teacher, base or student; `quant` the type of its GGUF. The `id`
    stands for all that decides the answer: file, settings, problem and seed.
    """

    id: str = ""
    model: str
    quant: str
    set: str
    problem_id: str
    sample: int
    reasoning: str | None
    answer: str
    finish_reason: str
    verdict: Verdict
    family: str = ""
    extracted: str | None = None
    n_tokens: int = 0
    n_reasoning_tokens: int = 0
    seconds: float = 0.0


class RolloutRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer that a student gave while it was trained, `step` steps after the start: in reinforcement learning
    rounds of completions, however many updates each was good for, else the optimizer's. `rewards` are by the name of
    their function, before weights; `watched`: to one of the held-out problems it is asked again and again.
    """

    step: int
    problem_id: str
    prompt: str
    reasoning: str | None
    answer: str
    finish_reason: str
    verdict: Verdict
    rewards: dict[str, float | None] = {}
    n_tokens: int = 0
    family: str = ""
    watched: bool = False


# Files that models wrote in hours, an answer a line; the others are made of them in minutes.
_ANSWERS = ("traces.jsonl", "traces-aside.jsonl", "samples.jsonl", "rollouts.jsonl")


class DamagedRowError(DistillError, msgspec.DecodeError):
    """A line of a file of rows cannot be read; the text says which, and why."""

    def __init__(self, path: Path, line: int, reason: Exception) -> None:
        mend = f"Take it away, and a run makes it anew: rm {quoted(path)}"
        if path.name in _ANSWERS:
            mend = f"Take the line out, and the others stay: sed -i.bak {line}d {quoted(path)}"
        super().__init__(f"{path}, line {line}: {reason}. {mend}")


def content_id(*parts: str) -> str:
    """16 hex digits that only these parts, in this order, have."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_rows(path: Path, kind: type[Row]) -> Iterator[Row]:
    """The rows of a file. A last line without its line feed was cut off by a crash, and is left out.

    Raises DamagedRowError (a ValueError) for any other damage.
    """
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise DamagedRowError(path, number, error) from error


def teachers_of(path: Path) -> list[str]:
    """Who wrote the traces of a file, by name, whoever wrote most first; none where there is no file."""
    names = Counter(row.teacher.name for row in read_rows(path, TraceRow)) if path.exists() else Counter[str]()
    return [name for name, _ in names.most_common()]


def write_rows(path: Path, rows: Iterable[msgspec.Struct]) -> int:
    """Writes a whole file, or none; the number of rows."""
    count = 0
    with replace_file(path) as aside, aside.open("wb") as out:
        for row in rows:
            out.write(msgspec.json.encode(row) + b"\n")
            count += 1
    return count


def forget_rollouts(path: Path, after: int) -> None:
    """Takes out the answers of steps later than `after`: a training that goes on from there has them come again. A file
    that is not there stays so.
    """
    if path.exists():
        write_rows(path, [row for row in read_rows(path, RolloutRow) if row.step <= after])


class RowAppender:
    """Adds rows to a file as they come. Whatever a crash cut off is removed first; `flush` brings rows to disk."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+")
        self._file.truncate(_whole_lines(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._file.closed:
            with self._file:
                self.flush()

    def append(self, row: msgspec.Struct) -> None:
        self._file.write(msgspec.json.encode(row) + b"\n")
        self._file.flush()

    def flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _whole_lines(path: Path) -> int:
    """Bytes up to and with the last line feed."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        while at > 0:
            start = max(0, at - 65536)
            file.seek(start)
            found = file.read(at - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            at = start
    return 0
