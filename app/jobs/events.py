"""What those who look at a conversation are told: values, in no client's words."""

from __future__ import annotations

from dataclasses import dataclass

from ..conversations.records import Conversation, Group, Message
from .live import Phase


@dataclass(frozen=True, slots=True)
class Delta:
    """What is new of one live reply: texts to add, and how it stands. `position`: as in LiveReply."""

    id: str
    phase: Phase
    position: int | None
    reasoning: str
    content: str
    reasoning_tokens: int
    answer_tokens: int
    thinking_s: float
    total_s: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class MessageChanged:
    """A new message, or one that ended or went on. A live one holds its text so far; deltas add to that."""

    message: Message


@dataclass(frozen=True, slots=True)
class ConversationChanged:
    conversation: Conversation


@dataclass(frozen=True, slots=True)
class GroupChanged:
    group: Group


@dataclass(frozen=True, slots=True)
class Gone:
    """The conversation was deleted; nothing follows."""


Told = MessageChanged | ConversationChanged | GroupChanged | Gone
Event = tuple[Delta, ...] | Told
