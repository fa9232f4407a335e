"""Replies asked together, over HTTP: ask a vote or a comparison, say which answer is right, stop them all."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field

from ....serve.api.security import owner_of
from ....serve.api.wire_types import Text
from ..services import PageServices
from ..views import conversation_json, group_json, message_json
from .bodies import Strict
from .replies import Nothing, Question, asked_settings

MAX_SAMPLES = 8
Gold = Annotated[Text, Field(max_length=500)]


class ManyQuestion(Question):
    """`n` thoughts that vote, or one reply of each of two `models`; `gold` is the answer that the person knows."""

    n: Annotated[int, Field(ge=2, le=MAX_SAMPLES)] = 2
    models: Annotated[list[Annotated[Text, Field(min_length=1, max_length=512)]], Field(max_length=2)] | None = None
    gold: Gold = ""


class GoldAnswer(Strict):
    """ "" takes it back."""

    gold: Gold


def many_router(services: PageServices) -> APIRouter:
    """Groups of one owner each: somebody else's is not found."""
    router = APIRouter()

    @router.post("/many")
    async def ask_many(body: ManyQuestion, request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        asked = await services.many.ask(
            owner,
            body.conversation,
            body.text,
            n=body.n,
            models=body.models or (),
            gold=body.gold,
            parent=body.parent,
            at_head="parent" not in body.model_fields_set,
            settings=await asyncio.to_thread(asked_settings, services, owner, body),
        )
        names = [reply.id for reply in asked.replies]
        return {
            "conversation": conversation_json(asked.conversation, live=True),
            "question": message_json(asked.question, await asyncio.to_thread(services.store.siblings, asked.question)),
            "replies": [message_json(reply, names) for reply in asked.replies],
            "group": group_json(asked.group),
        }

    @router.patch("/groups/{group_id}")
    async def set_gold(group_id: str, body: GoldAnswer, request: Request) -> dict[str, Any]:
        return {"group": group_json(await services.many.set_gold(owner_of(request), group_id, body.gold))}

    @router.post("/groups/{group_id}/stop")
    async def stop(group_id: str, body: Nothing, request: Request) -> dict[str, Any]:
        return {"success": await services.many.stop(owner_of(request), group_id)}

    return router
