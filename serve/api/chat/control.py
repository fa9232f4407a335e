"""Word to a reply that runs: end the thought and answer now, or think more."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from ..error_bodies import ERRORS
from ..fields import Body
from ..security import owner_of
from ..served import ServedModels
from ..wire_types import Text

CompletionId = Annotated[Text, Field(min_length=1, max_length=200)]
Action = Literal["answer_now", "think_more", "reasoning_end"]


class ControlRequest(Body):
    """`reasoning_end` is llama-server's word for `answer_now`."""

    action: Action


class NamedControlRequest(ControlRequest):
    """llama-server's form: the reply is named here, and not by the path."""

    id: CompletionId


class ControlBody(BaseModel):
    """`success` is false where no thought was left to end or to go on."""

    id: str
    action: Action
    success: bool


def control_router(models: ServedModels) -> APIRouter:
    """Both routes. With several replies to one request, all of them are told; only who asked for them may."""
    router = APIRouter()

    async def control(completion_id: str, action: Action, request: Request) -> ControlBody:
        told = "answer_now" if action == "reasoning_end" else action
        success = await models.control(completion_id, told, owner_of(request))
        return ControlBody(id=completion_id, action=action, success=success)

    @router.post("/v1/chat/completions/control", responses=ERRORS)
    async def control_named_reply(body: NamedControlRequest, request: Request) -> ControlBody:
        return await control(body.id, body.action, request)

    @router.post("/v1/chat/completions/{completion_id}/control", responses=ERRORS)
    async def control_reply(completion_id: str, body: ControlRequest, request: Request) -> ControlBody:
        return await control(completion_id, body.action, request)

    return router
