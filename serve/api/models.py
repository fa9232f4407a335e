"""GET /v1/models and GET /health: what is served, and whether it is ready."""

from __future__ import annotations

import time

from fastapi import APIRouter
from starlette.responses import Response

from ..engine.process import EngineProcess
from .replies import ErrorBody, Health, ModelCard, ModelList, ModelMeta
from .wire_errors import json_response


class LoadReport:
    """Why the model is not there, if it failed to load."""

    def __init__(self) -> None:
        self.error: str | None = None


def models_router(engine: EngineProcess, model_id: str, owned_by: str, load: LoadReport) -> APIRouter:
    """Both routes, bound to the engine that they describe."""
    router = APIRouter()
    created = int(time.time())

    @router.get("/v1/models", responses={"4XX": {"model": ErrorBody}})
    async def list_models() -> ModelList:
        meta = ModelMeta.of(engine.info) if engine.info else None
        return ModelList(data=[ModelCard(id=model_id, created=created, owned_by=owned_by, meta=meta)])

    @router.get("/health", response_model=Health, responses={"503": {"model": Health}, "4XX": {"model": ErrorBody}})
    async def health() -> Response:
        ready = engine.state == "ready"
        status = "ok" if ready else engine.state
        body = Health(status=status, model=model_id, restarts=engine.restarts, detail=load.error)
        return json_response(body.model_dump_json().encode(), 200 if ready else 503, {})

    return router
