"""Records as the page reads them: JSON values. A finished thought stays behind until it is opened.

Knows no route and no browser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from ..conversations.records import Conversation, Group, Message
from ..jobs.events import Delta
from ..jobs.registry import JobRegistry
from .markup import FormulaCap, GrowingMarkup, render

# A conversation is opened more often than its answers change.
_N_KEPT = 512
# Each takes a few milliseconds; an answer with more is drawn with the source of the rest.
_MAX_FORMULAS = 2000


@lru_cache(_N_KEPT)
def answer_html(text: str) -> str:
    """HTML of a finished answer."""
    return render(text, FormulaCap(_MAX_FORMULAS))


def conversation_json(conversation: Conversation, *, live: bool) -> dict[str, Any]:
    """All but whose it is; `live`: a reply of it is being written."""
    return {**_plain(conversation, without="owner"), "live": live}


def group_json(group: Group) -> dict[str, Any]:
    return _plain(group)


def message_json(
    message: Message, siblings: list[str], *, with_reasoning: bool = False, markup: GrowingMarkup | None = None
) -> dict[str, Any]:
    """A live reply comes with its thought, and with its answer as `markup` has it; any other as `html`."""
    shown = {**_plain(message), "siblings": siblings, "reasoning_chars": len(message.reasoning)}
    if message.state == "live":
        markup = markup or grown(message.content)
        return {**shown, "content": "", "html": markup.html, "tail": markup.tail}
    if not with_reasoning:
        del shown["reasoning"]
    html = answer_html(message.content) if message.role == "assistant" else ""
    return {**shown, "html": html, "tail": ""}


def grown(text: str) -> GrowingMarkup:
    """The markup of a text so far."""
    markup = GrowingMarkup()
    markup.feed(text)
    return markup


def delta_json(delta: Delta, markup: GrowingMarkup) -> dict[str, Any]:
    """What to add. Where `html` is not empty, `tail` is the whole new one, for `html` has eaten the old."""
    n_html = len(markup.html)
    markup.feed(delta.content)
    html = markup.html[n_html:]
    return {
        "id": delta.id,
        "state2": delta.phase,
        "position": delta.position,
        "reasoning": delta.reasoning,
        "html": html,
        "tail": markup.tail if html else delta.content,
        "reasoning_tokens": delta.reasoning_tokens,
        "answer_tokens": delta.answer_tokens,
        "thinking_s": delta.thinking_s,
        "total_s": delta.total_s,
        "tokens_per_s": delta.tokens_per_s,
    }


@dataclass(frozen=True, slots=True)
class Opened:
    """A conversation as it is shown: the branch, and of each group on it all replies."""

    conversation: Conversation
    path: list[Message]
    siblings: dict[str, list[str]]
    groups: dict[str, tuple[Group, list[Message]]]

    @property
    def messages(self) -> list[Message]:
        return [*self.path, *(reply for _, replies in self.groups.values() for reply in replies)]


def opened(jobs: JobRegistry, owner: str, conversation_id: str) -> Opened:
    """Reads the store: not for the event loop. Raises NotFoundError."""
    store = jobs.store
    conversation = store.get(owner, conversation_id)
    # Another r1chat on the same file may have been killed since; what it wrote is live no more.
    store.settle()
    path = [jobs.seen(message) for message in store.path(owner, conversation_id)]
    siblings = {message.id: store.siblings(message) for message in path}
    groups = {
        message.group: (store.group(owner, message.group), _of_group(jobs, owner, message, siblings[message.id]))
        for message in path
        if message.group
    }
    return Opened(conversation, path, siblings, groups)


def opened_json(opened: Opened, *, live: bool, show: Callable[[Message, list[str]], dict[str, Any]]) -> dict[str, Any]:
    """`show` gives the JSON of a message with its siblings."""

    def replies(messages: list[Message]) -> list[dict[str, Any]]:
        ids = opened.siblings[next(message.id for message in messages if message.id in opened.siblings)]
        return [show(message, ids) for message in messages]

    return {
        "conversation": conversation_json(opened.conversation, live=live),
        "path": [show(message, opened.siblings[message.id]) for message in opened.path],
        "groups": {
            name: {**group_json(group), "replies": replies(messages)}
            for name, (group, messages) in opened.groups.items()
        },
    }


def _of_group(jobs: JobRegistry, owner: str, message: Message, siblings: list[str]) -> list[Message]:
    beside = (message if name == message.id else jobs.seen(jobs.store.message(owner, name)) for name in siblings)
    return [reply for reply in beside if reply.group == message.group]


def _plain(record: msgspec.Struct, without: str = "") -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(record)
    plain.pop(without, None)
    return plain
