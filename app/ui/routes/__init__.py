"""The page's own routes below /page: JSON in and out, one router per room. They reach models through /v1 only."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from ..services import PageServices
from .chats import chats_router
from .events import events_router
from .replies import replies_router
from .shelf import shelf_router
from .state import state_router

ROUTERS: tuple[Callable[[PageServices], APIRouter], ...] = (
    state_router,
    chats_router,
    replies_router,
    events_router,
    shelf_router,
)
