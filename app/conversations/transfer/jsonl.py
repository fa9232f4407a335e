"""JSONL, one conversation per line as its shown path: ShareGPT's form, and messages with reasoning_content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ....serve.errors import InvalidRequestError
from ..records import Role
from .growing import Node, grow, joined_thought, split_thought
from .tree import Tree, turns

ROLES: dict[str, Role | None] = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "system": None,
    "developer": None,
}
REASONING = ("reasoning_content", "reasoning", "thinking")
SENDER, TEXT = ("role", "from"), ("content", "value")


def write_messages(trees: Iterable[Tree], *, thoughts: bool) -> Iterator[str]:
    """{"messages": [{"role", "content", "reasoning_content"}]} per line; conversations without an answer have none."""
    for tree in trees:
        messages: list[dict[str, str]] = []
        for question, reply in turns(tree):
            messages.append({"role": "user", "content": question.content})
            messages.append({"role": "assistant", "content": reply.content})
            if thoughts and reply.reasoning:
                messages[-1]["reasoning_content"] = reply.reasoning
        yield from _line("messages", messages, tree, {"role": "system", "content": tree.conversation.settings.system})


def write_sharegpt(trees: Iterable[Tree], *, thoughts: bool) -> Iterator[str]:
    """{"conversations": [{"from", "value"}]} per line; thoughts stand between tags before the answer."""
    for tree in trees:
        said: list[dict[str, str]] = []
        for question, reply in turns(tree):
            said.append({"from": "human", "value": question.content})
            reasoning = reply.reasoning if thoughts else ""
            said.append({"from": "gpt", "value": joined_thought(reasoning, reply.content)})
        yield from _line("conversations", said, tree, {"from": "system", "value": tree.conversation.settings.system})


def _line(key: str, said: list[dict[str, str]], tree: Tree, system: dict[str, str]) -> Iterator[str]:
    if said:
        first = [system] if tree.conversation.settings.system else []
        yield msgspec.json.encode({key: first + said}).decode() + "\n"


def is_row(parsed: Any) -> bool:
    """Whether it is a conversation in one of the two forms."""
    return isinstance(parsed, dict) and any(isinstance(parsed.get(key), list) for key in ("messages", "conversations"))


def read_row(row: dict[str, Any], where: str) -> Tree:
    """One conversation. Raises InvalidRequestError, whose text begins with `where`."""
    said = row["messages"] if isinstance(row.get("messages"), list) else row["conversations"]
    system: list[str] = [row["system"]] if isinstance(row.get("system"), str) and row["system"] else []
    nodes: list[Node] = []
    for n, entry in enumerate(said):
        node = _node(entry, n, f"{where}, message {n + 1}")
        if node.role is None and node.content:
            system.append(node.content)
        nodes.append(node)
    title = row.get("title")
    return grow(nodes, where, title=title if isinstance(title, str) else "", system="\n\n".join(system))


def _node(entry: Any, n: int, where: str) -> Node:
    if not isinstance(entry, dict):
        raise InvalidRequestError(f"{where}: not an object.")
    sender = _first(entry, SENDER)
    if not isinstance(sender, str) or sender not in ROLES:
        raise InvalidRequestError(f"{where}: {str(sender)[:40]!r} is no role that a chat has.")
    text = _text(_first(entry, TEXT), where)
    role, parent = ROLES[sender], str(n - 1) if n else None
    if role != "assistant":
        return Node(id=str(n), parent=parent, role=role, content=text)
    reasoning = _first(entry, REASONING)
    if not isinstance(reasoning, str | None):
        raise InvalidRequestError(f"{where}: the reasoning is no text.")
    thought, answer = (reasoning, text) if reasoning else split_thought(text)
    return Node(id=str(n), parent=parent, role=role, content=answer, reasoning=thought)


def _text(value: Any, where: str) -> str:
    """OpenAI's forms of a content: a text, none, or a list of parts, of which only texts can be kept."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))
    if not isinstance(value, str):
        raise InvalidRequestError(f"{where}: the content is no text.")
    return value


def _first(entry: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((entry[name] for name in names if entry.get(name) is not None), None)
