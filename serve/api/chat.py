"""POST /v1/chat/completions: a request's way to the engine, and the engine's events back onto the wire."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from ..engine.process import EngineProcess
from ..engine.request import Accepted, Channel, Finished, GenerateRequest, ModelInfo, Priority, TokenOutput
from ..errors import EngineStoppedError, InvalidRequestError, ModelLoadError, ModelNotFoundError
from .chat_template import Turn, render
from .metrics import Metrics
from .next_turn import NextTurns
from .protocol import ChatRequest, Message
from .replies import ChatCompletion, ChatMessage, Choice, ErrorBody, TimingsBody, UsageBody, wire_finish_reason
from .security import owner_of
from .sse import ChunkWriter, SseResponse, until_disconnect
from .wire_errors import body_of, json_response, request_id_of

logger = logging.getLogger(__name__)

Events = AsyncGenerator[Accepted | TokenOutput | Finished, None]

NOT_DETERMINISTIC = (
    "This model's tokens depend on what else is computed beside them, so that deterministic replies cannot be "
    "promised. They can on the CPU with a file quantised to Q8_0 or Q4_0."
)

ERRORS: dict[int | str, dict[str, Any]] = {"4XX": {"model": ErrorBody}, "503": {"model": ErrorBody}}


def chat_router(engine: EngineProcess, model_id: str, metrics: Metrics, *, scope_by_key: bool) -> APIRouter:
    """The route, bound to the engine that answers under `model_id`."""
    router = APIRouter()
    next_turns = NextTurns(engine)

    @router.post(
        "/v1/chat/completions",
        response_model=ChatCompletion,
        responses={**ERRORS, "200": {"content": {"text/event-stream": {}}}},
    )
    async def create_chat_completion(body: ChatRequest, request: Request) -> Response:
        if body.model not in (None, model_id):
            raise ModelNotFoundError(f"This server has no model {body.model!r}; it serves {model_id!r}.")
        if body.ignored:
            _log_ignored(body.ignored, request_id_of(request))
        reply = _Reply(model_id, include_usage=body.include_usage, deterministic=bool(body.deterministic))
        turns = [_turn(message) for message in body.messages]
        scope = _cache_scope(owner_of(request) if scope_by_key else "", body.cache_salt or "")
        asked = await _for_engine(body, turns, _info(engine), reply.id, scope)
        events = metrics.watch(engine.generate(asked), asked.priority)
        if asked.priority is Priority.INTERACTIVE:
            events = next_turns.follow(events, asked, turns, streamed=bool(body.stream))
        return await reply.respond(request, events, stream=bool(body.stream))

    return router


def _info(engine: EngineProcess) -> ModelInfo:
    """What is known of the model since it was first loaded."""
    if engine.info is None:
        raise ModelLoadError("The model is still loading; try again in a moment.")
    return engine.info


async def _for_engine(
    body: ChatRequest, turns: list[Turn], info: ModelInfo, completion_id: str, cache_scope: str
) -> GenerateRequest:
    """Checks what needs the model, and renders the prompt off the event loop: texts may be long."""
    params = body.sampling_params()
    if any(token >= info.n_vocab for token in params.logit_bias):
        raise InvalidRequestError(
            f"logit_bias names a token that this model lacks; ids go up to {info.n_vocab - 1}.", "logit_bias"
        )
    if body.deterministic and not info.deterministic:
        raise InvalidRequestError(NOT_DETERMINISTIC, "deterministic")
    prompt = await asyncio.to_thread(render, turns, info)
    return GenerateRequest(
        request_id=completion_id,
        prompt=prompt.segments,
        params=params,
        reasoning_open=prompt.reasoning_open,
        priority=body.waits,
        cache_scope=cache_scope,
        deterministic=bool(body.deterministic),
    )


def _turn(message: Message) -> Turn:
    """Reasoning of earlier turns stays out of the prompt, as R1 was trained."""
    return Turn("system" if message.role == "developer" else message.role, message.text)


def _cache_scope(owner: str, salt: str) -> str:
    """One word for both, which tells neither: it may be written to disk with the cache."""
    return hashlib.sha256(f"{owner}:{salt}".encode()).hexdigest()[:32] if owner or salt else ""


def _log_ignored(names: list[str], request_id: str) -> None:
    shown = ", ".join(ascii(name[:64]) for name in names[:20])
    logger.info("request %s: fields not known here were ignored: %s", request_id, shown)


class _Reply:
    """One completion on its way out, whole or streamed."""

    def __init__(self, model_id: str, *, include_usage: bool, deterministic: bool) -> None:
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model_id = model_id
        self._deterministic = deterministic
        self._chunks = ChunkWriter(
            self.id, self._created, model_id, include_usage=include_usage, deterministic=deterministic
        )

    async def respond(self, request: Request, events: Events, *, stream: bool) -> Response:
        """What fails before the first event is raised, and so becomes a real HTTP error."""
        try:
            if not stream:
                return await until_disconnect(request, self._whole(events))
            frames = self._frames(events, request_id_of(request))
            first = await until_disconnect(request, anext(frames))
        except ClientDisconnect:
            return Response(status_code=499)
        goodbye = body_of(EngineStoppedError("The server is shutting down."), request_id_of(request))
        return SseResponse(first, frames, self._chunks.error(goodbye))

    async def _frames(self, events: Events, request_id: str) -> AsyncGenerator[bytes, None]:
        """Ends in exactly one terminal frame: [DONE] or an error."""
        async with aclosing(events):
            await anext(events)
            try:
                yield self._chunks.role()
                async for event in events:
                    if isinstance(event, TokenOutput):
                        if event.text:
                            yield self._chunks.text(event.channel, event.text)
                    elif isinstance(event, Finished):
                        yield self._chunks.end(event)
            except Exception as error:
                yield self._chunks.error(body_of(error, request_id))

    async def _whole(self, events: Events) -> Response:
        texts: dict[Channel, list[str]] = {Channel.REASONING: [], Channel.CONTENT: []}
        async with aclosing(events):
            async for event in events:
                if isinstance(event, TokenOutput):
                    texts[event.channel].append(event.text)
                elif isinstance(event, Finished):
                    return self._body(event, "".join(texts[Channel.REASONING]), "".join(texts[Channel.CONTENT]))
        raise EngineStoppedError("The engine ended the request without a last word.")

    def _body(self, finished: Finished, reasoning: str, content: str) -> Response:
        message = ChatMessage(content=content, reasoning_content=reasoning or None, reasoning=reasoning or None)
        completion = ChatCompletion(
            id=self.id,
            created=self._created,
            model=self._model_id,
            choices=[Choice(message=message, finish_reason=wire_finish_reason(finished.reason))],
            usage=UsageBody.of(finished.usage),
            timings=TimingsBody.of(finished.timings, finished.usage),
            deterministic=self._deterministic,
        )
        return json_response(completion.model_dump_json().encode(), 200, {})
