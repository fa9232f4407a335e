"""GET /v1/models and what loads and unloads them, GET /v1/memory, and GET /health."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from ...models.residents.manager import FOREVER
from ..error_bodies import ERRORS, ErrorBody
from ..fields import Body, log_ignored
from ..model_bodies import Health, ModelCard, ModelList
from ..security import is_stranger
from ..served import ServedModels
from ..wire_errors import json_response, request_id_of
from ..wire_types import Text
from .memory import MemoryReport

Name = Annotated[Text, Field(min_length=1, max_length=512)]


class UnloadRequest(Body):
    model: Name


class LoadRequest(Body):
    """`keep_alive`: idle for so many seconds the model is unloaded; -1: never, 0: after its next reply."""

    model: Name
    keep_alive: Annotated[float, Field(ge=-1, le=1e9, allow_inf_nan=False)] | None = None

    @property
    def keep_alive_s(self) -> float | None:
        return FOREVER if self.keep_alive is not None and self.keep_alive < 0 else self.keep_alive


def models_router(models: ServedModels) -> APIRouter:
    """All of them. No route fetches a model from elsewhere."""
    router = APIRouter()

    @router.get("/v1/models", responses={"4XX": {"model": ErrorBody}})
    async def list_models() -> ModelList:
        return ModelList(data=await models.cards())

    @router.post("/v1/models/load", responses=ERRORS)
    async def load_model(body: LoadRequest, request: Request) -> ModelCard:
        if body.ignored:
            log_ignored(body.ignored, request_id_of(request))
        return await models.load(body.model, body.keep_alive_s)

    @router.post("/v1/models/unload", responses=ERRORS)
    async def unload_model(body: UnloadRequest, request: Request) -> ModelCard:
        if body.ignored:
            log_ignored(body.ignored, request_id_of(request))
        return await models.unload(body.model)

    @router.get("/v1/models/{model_id:path}", responses=ERRORS)
    async def read_model(model_id: str) -> ModelCard:
        return await models.card(model_id)

    @router.get("/v1/memory", responses=ERRORS)
    async def read_memory() -> MemoryReport:
        return await models.memory()

    @router.get("/health", response_model=Health, responses={"503": {"model": Health}, "4XX": {"model": ErrorBody}})
    async def health(request: Request) -> Response:
        body = models.health()
        if is_stranger(request):
            # it names files and addresses
            body = body.model_copy(update={"detail": None})
        return json_response(body.model_dump_json().encode(), 200 if body.status == "ok" else 503, {})

    return router
