"""Conversations as files over HTTP: one or all of them out, as an attachment; a file of any chat in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.responses import StreamingResponse

from ....serve.api.security import owner_of
from ....serve.errors import NotFoundError
from ...conversations.records import Conversation
from ...conversations.store import ConversationStore
from ...conversations.transfer.reading import read
from ...conversations.transfer.tree import Tree, adopted, tree_of
from ...conversations.transfer.writing import FORMATS, Format, file_name
from ..services import PageServices

FormatName = Literal["md", "json", "sharegpt", "messages"]
ALL_TITLE = "r1chat-conversations"
# More than anybody has; each is read when its turn comes.
ALL = 1_000_000


def transfer_router(services: PageServices) -> APIRouter:
    """Of one owner each."""
    router = APIRouter()
    # A file takes several times its size while it is read.
    one_at_a_time = asyncio.Semaphore(1)

    @router.get("/conversations/{conversation_id}/export")
    def export_one(
        conversation_id: str, request: Request, format: FormatName = "md", thoughts: bool = True
    ) -> StreamingResponse:
        conversation = services.store.get(owner_of(request), conversation_id)
        return _attachment(services.store, [conversation], FORMATS[format], thoughts, conversation.title)

    @router.get("/export")
    def export_all(request: Request, format: FormatName = "json", thoughts: bool = True) -> StreamingResponse:
        conversations = services.store.list(owner_of(request), ALL)
        return _attachment(services.store, conversations, FORMATS[format], thoughts, ALL_TITLE)

    @router.post("/import")
    async def import_file(request: Request) -> dict[str, Any]:
        data = await request.body()  # an upload that stalls keeps nobody else waiting
        async with one_at_a_time:
            ids = await run_in_threadpool(_keep, services.store, owner_of(request), data)
        return {"imported": len(ids), "ids": ids[:1]}

    return router


def _attachment(
    store: ConversationStore, conversations: list[Conversation], form: Format, thoughts: bool, title: str
) -> StreamingResponse:
    pieces = form.write(_whole(store, conversations), thoughts=thoughts)
    headers = {
        "content-disposition": f'attachment; filename="{file_name(title, form)}"',
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    return StreamingResponse(iterate_in_threadpool(pieces), media_type=form.media_type, headers=headers)


def _whole(store: ConversationStore, conversations: Iterable[Conversation]) -> Iterator[Tree]:
    for conversation in conversations:
        try:
            yield tree_of(store, conversation.owner, conversation.id)
        except NotFoundError:
            # Deleted while the others were written.
            continue


def _keep(store: ConversationStore, owner: str, data: bytes) -> list[str]:
    """All of the file's conversations or, where it is wrong, none. The ids they have here."""
    trees = [adopted(tree, owner) for tree in read(data)]
    store.add_all((tree.conversation, tree.messages, tree.groups) for tree in trees)
    return [tree.conversation.id for tree in trees]
