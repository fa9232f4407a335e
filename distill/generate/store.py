"""The traces of a run: appended as they come, and put in order when the stage has all it wants.

Rows that these settings do not want, such as another teacher's, are copied to traces-aside.jsonl before they leave
traces.jsonl, and come back from there when they are wanted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from ..rows import DamagedRowError, ProblemRow, RowAppender, TraceRow, write_rows

Place = tuple[Path, int]  # a file, and the byte that the row begins at


class _Key(msgspec.Struct, frozen=True):
    """As much of a row as is read to find it."""

    id: str


class TraceStore:
    """Knows each row of both files by its id. Raises DamagedRowError on a damaged line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f"{path.stem}-aside{path.suffix}")
        self._appender = RowAppender(path)  # which first removes what a crash cut off
        RowAppender(self._aside).__exit__(None, None, None)
        self._known = set(self._places())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._appender.__exit__(kind, error, at)

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._known

    def add(self, row: TraceRow) -> None:
        """When this returns, a kill of this process does not lose the row."""
        self._appender.append(row)
        self._known.add(row.id)

    def settle(self, wanted: Mapping[str, ProblemRow | None]) -> None:
        """Leaves in traces.jsonl the rows known by these ids, once each and in this order. A row takes over the
        problem that comes with its id, whose gold may have been mended since.
        """
        self._put_aside(wanted)
        self._appender.__exit__(None, None, None)
        write_rows(self._path, self._chosen(wanted))
        self._appender = RowAppender(self._path)

    def _put_aside(self, wanted: Mapping[str, ProblemRow | None]) -> None:
        places = {row_id: at for row_id, at in _index(self._path) if row_id not in wanted}
        there = {row_id for row_id, _ in _index(self._aside)}
        with RowAppender(self._aside) as aside, _Reader() as reader:
            for row_id, at in places.items():
                if row_id not in there:
                    aside.append(reader.read((self._path, at)))

    def _chosen(self, wanted: Mapping[str, ProblemRow | None]) -> Iterator[TraceRow]:
        places = self._places()
        with _Reader() as reader:
            for row_id, problem in wanted.items():
                if row_id in places:
                    row = reader.read(places[row_id])
                    yield row if problem is None else msgspec.structs.replace(row, problem=problem)

    def _places(self) -> dict[str, Place]:
        """A row that lies in both files is taken from traces.jsonl."""
        return {row_id: (path, at) for path in (self._aside, self._path) for row_id, at in _index(path)}


class _Reader:
    """Reads rows where they lie; the files stay open meanwhile."""

    def __init__(self) -> None:
        self._files: dict[Path, BinaryIO] = {}
        self._stack = ExitStack()
        self._decoder = msgspec.json.Decoder(TraceRow)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, place: Place) -> TraceRow:
        path, at = place
        if path not in self._files:
            self._files[path] = self._stack.enter_context(path.open("rb"))
        file = self._files[path]
        file.seek(at)
        return self._decoder.decode(file.readline())


def _index(path: Path) -> Iterator[tuple[str, int]]:
    decoder, at = msgspec.json.Decoder(_Key), 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield decoder.decode(line).id, at
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise DamagedRowError(path, number, error) from error
            at += len(line)
