"""The page's own routes below /page: JSON in and out, one router per room. They reach models through /v1 only."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from ..services import PageServices

ROUTERS: tuple[Callable[[PageServices], APIRouter], ...] = ()
