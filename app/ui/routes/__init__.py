"""The page's own routes below /page: JSON in and out, one router per room. They reach models through /v1 only."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from ..services import PageServices
from .chats import chats_router
from .events import events_router
from .many import many_router
from .pulls import pulls_router
from .replies import replies_router
from .runs import runs_router
from .settings import settings_router
from .shelf import shelf_router
from .stars import stars_router
from .state import state_router
from .thoughts import thoughts_router
from .transfer import transfer_router

ROUTERS: tuple[Callable[[PageServices], APIRouter], ...] = (
    state_router,
    settings_router,
    transfer_router,
    chats_router,
    replies_router,
    many_router,
    events_router,
    thoughts_router,
    shelf_router,
    pulls_router,
    stars_router,
    runs_router,
)
