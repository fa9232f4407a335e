"""Rows as others wrote them, of a JSON file or a Hub dataset: dicts, whose columns it is for `columns` to read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..errors import DistillError
from .hub import HUB_ID, open_dataset

Record = dict[str, Any]
SUFFIXES = (".jsonl", ".json", ".ndjson")


@dataclass(frozen=True)
class Records:
    """`name` is what the rows say they come from; `licence` holds for all of them, where it is known."""

    name: str
    licence: str | None
    rows: Iterator[Record]


def open_records(spec: str, kind: str) -> Records:
    """The rows of a path or of `user/name[:config[:split]]`. `kind`, problems or traces, is for the error.

    Raises DistillError, also while the rows are read.
    """
    check_records(spec, kind)
    if is_file(spec):
        return Records(Path(spec).name, None, read_file(Path(spec), kind))
    dataset = open_dataset(spec, kind)
    return Records(spec, dataset.licence, dataset.rows)


def check_records(spec: str, kind: str) -> None:
    """A spec is a file that is there, or may be a dataset of the Hub, which is not asked. Raises DistillError."""
    if is_file(spec):
        _check_is_there(Path(spec), kind)
    elif not HUB_ID.fullmatch(spec):
        raise DistillError(
            f"{spec!r} names no {kind}: neither a file ({', '.join(SUFFIXES)}) nor a dataset of the Hub (user/name). "
            f"Use: r1chat distill generate --{kind} FILE.jsonl"
        )


def is_file(spec: str) -> bool:
    """Whether a spec means a path, be it there or not."""
    return spec.endswith(SUFFIXES) or os.path.isfile(spec)  # whatever its length


def read_file(path: Path, kind: str) -> Iterator[Record]:
    """The objects of a list in JSON, or one a line. Raises DistillError."""
    _check_is_there(path, kind)
    if path.suffix == ".json":
        whole = _list_in(path)
        if whole is not None:
            yield from whole
            return
    yield from _lines(path)


def _check_is_there(path: Path, kind: str) -> None:
    if not path.is_file():
        raise DistillError(f"There is no file {path}. Give one that is: r1chat distill generate --{kind} FILE.jsonl")


def _list_in(path: Path) -> list[Record] | None:
    """None where the file is no list: some name a file of lines .json."""
    try:
        return msgspec.json.decode(_without_bom(path.read_bytes()), type=list[Record])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _lines(path: Path) -> Iterator[Record]:
    decoder = msgspec.json.Decoder(Record)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            text = _without_bom(line).strip()
            if not text:
                continue
            try:
                yield decoder.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise DistillError(
                    f"{path}, line {number}, is no JSON object ({error}). Look at it: sed -n {number}p {path}"
                ) from error


def _without_bom(data: bytes) -> bytes:
    return data.removeprefix(b"\xef\xbb\xbf")
