"""Our own JSON: whole trees, nothing lost but the owner and what names a reply on the server's wire."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from ....serve.errors import InvalidRequestError
from ..limits import check_settings
from .tree import Tree, checked

FORMAT = "r1chat-conversations"
# Rises with each change that an older reader would get wrong.
VERSION = 1
WHERE = re.compile(r" - at `\$(?:\.conversations\[(\d+)\])?\.?([^`]*)`$")


class _File(msgspec.Struct, frozen=True):
    conversations: list[Tree]


def write(trees: Iterable[Tree], *, thoughts: bool) -> Iterator[str]:
    """The file in pieces, one line per conversation."""
    yield f'{{"format":"{FORMAT}","version":{VERSION},"conversations":['
    for n, tree in enumerate(trees):
        text = msgspec.json.encode(_bare(tree, thoughts)).decode()
        yield (",\n" if n else "\n") + text
    yield "\n]}\n"


def _bare(tree: Tree, thoughts: bool) -> Tree:
    # the server's names are gone by then, but a reply's number in its vote is the vote's
    messages = [
        replace(message, reply_id="", choice=message.choice if message.group else 0) for message in tree.messages
    ]
    if not thoughts:
        messages = [replace(message, reasoning="", kept_chars=0) for message in messages]
    return replace(tree, conversation=replace(tree.conversation, owner=""), messages=messages)


def is_ours(parsed: Any) -> bool:
    """Whether parsed JSON says that it is such a file."""
    return isinstance(parsed, dict) and parsed.get("format") == FORMAT


def read(parsed: dict[str, Any]) -> list[Tree]:
    """The conversations of a file that is ours. Raises InvalidRequestError naming conversation and field."""
    if parsed.get("version") != VERSION:
        raise InvalidRequestError(
            f"The file is of version {str(parsed.get('version'))[:20]}; this r1chat reads version {VERSION}."
        )
    try:
        trees = msgspec.convert(parsed, _File).conversations
    except msgspec.ValidationError as error:
        raise InvalidRequestError(_told(str(error))) from None
    return [_checked(tree, f"Conversation {n}") for n, tree in enumerate(trees, 1)]


def _checked(tree: Tree, where: str) -> Tree:
    for settings in (tree.conversation.settings, *(message.settings for message in tree.messages)):
        if settings is not None:
            check_settings(settings, where)
    return checked(tree, where)


def _told(message: str) -> str:
    """msgspec's words, with the place in front: Conversation 3, messages[0].role: Invalid enum value 'x'."""
    match = WHERE.search(message)
    if match is None:
        return message
    number, field = match.groups()
    place = f"Conversation {int(number) + 1}" if number is not None else "The file"
    return f"{place}{', ' if field else ''}{field[:80]}: {message[: match.start()][:200]}"
