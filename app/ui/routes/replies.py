"""Replies over HTTP: ask, ask again, go on, steer, stop. Jobs write them; events.py tells how they get on."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from ....serve.api.security import owner_of
from ....serve.api.wire_types import MAX_INT, Text
from ....serve.client import ApiError
from ....serve.errors import InvalidRequestError
from ...conversations.defaults import default_settings
from ...conversations.records import Message, Settings
from ..services import PageServices
from ..views import conversation_json, message_json
from .bodies import Strict, changed_settings

Id = Annotated[Text, Field(max_length=64)]
Count = Annotated[int, Field(ge=0, le=MAX_INT)]
# The server takes a word for all of them alone: the first to reach its budget would end the others.
VOTE_IS_ONE = "The thoughts of this vote go on as they were asked; the budget holds from the next question on."


class Question(Strict):
    """`parent`: what the question follows; left out, the conversation's head. A null one begins a new branch."""

    conversation: Id | None = None
    text: Text
    parent: Id | None = None
    settings: dict[str, Any] | None = None


class Nothing(Strict):
    pass


class Edit(Strict):
    """So many characters of the thought stay (code points), then comes `text`."""

    at: Count
    text: Text = ""


class Control(Strict):
    """`tokens` go with `budget`: the thought ends when it has so many; null lifts what was said so before."""

    action: Literal["answer_now", "think_more", "stop", "budget"]
    tokens: Count | None = None


def replies_router(services: PageServices) -> APIRouter:
    """Messages of one owner each: somebody else's is not found."""
    router = APIRouter()

    def read(owner: str, message_id: str) -> tuple[Message, list[str]]:
        message = services.jobs.seen(services.store.message(owner, message_id))
        return message, services.store.siblings(message)

    async def shown(message: Message) -> dict[str, Any]:
        return message_json(message, await asyncio.to_thread(services.store.siblings, message))

    @router.post("/ask")
    async def ask(body: Question, request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        asked = await services.asker.ask(
            owner,
            body.conversation,
            body.text,
            parent=body.parent,
            at_head="parent" not in body.model_fields_set,
            settings=await asyncio.to_thread(asked_settings, services, owner, body),
        )
        return {
            "conversation": conversation_json(asked.conversation, live=True),
            "question": await shown(asked.question),
            "reply": await shown(asked.reply),
        }

    @router.get("/messages/{message_id}")
    def read_message(message_id: str, request: Request) -> dict[str, Any]:
        message, siblings = read(owner_of(request), message_id)
        live = services.jobs.live(message_id)
        return message_json(live.snapshot() if live else message, siblings, with_reasoning=True)

    @router.post("/messages/{message_id}/regenerate")
    async def regenerate(message_id: str, body: Nothing, request: Request) -> dict[str, Any]:
        return {"reply": await shown(await services.asker.regenerate(owner_of(request), message_id))}

    @router.post("/messages/{message_id}/answer_again")
    async def answer_again(message_id: str, body: Nothing, request: Request) -> dict[str, Any]:
        return {"reply": await shown(await services.asker.answer_again(owner_of(request), message_id))}

    @router.post("/messages/{message_id}/fork")
    async def fork(message_id: str, body: Edit, request: Request) -> dict[str, Any]:
        return {"reply": await shown(await services.asker.fork(owner_of(request), message_id, body.at, body.text))}

    @router.post("/messages/{message_id}/continue")
    async def go_on(message_id: str, body: Nothing, request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        return {"reply": await shown(await services.asker.go_on(owner, message_id, services.many.gone_on(owner)))}

    @router.post("/messages/{message_id}/control")
    async def control(message_id: str, body: Control, request: Request) -> dict[str, Any]:
        message = await asyncio.to_thread(services.store.message, owner_of(request), message_id)
        if body.tokens is not None and services.many.votes(message.group):
            raise InvalidRequestError(VOTE_IS_ONE, "tokens")
        return {"success": await _steer(services, owner_of(request), message_id, body)}

    return router


async def _steer(services: PageServices, owner: str, message_id: str, body: Control) -> bool:
    jobs = services.jobs
    if body.action == "budget":
        if "tokens" not in body.model_fields_set:
            raise InvalidRequestError("A budget is a number of tokens, or null for none.", "tokens")
        return jobs.limit(message_id, body.tokens)
    if body.action == "stop":
        return await jobs.stop_or_settle(owner, message_id)
    try:
        return await (jobs.answer_now(message_id) if body.action == "answer_now" else jobs.think_more(message_id))
    except ApiError as error:
        # It has ended while the word was on its way.
        if error.status == 404:
            return False
        raise


def asked_settings(services: PageServices, owner: str, body: Question) -> Settings | None:
    """How a question is asked; None: as its conversation is. Reads the store. Raises InvalidRequestError."""
    if body.conversation is None:
        return changed_settings(default_settings(services.store.database, owner), body.settings or {})
    if body.settings is None:
        return None
    return changed_settings(services.store.get(owner, body.conversation).settings, body.settings)
