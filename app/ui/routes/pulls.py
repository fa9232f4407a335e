"""Routes of downloads. They begin here and nowhere else: only a person asks for one, never a request to /v1."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from ....serve.api.security import owner_of
from ....serve.errors import InvalidRequestError, ModelNotFoundError
from ....serve.models import r1_models
from ....serve.models.catalog import hub_id
from ....serve.models.hub import cache
from ....serve.models.hub.downloads import available
from ....serve.models.hub.variants import pick
from ..services import PageServices
from ..shelf import leftovers
from .looks import Named, shelf_of


def pulls_router(services: PageServices) -> APIRouter:
    """Below /page/shelf: what the hub has, and what arrives, has stopped, or was left."""
    router = APIRouter()
    pulls = services.pulls

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
        shelf = await shelf_of(services, owner_of(request))
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
        await shelf_of(services, owner)
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

    @router.post("/shelf/leftovers/remove")
    async def remove_leftovers(body: Named) -> dict[str, Any]:
        """Deletes what stopped downloads of a repository, not those on this page, have left."""
        known = await asyncio.to_thread(leftovers, pulls.repos())
        if body.model not in [one["repo"] for one in known]:
            raise ModelNotFoundError(f"Nothing is left of {body.model[:100]!r}. See what there is: r1chat list")
        return {"freed": await asyncio.to_thread(cache.remove_parts, body.model)}

    return router
