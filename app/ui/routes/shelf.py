"""Routes of the models' shelf: what is here, what would fit, downloads, load, unload, remove.

Downloads begin here and nowhere else: only a person asks for one, never a request to /v1.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from ....serve.api.security import owner_of
from ....serve.api.wire_types import Text
from ....serve.client import ApiError
from ....serve.errors import (
    InvalidRequestError,
    ModelLoadError,
    ModelNotFoundError,
    ModelsBusyError,
    NotSupportedError,
    R1ChatError,
)
from ....serve.models import r1_models
from ....serve.models.catalog import DEMO, hub_id
from ....serve.models.fit.speed import read_rate
from ....serve.models.hub import cache
from ....serve.models.hub.downloads import available
from ....serve.models.hub.variants import pick
from ....serve.models.removal import remove
from ..services import PageServices
from ..shelf import Shelf, hardware, is_offline, leftovers

Name = Annotated[Text, Field(min_length=1, max_length=512)]
_SAME: dict[str, type[R1ChatError]] = {
    "model_not_found": ModelNotFoundError,
    "models_busy": ModelsBusyError,
    "model_not_loaded": ModelLoadError,
    "insufficient_memory": ModelLoadError,
    "not_supported": NotSupportedError,
}


class Named(BaseModel):
    """A body that names a model."""

    model_config = ConfigDict(extra="forbid", strict=True)
    model: Name


def shelf_router(services: PageServices) -> APIRouter:
    """Everything below /page/shelf. The processor's pace is measured once, when somebody first looks."""
    router = APIRouter()
    pulls = services.pulls
    rate = functools.cache(read_rate)

    async def look(owner: str) -> tuple[dict[str, Any] | None, list[dict[str, Any]], str]:
        """/v1/memory (None: the models are elsewhere), /v1/models, and the default model's name."""
        async with services.client(owner) as client:
            cards, health = await client.models(), await client.health()
            try:
                return await client.memory(), cards, health["model"]
            except ApiError as error:
                if error.code != "not_supported":
                    raise
                return None, cards, health["model"]

    async def shelf_of(owner: str) -> Shelf:
        memory, cards, _ = await look(owner)
        if memory is None:
            raise NotSupportedError("The models are on another server, which fetches its own.", "model")
        return Shelf(memory, cards, await asyncio.to_thread(rate))

    @router.get("/shelf")
    async def show(request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        memory, cards, default = await look(owner)
        if memory is None:
            models = [{"id": card["id"], "state": card["state"], "is_default": card["id"] == default} for card in cards]
            return {"upstream": True, "where": services.label, "models": models, "pulls": []}
        return await asyncio.to_thread(whole, owner, memory, cards, default)

    def whole(owner: str, memory: dict[str, Any], cards: list[dict[str, Any]], default: str) -> dict[str, Any]:
        shelf, own = Shelf(memory, cards, rate()), pulls.of(owner)
        told = {
            "upstream": False,
            "offline": is_offline(),
            "hardware": hardware(memory, rate()),
            "models": shelf.models(default),
            "catalogue": shelf.catalogue(),
            "pulls": own,
            "leftovers": leftovers(pulls.repos()),
        }
        return msgspec.to_builtins(told)

    @router.get("/shelf/pulls")
    def list_pulls(request: Request) -> dict[str, Any]:
        return {"pulls": msgspec.to_builtins(pulls.of(owner_of(request)))}

    @router.post("/shelf/lookup")
    async def look_up(body: Named, request: Request) -> dict[str, Any]:
        """What the hub has under a name or an address; nothing is fetched."""
        wanted = hub_id(body.model.strip())
        if wanted is None:
            raise InvalidRequestError(
                "That is no model of the hub. A name looks like user/repo or user/repo:Q4_K_M, or is an address.",
                "model",
            )
        shelf = await shelf_of(owner_of(request))
        # The network may be slow: on threads that those who write replies do not need.
        commit, found = await run_in_threadpool(available, wanted)
        chosen = pick(found, wanted.quant)
        choices = shelf.choices(wanted.repo, found, wanted.revision)
        suggested = next((one.id for one in choices if chosen and one.quant == chosen.label), None)
        return {
            "repo": wanted.repo,
            "commit": commit,
            "alias": r1_models.alias_of(wanted.repo),
            "choices": msgspec.to_builtins(choices),
            "suggested": suggested,
            "asked": wanted.quant,
        }

    @router.post("/shelf/pulls")
    async def begin_pull(body: Named, request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        await shelf_of(owner)
        return {"pull": msgspec.to_builtins(await asyncio.to_thread(pulls.begin, owner, body.model.strip()))}

    @router.post("/shelf/pulls/{pull_id}/stop")
    def stop_pull(pull_id: str, request: Request) -> dict[str, Any]:
        return {"pull": msgspec.to_builtins(pulls.stop(owner_of(request), pull_id))}

    @router.post("/shelf/pulls/{pull_id}/go_on")
    def go_on(pull_id: str, request: Request) -> dict[str, Any]:
        return {"pull": msgspec.to_builtins(pulls.go_on(owner_of(request), pull_id))}

    @router.delete("/shelf/pulls/{pull_id}")
    def forget_pull(pull_id: str, request: Request) -> dict[str, Any]:
        return {"freed": pulls.forget(owner_of(request), pull_id)}

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
        memory, cards, default = await look(owner_of(request))
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

    @router.post("/shelf/leftovers/remove")
    async def remove_leftovers(body: Named) -> dict[str, Any]:
        """Deletes what stopped downloads of a repository, not those on this page, have left."""
        known = await asyncio.to_thread(leftovers, pulls.repos())
        if body.model not in [one["repo"] for one in known]:
            raise ModelNotFoundError(f"Nothing is left of {body.model[:100]!r}. See what there is: r1chat list")
        return {"freed": await asyncio.to_thread(cache.remove_parts, body.model)}

    return router


def _same(error: ApiError) -> R1ChatError:
    """What /v1 said, as the type that says it again."""
    return _SAME.get(error.code or "", R1ChatError)(error.message)
