"""What a teacher wrote, what models answered, and what a student answered while it learnt, problem by problem: a run's
rows, found by where they stand in their files and never all in memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from .lines import Lines


class _Problem(msgspec.Struct):
    id: str


class _Head(msgspec.Struct):
    """All that is needed of a TraceRow, a SampleRow, a RolloutRow or a ProblemRow to find it."""

    id: str = ""
    problem: _Problem | None = None
    problem_id: str = ""
    verdict: str | None = None
    watched: bool = False

    @property
    def key(self) -> str:
        return self.problem.id if self.problem else self.problem_id or self.id


class Rollouts:
    """The rows of one file by problem, in the order in which the problems come first. `watched`: only those of
    problems that are asked again and again.
    """

    def __init__(self, path: Path, *, watched: bool = False) -> None:
        self._watched = watched
        self._lines = Lines(path, self._forget)
        self._head = msgspec.json.Decoder(_Head).decode
        self._forget()

    def _forget(self) -> None:
        self._rows: dict[str, array[int]] = {}
        self._not_right: dict[str, None] = {}
        self._change: dict[str, tuple[bool, bool]] = {}  # right at first, right now

    def read_on(self) -> None:
        """Takes what was written since."""
        for offset, line in self._lines.new():
            try:
                head = self._head(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # a line that a crash spoiled
            if self._watched and not head.watched:
                continue
            right = head.verdict == "right"
            self._change[head.key] = (self._change.get(head.key, (right, right))[0], right)
            self._rows.setdefault(head.key, array("q")).append(offset)
            if head.verdict not in (None, "right"):
                self._not_right[head.key] = None

    def problems(self, *, not_right: bool = False) -> list[str]:
        """Their ids; `not_right`: those where an answer was not found right."""
        return list(self._not_right if not_right else self._rows)

    def became_right(self) -> list[str]:
        """Those whose first row was not found right and whose last one was."""
        return [key for key, change in self._change.items() if change == (False, True)]

    def rows(self, problem: str) -> Iterator[dict[str, Any]]:
        """Those of a problem, as they stand in the file, read one by one."""
        offsets = self._rows.get(problem)
        if not offsets:
            return
        with self._lines.path.open("rb") as file:
            for offset in offsets:
                file.seek(offset)
                try:
                    yield msgspec.json.decode(file.readline(), type=dict[str, Any])
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # the file is another by now, or a crash spoiled the line
