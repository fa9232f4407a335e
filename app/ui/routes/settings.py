"""What new conversations are asked with: an owner's own default."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request

from ....serve.api.security import owner_of
from ...conversations.defaults import default_settings, keep_default
from ...conversations.records import Settings
from ..services import PageServices
from .bodies import Strict, changed_settings


class Default(Strict):
    """What is left out is as it was at first."""

    settings: dict[str, Any]


def settings_router(services: PageServices) -> APIRouter:
    """Of one owner each."""
    router = APIRouter()

    @router.get("/settings")
    def read_default(request: Request) -> dict[str, Any]:
        return {"settings": msgspec.to_builtins(default_settings(services.store.database, owner_of(request)))}

    @router.put("/settings")
    def change_default(body: Default, request: Request) -> dict[str, Any]:
        settings = changed_settings(Settings(), body.settings)
        return {"settings": msgspec.to_builtins(keep_default(services.store.database, owner_of(request), settings))}

    return router
