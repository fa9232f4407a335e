"""What the page asks first: what is served, which models there are, and how they may be asked."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec
from fastapi import APIRouter, Request

from ....serve.api.security import owner_of
from ...conversations.limits import limits
from ...conversations.presets import PRESETS
from ..services import PageServices


def state_router(services: PageServices) -> APIRouter:
    """One route. `status` is that of GET /health: starting, ok, or what is wrong, as `detail` has it."""
    router = APIRouter()

    @router.get("/state")
    async def state(request: Request) -> dict[str, Any]:
        async with services.client(owner_of(request)) as client:
            health, models = await client.health(), await client.models()
        return {
            "label": services.label,
            "status": health.get("status", "ok"),
            "detail": health.get("detail"),
            "default_model": health.get("model", ""),
            "models": models,
            "presets": msgspec.to_builtins(PRESETS),
            "limits": limits(),
            "version": _version(),
            "n_live": services.jobs.n_live,
        }

    return router


@cache
def _version() -> str:
    return version("r1chat")
