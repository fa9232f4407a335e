"""samples.jsonl: the answers drawn so far. What still fits is not drawn again; what does not is thrown away."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..rows import ProblemRow, RowAppender, SampleRow, content_id, read_rows, write_rows


@dataclass(frozen=True)
class Draw:
    """One answer that is wanted of a model: to this problem of this set, with this seed."""

    id: str
    set: str
    problem: ProblemRow
    sample: int

    @property
    def seed(self) -> int:
        return draw_seed(self.problem.prompt, self.sample)


def draw_seed(prompt: str, sample: int) -> int:
    """Of sample 0, 1, … of a problem: the same for each model, and another for each problem. With one seed for all
    problems a draw that falls badly would fall badly everywhere, and intervals take problems for independent.
    """
    return int(content_id(prompt, str(sample)), 16) % 2**31


def wanted_draws(sets: dict[str, list[ProblemRow]], k: int, identity: str, sampling: dict[str, Any]) -> list[Draw]:
    """k of every problem. `identity` stands for the model's bytes; another model, setting or wording of a problem
    gives other ids.
    """
    drawn_with = msgspec.json.encode(sampling, order="sorted").decode()
    draws = []
    for name, problems in sets.items():
        for problem in problems:
            asked = msgspec.json.encode(problem).decode()
            seeds = [str(draw_seed(problem.prompt, i)) for i in range(k)]
            ids = [content_id(identity, drawn_with, name, asked, seed) for seed in seeds]
            draws += [Draw(each, name, problem, i) for i, each in enumerate(ids)]
    return draws


class Samples:
    """The rows of the file by their ids. Raises DistillError where it is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = {row.id: row for row in read_rows(path, SampleRow)} if path.exists() else {}

    def rows(self) -> list[SampleRow]:
        return list(self._rows.values())

    def missing(self, draws: Sequence[Draw]) -> list[Draw]:
        """Those that are to be drawn."""
        return [draw for draw in draws if draw.id not in self._rows]

    def of(self, draws: Sequence[Draw]) -> list[SampleRow]:
        """Their rows, which must all be there."""
        return [self._rows[draw.id] for draw in draws]

    def discard(self, key: str, quant: str, wanted: Collection[str]) -> int:
        """Takes out the rows of a model that are no longer wanted, as of an older student; how many they were."""
        stale = {
            row.id for row in self._rows.values() if (row.model, row.quant) == (key, quant) and row.id not in wanted
        }
        if stale:
            self._rewrite([row for row in self._rows.values() if row.id not in stale])
        return len(stale)

    def appender(self) -> RowAppender:
        """Adds rows to the file; `note` tells them to this object as well."""
        return RowAppender(self._path)

    def note(self, row: SampleRow) -> None:
        self._rows[row.id] = row

    def settle(self, rows: Sequence[SampleRow]) -> None:
        """Leaves exactly these rows, in this order."""
        if self.rows() != list(rows):
            self._rewrite(rows)

    def _rewrite(self, rows: Sequence[SampleRow]) -> None:
        write_rows(self._path, rows)
        self._rows = {row.id: row for row in rows}
