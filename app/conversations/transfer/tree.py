"""One conversation whole, as files hold it, and the checks that one from a file has to pass. Knows no format."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from ....serve.errors import InvalidRequestError
from ..records import Conversation, Group, Message
from ..store import TITLE_CHARS, ConversationStore, new_id
from .reports import adopted_report

# What SQLite and JavaScript both hold exactly.
MAX_COUNT = 2**53


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """`messages` of all branches, each after its parent."""

    conversation: Conversation
    messages: list[Message]
    groups: list[Group] = []


def tree_of(store: ConversationStore, owner: str, conversation_id: str) -> Tree:
    """The conversation as it is now. Raises NotFoundError."""
    conversation, messages, groups = store.whole(owner, conversation_id)
    return Tree(conversation=conversation, messages=messages, groups=groups)


def shown_path(tree: Tree) -> list[Message]:
    """From the first message to the head, which is what a person sees."""
    by_id = {message.id: message for message in tree.messages}
    path: list[Message] = []
    at = tree.conversation.head
    while at is not None:
        path.append(by_id[at])
        at = by_id[at].parent
    return path[::-1]


def turns(tree: Tree) -> Iterator[tuple[Message, Message]]:
    """(question, reply) along the shown path; questions without a whole answer are left out, so roles alternate."""
    question: Message | None = None
    for message in shown_path(tree):
        if message.role == "user":
            question = message
        elif question is not None and message.content and message.state in ("done", "stopped", "interrupted"):
            yield question, message
            question = None


def parents_first(messages: Iterable[Message]) -> list[Message]:
    """The same messages, siblings in their order; those that hang on none of them, or on themselves, are missing."""
    below: dict[str | None, list[Message]] = defaultdict(list)
    for message in messages:
        below[message.parent].append(message)
    ordered, waiting = [], deque(below[None])
    while waiting:
        ordered.append(message := waiting.popleft())
        waiting.extend(below[message.id])
    return ordered


def checked(tree: Tree, where: str) -> Tree:
    """As it may be kept. Raises InvalidRequestError, whose text begins with `where`, for what is no tree."""
    conversation, ids = tree.conversation, {message.id for message in tree.messages}
    if len(ids) < len(tree.messages):
        raise InvalidRequestError(f"{where}: two messages have the same id.")
    ordered = parents_first(tree.messages)
    if len(ordered) < len(ids):
        lost = next(iter(ids - {message.id for message in ordered}))
        raise InvalidRequestError(f"{where}: message {lost[:40]!r} hangs on none that is there.")
    if conversation.head is not None and conversation.head not in ids:
        raise InvalidRequestError(f"{where}: head {conversation.head[:40]!r} is none of its messages.")
    groups = {group.id for group in tree.groups}
    if len(groups) < len(tree.groups):
        raise InvalidRequestError(f"{where}: two groups have the same id.")
    for message in ordered:
        if message.group is not None and message.group not in groups:
            raise InvalidRequestError(f"{where}: message {message.id[:40]!r} is of a group that is not there.")
        _check_numbers(message, where)
    _check_times((conversation.created, conversation.updated), where)
    return replace(tree, messages=ordered)


def _check_numbers(message: Message, where: str) -> None:
    counts = (message.reasoning_tokens, message.answer_tokens, message.kept_chars, message.choice)
    times = (message.created, message.thinking_s, message.total_s)
    if not all(0 <= count < MAX_COUNT for count in counts):
        raise InvalidRequestError(f"{where}: message {message.id[:40]!r} has a count that cannot be.")
    _check_times(times, where)


def _check_times(times: Iterable[float], where: str) -> None:
    # A JavaScript date reaches to 8.64e12 s.
    if not all(math.isfinite(moment) and 0 <= moment < 1e12 for moment in times):
        raise InvalidRequestError(f"{where}: a time in it cannot be.")


def adopted(tree: Tree, owner: str) -> Tree:
    """As `owner`'s, under new ids: a file may come twice, and must name nothing that is here already.

    What names a reply on a server's wire is left behind, and what was being written is so no more.
    """
    conversation_id = new_id()
    messages = {message.id: new_id() for message in tree.messages}
    groups = {group.id: new_id() for group in tree.groups}
    conversation = replace(
        tree.conversation,
        id=conversation_id,
        owner=owner,
        title=" ".join(tree.conversation.title.split())[:TITLE_CHARS],
        updated=tree.conversation.updated or tree.conversation.created or time.time(),
        head=messages.get(tree.conversation.head or ""),
    )
    return Tree(
        conversation=conversation,
        messages=[
            replace(
                message,
                id=messages[message.id],
                conversation=conversation_id,
                parent=messages.get(message.parent or ""),
                group=groups.get(message.group or ""),
                state="interrupted" if message.state == "live" else message.state,
                reply_id="",
                # In a group it is the reply's number.
                choice=message.choice if message.group else 0,
            )
            for message in tree.messages
        ],
        groups=[
            replace(
                group,
                id=groups[group.id],
                conversation=conversation_id,
                report=adopted_report(group, tree.messages, messages),
            )
            for group in tree.groups
        ],
    )
