"""Builds a tree from what other chats' files hold: nodes of any role, in runs that are one message for us."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass

from ....serve.errors import InvalidRequestError
from ....serve.reasoning import CLOSE_TAG, OPEN_TAG
from ..limits import check_settings
from ..records import Conversation, Message, Role, Settings
from ..store import TITLE_CHARS, new_id
from .tree import Tree

# A run before a fork is told once per branch; a hostile file could have that grow without end.
MAX_TEXT = 128 * 1024**2


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of the file. Without a role it is passed over, and what hangs on it hangs on the one above."""

    id: str
    parent: str | None = None
    role: Role | None = None
    content: str = ""
    reasoning: str = ""
    created: float = 0.0
    model: str = ""
    thinking_s: float = 0.0


@dataclass
class _Run:
    """Nodes of one role in a row, from `above` to `last`; `follows` is the run that it hangs on."""

    last: Node
    above: _Run | None
    follows: _Run | None
    n_chars: int
    message_id: str = ""


def grow(
    nodes: list[Node],
    where: str,
    *,
    title: str = "",
    created: float = 0.0,
    updated: float = 0.0,
    current: str | None = None,
    system: str = "",
) -> Tree:
    """The tree of `nodes`, whose newest branch is shown where `current` names none.

    Raises InvalidRequestError, whose text begins with `where`, for nodes that hang on themselves.
    """
    runs = _runs(nodes, where)
    ends = _ends(runs)
    conversation_id = new_id()
    for run in ends:
        run.message_id = new_id()
    messages = [_message(run, conversation_id, created) for run in ends]
    shown = runs.get(current or "")
    # A node in the middle of a run is not the end of a message.
    head = (shown.message_id if shown else "") or (messages[-1].id if messages else None)
    conversation = Conversation(
        id=conversation_id,
        title=title.strip() or _first_line(messages),
        created=created,
        updated=updated or created,
        head=head,
        settings=check_settings(Settings(system=system), where),
    )
    return Tree(conversation=conversation, messages=messages)


def _runs(nodes: list[Node], where: str) -> dict[str, _Run | None]:
    """Each node's run, None where nothing with a role is above it."""
    ids = {node.id for node in nodes}
    below: dict[str | None, list[Node]] = defaultdict(list)
    for node in nodes:
        below[node.parent if node.parent in ids else None].append(node)
    runs: dict[str, _Run | None] = {}
    waiting: deque[tuple[Node, _Run | None]] = deque((node, None) for node in below[None])
    while waiting:
        node, above = waiting.popleft()
        runs[node.id] = run = _run(node, above)
        waiting.extend((child, run) for child in below[node.id])
    if len(runs) < len(nodes):
        lost = next(node.id for node in nodes if node.id not in runs)
        raise InvalidRequestError(f"{where}: message {lost[:40]!r} hangs on itself.")
    if sum(run.n_chars for run in _ends(runs)) > MAX_TEXT:
        raise InvalidRequestError(f"{where}: its branches repeat more text than can be kept.")
    return runs


def _run(node: Node, above: _Run | None) -> _Run | None:
    n_chars = len(node.content) + len(node.reasoning)
    if node.role is None or not n_chars:
        return above
    if above is not None and above.last.role == node.role:
        return _Run(node, above, above.follows, above.n_chars + n_chars)
    return _Run(node, None, above, n_chars)


def _ends(runs: dict[str, _Run | None]) -> list[_Run]:
    """The runs that are messages: those that something else follows, and those that nothing extends."""
    ordered = {id(run): run for run in runs.values() if run is not None}
    extended = {id(run.above) for run in ordered.values() if run.above}
    followed = {id(run.follows) for run in ordered.values() if run.follows}
    return [run for key, run in ordered.items() if key in followed or key not in extended]


def _message(run: _Run, conversation_id: str, created: float) -> Message:
    nodes = list(_nodes(run))[::-1]
    last = run.last
    assert last.role is not None
    return Message(
        id=run.message_id,
        conversation=conversation_id,
        parent=run.follows.message_id if run.follows else None,
        role=last.role,
        content="\n\n".join(node.content for node in nodes if node.content),
        reasoning="\n\n".join(node.reasoning for node in nodes if node.reasoning),
        created=nodes[0].created or created,
        model=last.model,
        origin="import",
        thinking_s=sum(node.thinking_s for node in nodes),
    )


def _nodes(run: _Run) -> Iterator[Node]:
    at: _Run | None = run
    while at is not None:
        yield at.last
        at = at.above


def _first_line(messages: list[Message]) -> str:
    text = next((message.content for message in messages if message.role == "user"), "")
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:TITLE_CHARS]


def split_thought(text: str) -> tuple[str, str]:
    """(reasoning, content) of a reply that may begin with its thought in tags, byte for byte."""
    if not text.startswith(OPEN_TAG):
        return "", text
    thought, closed, answer = text[len(OPEN_TAG) :].partition(CLOSE_TAG)
    thought = thought.removeprefix("\n")
    if not closed:
        return thought, ""
    return thought.removesuffix("\n"), answer[len(_blank_line(answer)) :]


def joined_thought(reasoning: str, content: str) -> str:
    """What split_thought() takes apart."""
    if not reasoning and not content.startswith(OPEN_TAG):
        return content
    return f"{OPEN_TAG}\n{reasoning}\n{CLOSE_TAG}\n\n{content}"


def _blank_line(text: str) -> str:
    return "\n\n" if text.startswith("\n\n") else "\n" if text.startswith("\n") else ""
