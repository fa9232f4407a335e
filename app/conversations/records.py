"""Conversations and messages as the store gives them: plain records, no SQL, no wire.

A conversation is a tree: every message but the first has a parent, replies to one question are siblings, and
`head` names the leaf whose path is shown. Times are seconds since 1970.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Role = Literal["user", "assistant"]
# "interrupted": the server ended while the reply was being written; what had come is kept.
State = Literal["live", "done", "stopped", "failed", "interrupted"]
Origin = Literal["ask", "regenerate", "answer_again", "fork", "sample", "compare", "import"]
Thinking = Literal["auto", "budget", "off"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a conversation asks. Null means what the server does by itself; `model` "" is its default model."""

    model: str = ""
    preset: str = "r1"
    system: str = ""
    thinking: Thinking = "auto"
    budget: int = 1024
    keep_thoughts: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """`collects`: its turns may go into the distil set. `title` is the first line that the person wrote, or theirs."""

    id: str
    owner: str = ""
    title: str = ""
    created: float = 0.0
    updated: float = 0.0
    pinned: bool = False
    collects: bool = False
    head: str | None = None
    settings: Settings = Settings()


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One node. `kept_chars` of its thought were there before the model went on with it (a fork).

    Messages of one `group` were asked together: samples of a vote, or one prompt to several models.
    `settings` is what a reply was asked with, `reply_id` and `choice` its names on the wire.
    """

    id: str
    conversation: str
    parent: str | None
    role: Role
    state: State = "done"
    content: str = ""
    reasoning: str = ""
    created: float = 0.0
    model: str = ""
    origin: Origin = "ask"
    group: str | None = None
    kept_chars: int = 0
    reply_id: str = ""
    choice: int = 0
    finish_reason: str | None = None
    reasoning_end: str | None = None
    reasoning_tokens: int = 0
    answer_tokens: int = 0
    thinking_s: float = 0.0
    total_s: float = 0.0
    error: str = ""
    settings: Settings | None = None
    usage: dict[str, Any] = {}
    timings: dict[str, Any] = {}


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Replies asked together. `report` is the vote's as the API gives it, without the thoughts' texts; `gold` the
    answer that the person knows to be right."""

    id: str
    conversation: str
    kind: Literal["vote", "compare"]
    gold: str = ""
    report: dict[str, Any] = {}
