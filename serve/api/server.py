"""create_app: the API round the models that are served, with its middleware.

Knows no page; whoever mounts one is covered too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import EngineStoppedError, ModelLoadError
from . import wire_errors
from .chat.routes import chat_router
from .completions.routes import completions_router
from .cross_origin import CrossOrigin, check_origins
from .fork import fork_router
from .messages.errors import MessagesErrors
from .messages.routes import messages_router
from .metrics import metrics_router
from .models.routes import models_router
from .responses.routes import responses_router
from .security import Security, check_bind
from .served import Leases, ServedModels
from .tokens import tokens_router

logger = logging.getLogger(__name__)

ROUTERS = (
    chat_router,
    completions_router,
    responses_router,
    messages_router,
    tokens_router,
    fork_router,
    models_router,
)
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
WITHOUT_V1 = frozenset({"chat", "completions", "responses", "messages", "models"})
REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


@dataclass(frozen=True)
class ServerConfig:
    """Where to listen, and who may come.

    `api_key` and each of `more_keys` let in. Pages of `cors_origins` may call the API. What is written
    below `json_below` must be JSON; `files_to` are the paths that take a person's file.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    more_keys: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    json_below: tuple[str, ...] = ("/v1/",)
    files_to: frozenset[str] = frozenset()

    @property
    def keys(self) -> tuple[str, ...]:
        return ((self.api_key,) if self.api_key else ()) + self.more_keys


def create_app(config: ServerConfig, models: ServedModels) -> FastAPI:
    """The API. Its lifespan starts the models, and stops them again, unless they were started already.

    Raises InvalidRequestError where `config` would let the network in without a key, or names a wrong origin.
    """
    check_bind(config.host, config.api_key)
    origins = check_origins(config.cors_origins)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if models.started:
            yield
            return
        # In the background, so that /health can say that the model is loading.
        start = asyncio.create_task(_start(models))
        yield
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        await models.stop()

    app = FastAPI(title="r1chat", lifespan=lifespan, docs_url=None, redoc_url=None)
    for make_router in ROUTERS:
        app.include_router(make_router(models))
    app.include_router(metrics_router(models.metrics))
    app.add_api_route("/v1/{rest:path}", _no_such_route, methods=METHODS, include_in_schema=False)
    wire_errors.install(app)
    app.add_middleware(
        Security, host=config.host, allowed_hosts=config.allowed_hosts, api_keys=config.keys, origins=origins,
        json_below=config.json_below, files_to=config.files_to,
    )  # fmt: skip
    app.add_middleware(ShortPaths)
    app.add_middleware(Leases)
    app.add_middleware(LastResort)
    app.add_middleware(MessagesErrors)
    if origins:
        app.add_middleware(CrossOrigin, origins=origins)
    return app


async def _no_such_route(request: Request) -> None:
    """Keeps a page mounted at / from answering for the API in a shape of its own."""
    path = request.scope["path"]
    if allowed := request.app.openapi()["paths"].get(path):
        raise HTTPException(405, f"{request.method} is no method of {path}.", {"allow": ", ".join(allowed).upper()})
    raise HTTPException(404, f"No such route: {request.method} {path[:200]}")


async def _start(models: ServedModels) -> None:
    try:
        await models.start()
    except ModelLoadError as error:
        logger.error("the model cannot be loaded: %s", error)


class ShortPaths:
    """Middleware: /chat/completions is /v1/chat/completions, for clients whose base URL ends at the port.

    Outside of whatever decides by the path, so that all see one and the same.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].partition("/")[2].partition("/")[0] in WITHOUT_V1:
            path = f"/v1{scope['path']}"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)


class LastResort:
    """Outermost middleware: sees that every request has a name, and turns what nobody caught into a clean 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["r1chat.request_id"] = _given_id(scope) or f"req_{uuid.uuid4().hex}"
        started = False

        async def named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            await send(message)

        try:
            await self._app(scope, receive, named)
        except asyncio.CancelledError:
            # only the end of the server cancels requests, and to raise it would print a traceback
            if started:
                raise
            stopping = EngineStoppedError("The server is shutting down.")
            await wire_errors.error_response(stopping, request_id)(scope, receive, named)
        except Exception as error:
            if started:
                raise
            await wire_errors.error_response(error, request_id)(scope, receive, named)


def _given_id(scope: Scope) -> str | None:
    """The id that the client gave its request, if it may stand in a log and a header as it is."""
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return given[0].decode() if len(given) == 1 and REQUEST_ID.fullmatch(given[0]) else None
