"""A real store of conversations with a distil set in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from r1chat.app.conversations.records import Group, Message
from r1chat.app.conversations.store import ConversationStore, new_id
from r1chat.app.stars.star_set import StarSet
from r1chat.app.stars.store import StarStore

OWNER = "someone"
THOUGHT = "I need 15% of 240. 10% of 240 is 24. 5% is half of that, so 12. 24 and 12 together are 36."
Say = Callable[..., Message]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ConversationStore]:
    opened = ConversationStore(tmp_path / "conversations.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def stars(store: ConversationStore) -> Iterator[StarSet]:
    made = StarSet(store, StarStore(store.database))
    yield made
    made.close()


@pytest.fixture
def say(store: ConversationStore) -> Say:
    """A finished turn in a conversation that collects; `conversation` and `parent` put it into one that is there."""

    def said(
        question: str = "What is 15% of 240?",
        answer: str = "It is \\boxed{36}.",
        *,
        conversation: str | None = None,
        parent: str | None = None,
        group: Group | None = None,
        **fields: Any,
    ) -> Message:
        if conversation is None:
            conversation = store.create(OWNER).id
            store.update(OWNER, conversation, collects=True)
        asked = Message(id=new_id(), conversation=conversation, parent=parent, role="user", content=question)
        store.add(asked)
        if group is not None:
            store.add_group(msgspec.structs.replace(group, conversation=conversation))
        reply = {"reasoning": THOUGHT, "finish_reason": "stop", "reasoning_end": "natural", "model": "demo", **fields}
        return store.add(
            Message(
                id=new_id(),
                conversation=conversation,
                parent=asked.id,
                role="assistant",
                content=answer,
                group=group.id if group else None,
                **reply,
            )
        )

    return said
