"""POST /v1/chat/completions: the body becomes an Ask, and what comes of it goes out in the OpenAI shape."""

from __future__ import annotations

import uuid

from fastapi import APIRouter, Request
from starlette.responses import Response

from ...answers.math_judge import MathJudge
from ...errors import NotSupportedError
from ..ask import Ask, with_one_system
from ..error_bodies import ERRORS
from ..fields import log_ignored
from ..forms.structure import Form
from ..forms.tool_calls import parsed
from ..forms.tools import offered
from ..outputs import Outputs
from ..reasoning_format import formatted
from ..replies import ChatCompletion
from ..respond import respond
from ..security import owner_of
from ..served import Backend, ServedModels
from ..voting.vote import vote
from ..wire_errors import request_id_of
from .control import control_router
from .protocol import ChatRequest
from .writer import ChatWriter


def chat_router(models: ServedModels) -> APIRouter:
    """The route, and those that control its replies."""
    router = APIRouter()
    judge = MathJudge()

    @router.post(
        "/v1/chat/completions",
        response_model=ChatCompletion,
        responses={**ERRORS, "200": {"content": {"text/event-stream": {}}}},
    )
    async def create_chat_completion(body: ChatRequest, request: Request) -> Response:
        if body.ignored:
            log_ignored(body.ignored, request_id_of(request))
        ask = asked(body, owner_of(request))
        served = await models.lease(body.model, request)
        completion_id = f"chatcmpl-{uuid.uuid4().hex}"
        writer = ChatWriter(
            completion_id,
            served.id,
            n=ask.n,
            include_usage=body.include_usage,
            deterministic=ask.deterministic,
            with_logprobs=bool(body.logprobs),
        )
        outputs = await _started(served.backend, judge, body, ask, completion_id)
        return await respond(request, outputs, writer, stream=bool(body.stream))

    router.include_router(control_router(models))
    return router


def asked(body: ChatRequest, owner: str) -> Ask:
    """Raises InvalidRequestError for fields that do not go together."""
    tools = offered(body.tools, body.tool_choice)
    if body.vote and tools:
        raise NotSupportedError("A vote does not go together with tools.", "vote")
    form = Form(
        body.asked_format,
        body.asked_regex,
        body.asked_choice,
        body.tools,
        body.tool_choice,
        body.parallel_tool_calls,
    )
    return Ask(
        turns=with_one_system(tuple(message.turn for message in body.messages)),
        params=body.sampling_params(),
        n=body.n or 1,
        grammar=form.grammar,
        form=form,
        tools=tools,
        thinking=body.asked_thinking.wanted,
        continues=body.continues,
        keeps_thoughts=body.keeps_thoughts,
        priority=body.waits,
        owner=owner,
        cache_salt=body.cache_salt or "",
        deterministic=bool(body.deterministic),
    )


async def _started(backend: Backend, judge: MathJudge, body: ChatRequest, ask: Ask, completion_id: str) -> Outputs:
    """What the engine says of it, as the client wants to hear it."""
    streamed = bool(body.stream)
    if body.vote:
        outputs = await vote(backend, ask, completion_id, body.vote, judge, streamed=streamed)
    else:
        outputs = await backend.start(ask, completion_id, streamed=streamed)
    if ask.tools:
        outputs = parsed(outputs, ask.tools)
    return formatted(outputs, body.thought_format)
