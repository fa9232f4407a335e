"""The distil set over HTTP: star, review, edit, take out, export. Of one owner each."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from ....serve.api.security import owner_of
from ....serve.api.wire_types import Text
from ...jobs.events import ConversationChanged
from ...stars.export import Format, exported
from ...stars.records import Similar, Star, StarState
from ..markup import render
from ..services import PageServices
from .bodies import Strict

Id = Annotated[Text, Field(min_length=1, max_length=64)]
Long = Annotated[Text, Field(max_length=1_000_000)]
# Of a text in the list; the whole is in the star itself.
_EXCERPT = 240


class NewStar(Strict):
    """`agree`: the conversation may collect from now on."""

    message: Id
    agree: bool = False


class StarChanges(Strict):
    """What is left out stays."""

    question: Long | None = None
    thought: Long | None = None
    answer: Long | None = None
    gold: Annotated[Text, Field(max_length=2000)] | None = None
    checked: bool | None = None
    alone: bool | None = None


def stars_router(services: PageServices) -> APIRouter:
    router = APIRouter(prefix="/stars")

    @router.get("")
    def list_stars(
        request: Request,
        state: StarState | None = None,
        start: Annotated[int, Query(ge=0)] = 0,
        n: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        owner = owner_of(request)
        found = services.stars.list(owner, state)
        shown = [_row(star) for star in found[start : start + n]]
        return {"stars": shown, "total": len(found), "counts": services.stars.counts(owner)}

    @router.get("/marks")
    def marks(request: Request, conversation: Annotated[str, Query(max_length=64)]) -> dict[str, Any]:
        found = services.stars.marks(owner_of(request), conversation)
        return {"marks": {message: {"id": star_id, "state": state} for message, (star_id, state) in found.items()}}

    @router.get("/export")
    def export(request: Request, format: Format = "traces") -> Response:
        lines = b"".join(exported(services.stars.list(owner_of(request), "accepted"), format))
        name = f"distil-set{'-sharegpt' if format == 'sharegpt' else ''}.jsonl"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(lines, media_type="application/jsonl", headers=headers)

    @router.post("")
    async def star(body: NewStar, request: Request) -> dict[str, Any]:
        owner = owner_of(request)
        # Judging takes seconds: on threads that those who write replies do not need.
        made = await run_in_threadpool(services.stars.star, owner, body.message, agreed=body.agree)
        if made is None:
            return {"star": None, "asks": True}
        if body.agree:
            conversation = await asyncio.to_thread(services.store.get, owner, made.source.conversation)
            services.jobs.tell(conversation.id, ConversationChanged(conversation))
        return {"star": _whole(made, []), "asks": False}

    @router.get("/{star_id}")
    def get_star(star_id: str, request: Request) -> dict[str, Any]:
        return {"star": _whole(*services.stars.get(owner_of(request), star_id))}

    @router.patch("/{star_id}")
    def change_star(star_id: str, body: StarChanges, request: Request) -> dict[str, Any]:
        owner, given = owner_of(request), body.model_dump(exclude_none=True)
        turn: dict[str, str] = {name: given.pop(name) for name in ("question", "thought", "answer") if name in given}
        services.stars.change(owner, star_id, turn, **given)
        return {"star": _whole(*services.stars.get(owner, star_id))}

    @router.delete("/{star_id}")
    def remove_star(star_id: str, request: Request) -> dict[str, Any]:
        return {"removed": services.stars.remove(owner_of(request), star_id).id}

    return router


def _row(star: Star) -> dict[str, Any]:
    """A star in the list: beginnings of its texts, and the gates that do not let it pass."""
    shown: Literal["failed", "open"] = "failed" if star.state == "refused" else "open"
    return {
        "id": star.id,
        "state": star.state,
        "created": star.created,
        "model": star.source.model,
        "question": star.turn.question[:_EXCERPT],
        "answer": star.turn.answer[-_EXCERPT:],
        "thought_tokens": star.source.thought_tokens,
        "edited": star.edited,
        "by": star.judged.by if star.judged else None,
        "gates": msgspec.to_builtins([gate for gate in star.gates if gate.state == shown]),
    }


def _whole(star: Star, similar: list[Similar]) -> dict[str, Any]:
    """All of it but whose it is. The answer also as safe HTML."""
    told: dict[str, Any] = msgspec.to_builtins(star)
    del told["owner"]
    return {**told, "edited": star.edited, "html": render(star.turn.answer), "similar": msgspec.to_builtins(similar)}
