"""Cuts a thought into sentences: character spans that tile it exactly, in linear time, for any text.

What Markdown draws as a block (lists, tables, code, display formulas, quotes) is one sentence: it is drawn whole.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

# A formula or fence that is not closed by then was never one.
_MAX_BLOCK_LINES = 200
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE = re.compile(r"\s{0,3}(?:```|~~~)")
_FENCE_END = re.compile(r"\s{0,3}(?:```+|~~~+)\s*$")
_FORMULA = re.compile(r"\s*(?:\\\[|\$\$)")
_FORMULA_END = re.compile(r"(?:\\\]|\$\$)[\s.,;]*$")
_LIST = re.compile(
    r"\s*(?:[-*+•]|\d{1,3}[.)])\s+\S|\s{0,3}(?:#{1,6}\s|>)|\s*\||(?: {4}|\t)\s*\S|\s{0,3}([-*_=])(?:\s*\1){2,}\s*$"
)
# A run of marks is tried once, from its first mark, and never given back: the time stays linear.
_END = re.compile(
    r"(?P<wide>(?<![。！？])[。！？]++[”’」』）]*+)\s*+"
    r"|(?P<mark>(?<![.!?…])[.!?…]++[)\]\"'”’»*_]*+)(?:\s++|$)"
    r"|\n\s*+"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|cf|vs|mr|mrs|ms|dr|prof|st|no|fig|eq|approx|resp|ca|al)\.$", re.IGNORECASE
)
_ENUMERATOR = re.compile(r"\s*\(?(?:\d{1,3}|[A-Za-z])[.)]+\s*$")
_PAIRED = re.compile(r"(\*\*|`)|(\\\()|(\\\))")


@dataclass(frozen=True, slots=True)
class Sentence:
    """`text[start:end]`, the white space after it included. `whole`: a block that is drawn as one.

    `opens`: the first of its paragraph.
    """

    start: int
    end: int
    whole: bool
    opens: bool


def sentences(text: str) -> list[Sentence]:
    """The sentences of `text` in order: they begin at 0, leave no gap and end with it. Empty for no text."""
    found: list[Sentence] = []
    for start, end, whole, opens in _blocks(text):
        spans = [(start, end)] if whole else _cut(text, start, end)
        found += [Sentence(first, last, whole, opens and first == start) for first, last in spans]
    return found


def _blocks(text: str) -> Iterator[tuple[int, int, bool, bool]]:
    """(start, end, whole, opens a paragraph); blank lines belong to what is before them."""
    lines = [match.span() for match in _LINE.finditer(text)]
    ends = _block_ends(text, lines)
    start, whole, opens = 0, False, True
    blank, n = False, 0
    while n < len(lines):
        line_start, line_end = lines[n]
        last = ends.get(n)
        is_list = last is None and _LIST.match(text, line_start, line_end) is not None
        is_blank = not text[line_start:line_end].strip()
        begins = not is_blank and (blank or last is not None or (is_list and not whole))
        if begins and text[start:line_start].strip():
            yield start, line_start, whole, opens
            start, opens, whole = line_start, blank, False
        if last is None:
            blank = is_blank
            whole = whole or is_list
            n += 1
            continue
        # a fence or a formula over lines: all of it, blank lines too
        after = last + 1
        while after < len(lines) and not text[slice(*lines[after])].strip():
            after += 1
        blank = after > last + 1
        yield start, lines[after - 1][1], True, opens
        start, opens, whole = lines[after - 1][1], blank, False
        n = after
    if start < len(text):
        yield start, len(text), whole, opens


def _block_ends(text: str, lines: list[tuple[int, int]]) -> dict[int, int]:
    """Line at which a fence or display formula begins -> line at which it ends."""
    fence_ends = [n for n, span in enumerate(lines) if _FENCE_END.match(text, *span)]
    formula_ends = [
        n
        for n, span in enumerate(lines)
        if _FORMULA_END.search(text[span[1] - 40 if span[1] - span[0] > 40 else span[0] : span[1]])
    ]
    ends: dict[int, int] = {}
    n = 0
    while n < len(lines):
        last = None
        if _FENCE.match(text, *lines[n]):
            last = _next(fence_ends, n + 1)
        elif opening := _FORMULA.match(text, *lines[n]):
            one_line = text[opening.end() : lines[n][1]].strip()
            last = n if _FORMULA_END.search(one_line[-40:]) else _next(formula_ends, n + 1)
        if last is not None and last - n <= _MAX_BLOCK_LINES:
            ends[n] = last
            n = last
        n += 1
    return ends


def _next(numbers: list[int], least: int) -> int | None:
    index = bisect_right(numbers, least - 1)
    return numbers[index] if index < len(numbers) else None


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentences of a paragraph. What is emphasised, code or a formula is not cut, unless it never ends."""
    never_even = _open_pairs(text, start, end)
    begin, seen, open_pairs = start, start, [0, 0, 0]
    for match in _END.finditer(text, start, end):
        if match.end() >= end:
            break
        _count(text, seen, match.end(), open_pairs)
        seen = match.end()
        if any(now and not ever for now, ever in zip(_state(open_pairs), never_even, strict=True)):
            continue
        if match[0].isspace() or _is_end(text, begin, match):
            yield begin, match.end()
            begin = match.end()
    yield begin, end


def _is_end(text: str, begin: int, match: re.Match[str]) -> bool:
    if match["wide"]:
        return True
    mark_end = match.end("mark")
    if "\n" in match[0] or not match["mark"].startswith((".", "…")):
        return True
    if text[match.end()].islower() or _ABBREVIATION.search(text[max(begin, match.start() - 8) : match.start() + 1]):
        return False
    return mark_end - begin > 8 or not _ENUMERATOR.match(text[begin:mark_end])


def _open_pairs(text: str, start: int, end: int) -> tuple[bool, bool, bool]:
    counts = [0, 0, 0]
    _count(text, start, end, counts)
    return _state(counts)


def _count(text: str, start: int, end: int, counts: list[int]) -> None:
    for match in _PAIRED.finditer(text, start, end):
        if match[1]:
            counts[0 if match[1] == "**" else 1] += 1
        else:
            counts[2] = max(0, counts[2] + (1 if match[2] else -1))


def _state(counts: list[int]) -> tuple[bool, bool, bool]:
    return counts[0] % 2 == 1, counts[1] % 2 == 1, counts[2] > 0
