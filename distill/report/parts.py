"""What a page is put together from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .canvas import Picture
from .side_by_side import Trial


@dataclass(frozen=True)
class Table:
    """Cells are ready to read. The columns in `numbers` stand to the right; `folded` shows on a click."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: range = range(0)
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it; `missing` instead, where a stage has not run yet."""

    key: str
    title: str
    text: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    trials: Sequence[Trial] = ()
    missing: tuple[str, str] | None = None  # (what is not there, the command that makes it)


@dataclass(frozen=True)
class Page:
    """A whole report. `verdicts`: the first is the headline. `caution` stands above all."""

    title: str
    verdicts: Sequence[str]
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    made: str
    kind: str = "Distillation report"
    caution: str = ""
