"""Text for a terminal: what a model writes must not steer the terminal that shows it."""

from __future__ import annotations

from collections.abc import Sequence

DIM = "\x1b[2m"
PLAIN = "\x1b[0m"

_CONTROLS = {
    *(code for code in range(0x20) if chr(code) not in "\n\t"),
    *range(0x7F, 0xA0),
    # direction marks, overrides and isolates: they can make a line read as another
    *(0x061C, 0x200E, 0x200F),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
}
_ESCAPED = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}
_ESCAPED_IN_JSON = {code: f"\\u{code:04x}" for code in _CONTROLS}


def printable(text: str) -> str:
    """The text with control and direction characters written as escapes; newline and tab stay."""
    return text.translate(_ESCAPED)


def printable_json(text: str) -> str:
    """JSON that says the same, as harmless: escapes that are its own."""
    return text.translate(_ESCAPED_IN_JSON)


def last_words(lines: Sequence[str]) -> str:
    """The last thing that a command said, without r1chat's name before it; "" where it said nothing."""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return last.removeprefix("r1chat: ")[:1000]


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """To stdout, the columns as wide as they need be; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(printable("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()))
