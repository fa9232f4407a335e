"""POST /v1/responses and /v1/responses/input_tokens."""

from __future__ import annotations

import time
import uuid

from fastapi import APIRouter, Request
from starlette.responses import Response

from ..error_bodies import ERRORS
from ..fields import log_ignored
from ..forms.tool_calls import parsed
from ..reasoning_format import formatted
from ..respond import respond
from ..security import owner_of
from ..served import ServedModels
from ..tokens import InputTokens
from ..wire_errors import request_id_of
from .asking import ask_of
from .body import ResponseBody, response_of
from .protocol import ResponsesRequest
from .writer import ResponsesWriter


def responses_router(models: ServedModels) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post(
        "/v1/responses",
        response_model=ResponseBody,
        responses={**ERRORS, "200": {"content": {"text/event-stream": {}}}},
    )
    async def create_response(body: ResponsesRequest, request: Request) -> Response:
        if body.ignored:
            log_ignored(body.ignored, request_id_of(request))
        ask = ask_of(body, owner_of(request))
        served = await models.lease(body.model, request)
        response_id = f"resp_{uuid.uuid4().hex}"
        response = response_of(body, response_id, served.id, int(time.time()))
        writer = ResponsesWriter(response, with_logprobs=body.wants_logprobs is not None)
        outputs = await served.backend.start(ask, response_id, streamed=bool(body.stream))
        told = formatted(parsed(outputs, ask.tools), body.reasoning_format, hides=body.hides_thought)
        return await respond(request, told, writer, stream=bool(body.stream))

    @router.post("/v1/responses/input_tokens", response_model=InputTokens, responses=ERRORS)
    async def count_input_tokens(body: ResponsesRequest, request: Request) -> InputTokens:
        ask = ask_of(body, owner_of(request))
        backend = (await models.lease(body.model, request)).backend
        answer = await backend.tokenize((await backend.prompt(ask)).segments)
        return InputTokens(input_tokens=len(answer.tokens))

    return router
