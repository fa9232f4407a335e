"""The formats that conversations are written in, by name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from . import jsonl, markdown, own_file
from .tree import Tree


class Writer(Protocol):
    def __call__(self, trees: Iterable[Tree], *, thoughts: bool) -> Iterator[str]: ...


@dataclass(frozen=True)
class Format:
    """`suffix` of its files, and what their media type is."""

    write: Writer
    suffix: str
    media_type: str


FORMATS = {
    "md": Format(markdown.write, ".md", "text/markdown"),
    "json": Format(own_file.write, ".json", "application/json"),
    "sharegpt": Format(jsonl.write_sharegpt, ".sharegpt.jsonl", "application/x-ndjson"),
    "messages": Format(jsonl.write_messages, ".messages.jsonl", "application/x-ndjson"),
}
UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)


def file_name(title: str, form: Format) -> str:
    """A name that every system takes, for a conversation of that title."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return (UNSAFE.sub("-", plain).strip("-._")[:60].rstrip("-._") or "conversation") + form.suffix
