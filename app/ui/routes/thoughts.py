"""GET /page/messages/{id}/thought: a thought in steps, ready to be shown."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from ....serve.api.security import owner_of
from ..services import PageServices
from ..thoughts import thought_view


def thoughts_router(services: PageServices) -> APIRouter:
    router = APIRouter()

    # Not async: rendering computes, so it runs on a thread.
    @router.get("/messages/{message_id}/thought")
    def thought(message_id: str, request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        message = services.store.message(owner, message_id)
        question = services.store.message(owner, message.parent).content if message.parent else ""
        return thought_view(message.reasoning, message.content, question, message.reasoning_tokens)

    return router
