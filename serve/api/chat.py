"""POST /v1/chat/completions: the body becomes an Ask, and what comes of it goes out in the OpenAI shape."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from .ask import Ask, check_model
from .chat_template import Turn
from .chat_writer import ChatWriter
from .generation import Generations
from .protocol import ChatRequest, Message
from .replies import ChatCompletion, ErrorBody
from .respond import respond
from .security import owner_of
from .wire_errors import request_id_of

logger = logging.getLogger(__name__)

ERRORS: dict[int | str, dict[str, Any]] = {"4XX": {"model": ErrorBody}, "503": {"model": ErrorBody}}


def chat_router(generations: Generations, model_id: str) -> APIRouter:
    """The route, for the model that is served under `model_id`."""
    router = APIRouter()

    @router.post(
        "/v1/chat/completions",
        response_model=ChatCompletion,
        responses={**ERRORS, "200": {"content": {"text/event-stream": {}}}},
    )
    async def create_chat_completion(body: ChatRequest, request: Request) -> Response:
        check_model(body.model, model_id)
        if body.ignored:
            log_ignored(body.ignored, request_id_of(request))
        ask = _ask(body, owner_of(request))
        completion_id = f"chatcmpl-{uuid.uuid4().hex}"
        writer = ChatWriter(
            completion_id, model_id, n=ask.n, include_usage=body.include_usage, deterministic=ask.deterministic
        )
        outputs = await generations.start(ask, completion_id, streamed=bool(body.stream))
        return await respond(request, outputs, writer, stream=bool(body.stream))

    return router


def _ask(body: ChatRequest, owner: str) -> Ask:
    return Ask(
        turns=tuple(_turn(message) for message in body.messages),
        params=body.sampling_params(),
        n=body.n or 1,
        priority=body.waits,
        owner=owner,
        cache_salt=body.cache_salt or "",
        deterministic=bool(body.deterministic),
    )


def _turn(message: Message) -> Turn:
    """Reasoning of earlier turns stays out of the prompt, as R1 was trained."""
    return Turn("system" if message.role == "developer" else message.role, message.text)


def log_ignored(names: list[str], request_id: str) -> None:
    """Fields that nobody knows may be a client's mistake."""
    shown = ", ".join(ascii(name[:64]) for name in names[:20])
    logger.info("request %s: fields not known here were ignored: %s", request_id, shown)
