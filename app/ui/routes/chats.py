"""Conversations over HTTP: list, open, change, delete and bring back, search; and what there is to ask with."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import Field

from ....serve.api.security import owner_of
from ....serve.api.wire_types import Text
from ...conversations.defaults import default_settings
from ...conversations.records import Conversation, Message
from ...jobs.events import ConversationChanged, Gone
from ..services import PageServices
from ..views import conversation_json, message_json, opened, opened_json
from .bodies import Strict, changed_settings

Before = Annotated[float | None, Query(allow_inf_nan=False)]
Limit = Annotated[int, Query(ge=1, le=1000)]


class NewConversation(Strict):
    settings: dict[str, Any] = Field(default_factory=dict)


class Changes(Strict):
    """What is left out stays. `head` is any message: the newest branch below it is shown."""

    title: Annotated[Text, Field(max_length=1000)] | None = None
    pinned: bool | None = None
    collects: bool | None = None
    head: Annotated[Text, Field(max_length=64)] | None = None
    settings: dict[str, Any] | None = None


def chats_router(services: PageServices) -> APIRouter:
    """Of one owner each: somebody else's conversation is not found."""
    router = APIRouter()

    def shown(conversation: Conversation) -> dict[str, Any]:
        return conversation_json(conversation, live=services.jobs.is_live(conversation.id))

    def message_shown(message: Message, siblings: list[str]) -> dict[str, Any]:
        live = services.jobs.live(message.id) if message.state == "live" else None
        return message_json(live.snapshot() if live else message, siblings)

    @router.get("/conversations")
    def list_conversations(
        request: Request, limit: Limit = 200, before: Before = None, deleted: bool = False
    ) -> dict[str, Any]:
        store, owner = services.store, owner_of(request)
        found = store.deleted(owner, limit) if deleted else store.list(owner, limit, before)
        return {"conversations": [shown(conversation) for conversation in found]}

    @router.post("/conversations")
    def create_conversation(body: NewConversation, request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        before = default_settings(services.store.database, owner)
        return shown(services.store.create(owner, changed_settings(before, body.settings)))

    @router.get("/conversations/{conversation_id}")
    def open_conversation(conversation_id: str, request: Request) -> dict[str, Any]:
        found = opened(services.jobs, owner_of(request), conversation_id)
        return opened_json(found, live=services.jobs.is_live(conversation_id), show=message_shown)

    @router.patch("/conversations/{conversation_id}")
    async def change_conversation(conversation_id: str, body: Changes, request: Request) -> dict[str, Any]:
        changed = await asyncio.to_thread(_changed, services, owner_of(request), conversation_id, body)
        services.jobs.tell(conversation_id, ConversationChanged(changed))
        return shown(changed)

    @router.delete("/conversations/{conversation_id}")
    async def delete_conversation(conversation_id: str, request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        await asyncio.to_thread(services.store.get, owner, conversation_id)
        await services.jobs.stop_conversation(conversation_id)
        await asyncio.to_thread(services.store.delete, owner, conversation_id)
        services.jobs.tell(conversation_id, Gone())
        return {"deleted": conversation_id}

    @router.post("/conversations/{conversation_id}/restore")
    def restore_conversation(conversation_id: str, request: Request) -> dict[str, Any]:
        return shown(services.store.restore(owner_of(request), conversation_id))

    @router.get("/search")
    def search(
        request: Request, q: str = "", where: Literal["answers", "thoughts"] = "answers", limit: Limit = 50
    ) -> dict[str, Any]:
        return {"hits": msgspec.to_builtins(services.store.search(owner_of(request), q[:1000], where, limit))}

    return router


# Of two changes of the same settings the later one keeps what the earlier one changed.
_changing = threading.Lock()


def _changed(services: PageServices, owner: str, conversation_id: str, body: Changes) -> Conversation:
    store = services.store
    changes: dict[str, Any] = {name: getattr(body, name) for name in ("title", "pinned", "collects")}
    changes = {name: value for name, value in changes.items() if value is not None}
    with _changing:
        before = store.get(owner, conversation_id)
        if body.settings is not None:
            changes["settings"] = changed_settings(before.settings, body.settings)
        if body.head is not None:
            changes["head"] = store.leaf_below(store.message(owner, body.head).id)
        return store.update(owner, conversation_id, **changes)
