"""Open WebUI's export: a list of chats, each with `chat.history.messages` by id; thoughts are <details> in the text."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from ....serve.errors import InvalidRequestError
from ..records import Role
from .chatgpt import moment, text_of
from .growing import Node, grow, split_thought
from .tree import Tree

ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant"}
OPENING = re.compile(r'<details type="reasoning"([^>\n]{0,500})>\n?(?:<summary>[^\n]{0,500}</summary>\n?)?')
CLOSING = "\n</details>"
DURATION = re.compile(r'duration="(\d{1,7})"')


def is_conversation(parsed: Any) -> bool:
    return isinstance(parsed, dict) and isinstance(parsed.get("chat"), dict)


def read(entry: dict[str, Any], where: str) -> Tree:
    """One chat. Raises InvalidRequestError, whose text begins with `where`."""
    chat = entry["chat"]
    history = chat.get("history")
    if not isinstance(history, dict) or not isinstance(history.get("messages"), dict):
        raise InvalidRequestError(f"{where}: `chat.history.messages` is not an object.")
    created = moment(entry.get("created_at")) or moment(chat.get("timestamp"))
    return grow(
        [_node(key, value, where) for key, value in history["messages"].items()],
        where,
        title=text_of(entry.get("title")) or text_of(chat.get("title")),
        created=created,
        updated=moment(entry.get("updated_at")) or created,
        current=text_of(history.get("currentId")),
    )


def _node(key: str, message: Any, where: str) -> Node:
    if not isinstance(message, dict):
        raise InvalidRequestError(f"{where}: message {key[:40]!r} is not an object.")
    role = ROLES.get(text_of(message.get("role")))
    text, reasoning, seconds = text_of(message.get("content")), "", 0.0
    if role == "assistant":
        reasoning, text, seconds = split_details(text)
    return Node(
        id=key,
        parent=text_of(message.get("parentId")) or None,
        role=role,
        content=text,
        reasoning=reasoning,
        created=moment(message.get("timestamp")),
        model=text_of(message.get("model"))[:200],
        thinking_s=seconds,
    )


def split_details(text: str) -> tuple[str, str, float]:
    """(reasoning, content, seconds of thinking) of a reply as Open WebUI keeps it."""
    thoughts, answer, seconds, at = [], [], 0.0, 0
    for opening in OPENING.finditer(text):
        if opening.start() < at:
            continue
        end = text.find(CLOSING, opening.end() - 1)
        if end < 0:
            break
        answer.append(text[at : opening.start()])
        thoughts.append(_unquoted(text[opening.end() : max(end, opening.end())]))
        duration = DURATION.search(opening[1])
        seconds += float(duration[1]) if duration else 0.0
        at = end + len(CLOSING)
    if not thoughts:
        return *split_thought(text), 0.0
    answer.append(text[at:])
    return "\n\n".join(thoughts), "".join(answer).strip("\n"), seconds


def _unquoted(quoted: str) -> str:
    """Each line of a thought is quoted; newer versions also escape it."""
    lines = (unescape(quoted) if quoted.startswith("&gt;") else quoted).split("\n")
    return "\n".join(line.removeprefix(">").removeprefix(" ") if line.startswith(">") else line for line in lines)
