"""The one stream of events per conversation that is looked at: what is there, then what changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from ....serve.api.security import owner_of
from ....serve.api.sse import KEEP_ALIVE, SseResponse
from ...conversations.records import Message
from ...jobs.events import ConversationChanged, Delta, Event, Gone, GroupChanged, MessageChanged
from ...jobs.subscriptions import Subscription
from ..markup import GrowingMarkup
from ..services import PageServices
from ..views import Opened, conversation_json, delta_json, group_json, grown, message_json, opened, opened_json

# A browser waits three seconds by itself.
_RETRY = b"retry: 1000\n"


def events_router(services: PageServices) -> APIRouter:
    """Of one owner each."""
    router = APIRouter()

    @router.get("/conversations/{conversation_id}/events")
    async def events(conversation_id: str, request: Request) -> Response:
        frames = _frames(services, owner_of(request), conversation_id)
        # Whose conversation it is not, is told before the stream begins.
        first = await anext(frames)
        return SseResponse(_RETRY + first, frames, lambda: KEEP_ALIVE)

    return router


async def _frames(services: PageServices, owner: str, conversation_id: str) -> AsyncGenerator[bytes, None]:
    with services.jobs.subscribed(conversation_id) as subscription:
        teller = _Teller(services, subscription)
        found = await asyncio.to_thread(opened, services.jobs, owner, conversation_id)
        yield _frame(await teller.opened(found))
        async with aclosing(subscription.events()) as events:
            async for event in events:
                yield _frame(await teller.told(event))


class _Teller:
    """Events as JSON for one reader, with the markup of the replies that it sees grow."""

    def __init__(self, services: PageServices, subscription: Subscription) -> None:
        self._services = services
        self._subscription = subscription
        self._markups: dict[str, GrowingMarkup] = {}

    async def opened(self, found: Opened) -> dict[str, Any]:
        live = self._services.jobs.is_live(found.conversation.id)
        followed = {message.id: self._subscription.follow(message) for message in found.messages}

        def show(message: Message, siblings: list[str]) -> dict[str, Any]:
            return self._shown(followed[message.id], siblings)

        return {"type": "open", **await asyncio.to_thread(opened_json, found, live=live, show=show)}

    async def told(self, event: Event) -> dict[str, Any]:
        match event:
            case MessageChanged(message):
                followed = self._subscription.follow(message)
                return {"type": "message", "message": await asyncio.to_thread(self._message, followed)}
            case ConversationChanged(conversation):
                live = self._services.jobs.is_live(conversation.id)
                return {"type": "conversation", "conversation": conversation_json(conversation, live=live)}
            case GroupChanged(group):
                return {"type": "group", "group": group_json(group)}
            case Gone():
                return {"type": "gone"}
            case deltas:
                return {"type": "deltas", "replies": await asyncio.to_thread(self._deltas, deltas)}

    # What lays text out runs on threads: the event loop has others to serve.

    def _deltas(self, deltas: tuple[Delta, ...]) -> list[dict[str, Any]]:
        return [delta_json(delta, self._markups[delta.id]) for delta in deltas]

    def _message(self, message: Message) -> dict[str, Any]:
        return self._shown(message, self._services.store.siblings(message))

    def _shown(self, message: Message, siblings: list[str]) -> dict[str, Any]:
        if message.state != "live":
            self._markups.pop(message.id, None)
            return message_json(message, siblings)
        markup = self._markups[message.id] = grown(message.content)
        return message_json(message, siblings, markup=markup)


def _frame(value: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
