"""Markdown to read: questions and answers as they are, thoughts folded. No text of a model can break the folds.

Thoughts stand in fences longer than any run of backticks in them. What would be HTML or an image in questions and
answers is made text; in fenced code it is text already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache

from markdown_it import MarkdownIt

from ..records import Message
from .tree import Tree, shown_path

BACKTICKS = re.compile(r"`+")
# A backslash before it makes it text already, unless that one is escaped itself.
OPENS_TAG = re.compile(r"(?<!\\)((?:\\\\)*)<(?=[A-Za-z/!?])")
BLANK_LINES = re.compile(r"(\n(?:[ \t]*\n)+)")
STATES = {
    "stopped": "was stopped",
    "failed": "failed",
    "interrupted": "was cut off when the server ended",
    "live": "is still being written",
}
# Terminals obey some of them; \t \n \r are harmless.
CONTROLS = {code: chr(0x2400 + code) for code in range(32) if code not in (9, 10, 13)} | {127: "\u2421"}


def write(trees: Iterable[Tree], *, thoughts: bool) -> Iterator[str]:
    """The file in pieces: the shown path of each conversation."""
    for n, tree in enumerate(trees):
        yield "\n\n---\n\n" if n else ""
        yield from _conversation(tree, thoughts)


def _conversation(tree: Tree, thoughts: bool) -> Iterator[str]:
    conversation = tree.conversation
    yield f"# {_one_line(conversation.title) or 'Conversation'}\n\n"
    if conversation.created:
        yield f"{datetime.fromtimestamp(min(conversation.created, 2e11), UTC):%Y-%m-%d %H:%M} UTC\n\n"
    if conversation.settings.system:
        yield f"## System\n\n{_fenced(conversation.settings.system)}\n\n"
    for message in shown_path(tree):
        yield from _message(message, thoughts)


def _message(message: Message, thoughts: bool) -> Iterator[str]:
    name = "Question" if message.role == "user" else "Answer"
    model = f" · {_one_line(message.model)}" if message.model else ""
    yield f"## {name}{model}\n\n"
    if thoughts and message.reasoning:
        yield f"<details>\n<summary>{_thought_title(message)}</summary>\n\n"
        yield f"{_fenced(message.reasoning)}\n\n</details>\n\n"
    if message.content:
        yield f"{tamed(message.content)}\n\n"
    if message.state in STATES:
        yield f"*This reply {STATES[message.state]}.*\n\n"


def _thought_title(message: Message) -> str:
    parts = [f"{message.thinking_s:.0f} s"] if message.thinking_s else []
    if message.reasoning_tokens:
        parts.append(f"{message.reasoning_tokens:,} tokens")
    return f"Thought {', '.join(parts)}".rstrip()


def _fenced(text: str) -> str:
    longest = max((len(run) for run in BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.translate(CONTROLS)}\n{fence}"


def _one_line(text: str) -> str:
    return _tamed_paragraph(" ".join(text.translate(CONTROLS).split()).replace("`", "'"))


def tamed(text: str) -> str:
    """The same Markdown with HTML and images as text, and with an end to a code block that has none."""
    lines = text.translate(CONTROLS).replace("\r\n", "\n").replace("\r", "\n").strip("\n").split("\n")
    pieces, at = [], 0
    for start, end in _fences("\n".join(lines)):
        pieces += [_tamed_text(lines[at:start]), *lines[start:end]] if start > at else lines[start:end]
        at = end
    pieces += [_tamed_text(lines[at:])] if at < len(lines) else []
    return _closed("\n".join(pieces))


def _tamed_text(lines: list[str]) -> str:
    return "".join(_tamed_paragraph(piece) for piece in BLANK_LINES.split("\n".join(lines)))


def _tamed_paragraph(text: str) -> str:
    """Where code may be within it, entities and backslashes would show, so a space comes between instead."""
    may_hold_code = "`" in text or text.startswith((" ", "\t"))
    tag, image = ("< ", "! [") if may_hold_code else ("&lt;", "!\\[")
    return OPENS_TAG.sub(lambda match: match[1] + tag, text).replace("![", image)


@cache
def _parser() -> MarkdownIt:
    # Without HTML, for so it will be read once it is tamed.
    return MarkdownIt("commonmark", {"html": False})


def _fences(text: str) -> list[tuple[int, int]]:
    """Line ranges of fenced code."""
    tokens = _parser().parse(text)
    return [(token.map[0], token.map[1]) for token in tokens if token.type == "fence" and token.map]


def _closed(text: str) -> str:
    """`text`, in which a fence of its own end is put to a code block that would go on behind it."""
    last = _parser().parse(f"{text}\n\n# end")[-1]
    return f"{text}\n{last.markup}" if last.type == "fence" else text
