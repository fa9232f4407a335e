"""Routes of the models' shelf: what is here, what would fit, load, unload, remove."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, Request

from ....serve.api.security import owner_of
from ....serve.client import ApiError
from ....serve.errors import (
    InvalidRequestError,
    ModelLoadError,
    ModelNotFoundError,
    ModelsBusyError,
    NotSupportedError,
    R1ChatError,
)
from ....serve.models.catalog import DEMO
from ....serve.models.removal import remove
from ..services import PageServices
from ..shelf import Shelf, hardware, is_offline, leftovers
from .looks import Named, look, pace

_SAME: dict[str, type[R1ChatError]] = {
    "model_not_found": ModelNotFoundError,
    "models_busy": ModelsBusyError,
    "model_not_loaded": ModelLoadError,
    "insufficient_memory": ModelLoadError,
    "not_supported": NotSupportedError,
}


def shelf_router(services: PageServices) -> APIRouter:
    """Below /page/shelf, without downloads."""
    router = APIRouter()
    pulls = services.pulls

    @router.get("/shelf")
    async def show(request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        memory, cards, default = await look(services, owner)
        if memory is None:
            models = [{"id": card["id"], "state": card["state"], "is_default": card["id"] == default} for card in cards]
            return {"upstream": True, "where": services.label, "models": models, "pulls": []}
        return await asyncio.to_thread(whole, owner, memory, cards, default)

    def whole(owner: str, memory: dict[str, Any], cards: list[dict[str, Any]], default: str) -> dict[str, Any]:
        shelf, own = Shelf(memory, cards, pace()), pulls.of(owner)
        told = {
            "upstream": False,
            "offline": is_offline(),
            "hardware": hardware(memory, pace()),
            "models": shelf.models(default),
            "catalogue": shelf.catalogue(),
            "pulls": own,
            "leftovers": leftovers(pulls.repos()),
        }
        return msgspec.to_builtins(told)

    @router.post("/shelf/load")
    async def load(body: Named, request: Request) -> dict[str, Any]:
        async with services.client(owner_of(request)) as client:
            try:
                return {"model": await client.load(body.model)}
            except ApiError as error:
                raise _same(error) from error

    @router.post("/shelf/unload")
    async def unload(body: Named, request: Request) -> dict[str, Any]:
        return {"model": await unloaded(owner_of(request), body.model)}

    async def unloaded(owner: str, model: str) -> dict[str, Any]:
        async with services.client(owner) as client:
            try:
                return await client.unload(model)
            except ApiError as error:
                raise _same(error) from error

    @router.post("/shelf/remove")
    async def remove_model(body: Named, request: Request) -> dict[str, Any]:
        """Takes a model out of memory and off the disk."""
        memory, cards, default = await look(services, owner_of(request))
        if memory is None:
            raise NotSupportedError("The models are on another server, which keeps its own.", "model")
        card = next((card for card in cards if body.model in (card["id"], *card["aliases"])), None)
        if card is None:
            raise ModelNotFoundError(f"There is no model {body.model[:100]!r} here. See what there is: r1chat list")
        if card["id"] in (DEMO, default) or card["source"] is None:
            raise InvalidRequestError(
                f"{card['id']} is what this server was started with, or a part of r1chat, and stays. "
                "What else there is: r1chat list",
                "model",
            )
        if card["state"] != "unloaded":
            await unloaded(owner_of(request), card["id"])
        removed, freed = await asyncio.to_thread(remove, card["id"])
        return {"id": removed, "freed": freed}

    return router


def _same(error: ApiError) -> R1ChatError:
    """What /v1 said, as the type that says it again."""
    return _SAME.get(error.code or "", R1ChatError)(error.message)
