"""POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from ..fields import log_ignored
from ..forms.tool_calls import parsed
from ..reasoning_format import formatted
from ..respond import respond
from ..security import owner_of
from ..served import ServedModels
from ..wire_errors import request_id_of
from .asking import ask_of, prompt_of
from .body import CountBody, MessageBody, MessagesError
from .protocol import CountRequest, MessagesRequest
from .writer import MessagesWriter

ERRORS: dict[int | str, dict[str, Any]] = {"4XX": {"model": MessagesError}, "503": {"model": MessagesError}}


def messages_router(models: ServedModels) -> APIRouter:
    """Both routes."""
    router = APIRouter()

    @router.post(
        "/v1/messages",
        response_model=MessageBody,
        responses={**ERRORS, "200": {"content": {"text/event-stream": {}}}},
    )
    async def create_message(body: MessagesRequest, request: Request) -> Response:
        if body.ignored:
            log_ignored(body.ignored, request_id_of(request))
        ask = ask_of(body, owner_of(request))
        served = await models.lease(body.model, request)
        message_id = f"msg_{uuid.uuid4().hex}"
        writer = MessagesWriter(
            message_id, served.id, request_id=request_id_of(request), hides_thought=body.hides_thought
        )
        outputs = await served.backend.start(ask, message_id, streamed=bool(body.stream))
        told = formatted(parsed(outputs, ask.tools), body.reasoning_format)
        return await respond(request, told, writer, stream=bool(body.stream))

    @router.post("/v1/messages/count_tokens", responses=ERRORS)
    async def count_message_tokens(body: CountRequest, request: Request) -> CountBody:
        ask = prompt_of(body, owner_of(request))
        backend = (await models.lease(body.model, request)).backend
        answer = await backend.tokenize((await backend.prompt(ask)).segments)
        return CountBody(input_tokens=len(answer.tokens))

    return router
