"""Texts that go through a template unseen: stand-ins nobody can guess take their places and are found again after.

So a template decides where a text goes, and no text ever becomes template text.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ...engine.request import Segment
from ...errors import InvalidRequestError


class JsonText(str):
    """JSON already: a template's `tojson` prints it as it stands, and so does one that takes it for a text."""


class Put(Protocol):
    """What takes a text's place in a template; `lead` goes before the text, whatever the template thinks."""

    def __call__(self, text: str, lead: tuple[Segment, ...] = ()) -> str: ...


class _Text(NamedTuple):
    text: str
    lead: tuple[Segment, ...]


class _Place(NamedTuple):
    """Where a text came out: written as JSON so many times, and followed by template text."""

    given: _Text
    n_escapes: int
    after: str

    @property
    def text(self) -> str:
        text = self.given.text
        for _ in range(self.n_escapes):
            text = json.dumps(text, ensure_ascii=False)[1:-1]
        return text


class _Marks:
    """A mark ends in a quote, which tells whether a template wrote it as JSON."""

    def __init__(self) -> None:
        self._nonce = secrets.token_hex(16)
        self._texts: list[_Text] = []

    def put(self, text: str, lead: tuple[Segment, ...] = ()) -> str:
        # Templates ask whether a text is empty.
        if not text and not lead:
            return text
        self._texts.append(_Text(text, lead))
        return f'r1chat-{self._nonce}-{len(self._texts) - 1}-"'

    def found(self, printed: str) -> tuple[str, list[_Place]]:
        """The template text before all marks, and their places. Raises InvalidRequestError for a changed mark."""
        before, *rest = re.split(rf'r1chat-{self._nonce}-(\d+)-(\\*)"', printed)
        if any(self._nonce in text.lower() for text in (before, *rest[2::3])):
            raise InvalidRequestError("The model's chat template changes the texts of messages.", param="messages")
        marks = zip(rest[::3], rest[1::3], rest[2::3], strict=True)
        return before, [
            _Place(self._texts[int(number)], len(slashes).bit_length(), after) for number, slashes, after in marks
        ]


def segments_of(print_with: Callable[[Put], str]) -> tuple[Segment, ...]:
    """What `print_with` prints, the texts it puts through apart from the rest.

    It is asked twice: templates that trim texts see only marks the first time.
    """
    marks = _Marks()
    before, places = marks.found(print_with(marks.put))
    bare = print_with(lambda text, lead=(): text)
    texts = _as_printed(before, places, bare) or [place.text for place in places]
    segments = [Segment(before, True)]
    for place, text in zip(places, texts, strict=True):
        segments += [*place.given.lead, Segment(text, False), Segment(place.after, True)]
    return _joined(segments)


def _as_printed(before: str, places: Sequence[_Place], bare: str) -> list[str] | None:
    """The texts as they stand in `bare`, perhaps trimmed; None where it holds anything else."""
    if not bare.startswith(before):
        return None
    texts: list[str] = []
    at = len(before)
    for place in places:
        whole = place.text
        forms = (whole, whole.strip(), whole.strip("\n"), whole.lstrip("\n"), whole.rstrip(), whole.lstrip())
        fitting = (form for form in forms if bare.startswith(form + place.after, at))
        if (text := next(fitting, None)) is None:
            return None
        texts.append(text)
        at += len(text) + len(place.after)
    return texts if at == len(bare) else None


def _joined(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Without empty ones, and template text in one piece: its tokens may reach over seams."""
    joined: list[Segment] = []
    for segment in segments:
        if segment.special and joined and joined[-1].special:
            joined[-1] = Segment(joined[-1].text + segment.text, True)
        elif segment.text:
            joined.append(segment)
    return tuple(segment for segment in joined if segment.text)
