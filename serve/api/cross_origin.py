"""Answers for pages of other origins that were let in by name. Without such origins nothing here runs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import InvalidRequestError

# Apps and extensions are pages of schemes of their own.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_HEADER_NAMES = re.compile(r"[A-Za-z0-9_-]+(\s*,\s*[A-Za-z0-9_-]+)*")
_READABLE = b"x-request-id, request-id, retry-after, x-should-retry"


def check_origins(origins: Iterable[str]) -> frozenset[str]:
    """As browsers send them: scheme, host, port where it is not the scheme's. Raises InvalidRequestError."""
    for origin in origins:
        if not _ORIGIN.fullmatch(origin.lower()):
            raise InvalidRequestError(
                f"{origin[:100]!r} is no origin of a page. One looks like this: --cors-origin http://localhost:3000",
                param="cors_origin",
            )
    return frozenset(origin.lower() for origin in origins)


class CrossOrigin:
    """Middleware: tells browsers that pages of `origins` may read what they get, and what they may send.

    It lets nobody in: Security does, which knows the same origins. Cookies are for our own page alone.
    """

    def __init__(self, app: ASGIApp, *, origins: frozenset[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        origin = headers.get("origin", "").lower()
        if origin not in self._origins:
            await self._app(scope, receive, send)
            return
        granted = [(b"access-control-allow-origin", origin.encode()), (b"vary", b"origin")]
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await _preflight(headers, granted)(scope, receive, send)
            return

        async def readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                exposed = (b"access-control-expose-headers", _READABLE)
                message = {**message, "headers": [*message["headers"], *granted, exposed]}
            await send(message)

        await self._app(scope, receive, readable)


def _preflight(headers: Headers, granted: list[tuple[bytes, bytes]]) -> Response:
    answer = Response(status_code=200)
    answer.raw_headers += [
        *granted,
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-max-age", b"600"),
    ]
    asked = headers.get("access-control-request-headers", "")
    if _HEADER_NAMES.fullmatch(asked):
        answer.raw_headers.append((b"access-control-allow-headers", asked.encode()))
    if headers.get("access-control-request-private-network") == "true":
        answer.raw_headers.append((b"access-control-allow-private-network", b"true"))
    return answer
