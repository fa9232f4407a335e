"""ChatGPT's export: conversations.json, a list of conversations whose `mapping` is a tree of nodes."""

from __future__ import annotations

from typing import Any

from ....serve.errors import InvalidRequestError
from ..records import Role
from .growing import Node, grow
from .tree import Tree

ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant"}


def is_conversation(parsed: Any) -> bool:
    return isinstance(parsed, dict) and "mapping" in parsed


def read(conversation: dict[str, Any], where: str) -> Tree:
    """One conversation; tools, hidden and system messages are passed over. Raises InvalidRequestError."""
    mapping = conversation["mapping"]
    if not isinstance(mapping, dict):
        raise InvalidRequestError(f"{where}: `mapping` is not an object.")
    created = moment(conversation.get("create_time"))
    nodes = [_node(key, value, where) for key, value in mapping.items()]
    return grow(
        nodes,
        where,
        title=text_of(conversation.get("title")),
        created=created,
        updated=moment(conversation.get("update_time")) or created,
        current=text_of(conversation.get("current_node")),
    )


def _node(key: str, node: Any, where: str) -> Node:
    if not isinstance(node, dict):
        raise InvalidRequestError(f"{where}: node {key[:40]!r} is not an object.")
    parent = text_of(node.get("parent")) or None
    message = node.get("message")
    if not isinstance(message, dict) or not _is_shown(message):
        return Node(id=key, parent=parent)
    reasoning, content = _said(message.get("content"))
    return Node(
        id=key,
        parent=parent,
        role=ROLES.get(text_of(_inside(message, "author", "role"))),
        content=content,
        reasoning=reasoning,
        created=moment(message.get("create_time")),
        model=text_of(_inside(message, "metadata", "model_slug"))[:200],
    )


def _is_shown(message: dict[str, Any]) -> bool:
    hidden = _inside(message, "metadata", "is_visually_hidden_from_conversation")
    return not hidden and message.get("weight") != 0 and message.get("recipient", "all") in ("all", None)


def _said(content: Any) -> tuple[str, str]:
    """(reasoning, content) of a message."""
    if not isinstance(content, dict):
        return "", ""
    if content.get("content_type") == "thoughts":
        return "\n\n".join(filter(None, map(_thought, _list(content.get("thoughts"))))), ""
    if content.get("content_type") == "reasoning_recap":
        return "", ""
    if content.get("content_type") == "code":
        return "", f"```\n{text_of(content.get('text'))}\n```"
    parts = [_part(part) for part in _list(content.get("parts"))]
    return "", "\n\n".join(filter(None, parts)) or text_of(content.get("text"))


def _thought(thought: Any) -> str:
    if not isinstance(thought, dict):
        return ""
    return "\n\n".join(filter(None, (text_of(thought.get("summary")), text_of(thought.get("content")))))


def _part(part: Any) -> str:
    if isinstance(part, dict):
        kind = text_of(part.get("content_type")).partition("_")[0]
        return text_of(part.get("text")) or (f"[{kind[:20]}]" if kind else "")
    return text_of(part)


def _inside(value: dict[str, Any], name: str, inner: str) -> Any:
    part = value.get(name)
    return part.get(inner) if isinstance(part, dict) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def moment(value: Any) -> float:
    """Seconds since 1970 of a time in seconds or finer; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e21:
        return 0.0
    seconds = float(value)
    while seconds > 1e11:
        seconds /= 1000
    return seconds
