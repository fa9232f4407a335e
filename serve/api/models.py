"""GET /v1/models and GET /health: what is served, and whether it is ready."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from .replies import ErrorBody, Health, ModelList
from .served import ServedModels
from .wire_errors import json_response


def models_router(models: ServedModels) -> APIRouter:
    """Both routes."""
    router = APIRouter()

    @router.get("/v1/models", responses={"4XX": {"model": ErrorBody}})
    async def list_models() -> ModelList:
        return ModelList(data=models.cards())

    @router.get("/health", response_model=Health, responses={"503": {"model": Health}, "4XX": {"model": ErrorBody}})
    async def health() -> Response:
        body = models.health()
        return json_response(body.model_dump_json().encode(), 200 if body.status == "ok" else 503, {})

    return router
