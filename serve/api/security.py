"""Who may talk to the server: host and origin, key, body size. Pure ASGI, round the whole app, page included.

Decides on scope headers and scope["path"] alone; a URL rebuilt from the Host header could be forged.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import InvalidRequestError
from .wire_errors import plain_error

MAX_BODY = 2 * 1024 * 1024
OPEN_PATHS = frozenset({"/health"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
HOST = re.compile(r"([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """True for localhost and for addresses of this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_bind(host: str, api_key: str | None) -> None:
    """Refuses to listen to the network without a key. Raises InvalidRequestError."""
    if is_loopback(host) or api_key:
        return
    raise InvalidRequestError(
        f"Listening on {host} lets the network in, and no key is set. "
        f"Set one: R1CHAT_API_KEY=$(openssl rand -hex 16) r1chat serve --host {host}",
        param="host",
    )


class Security:
    """Middleware: every route denies by default, for HTTP and websockets alike.

    Host must be this machine by name (against DNS rebinding); a browser's Origin must be the same host
    (against other sites' pages); with a key set, all but /health want it as a bearer token, or as
    the password of HTTP Basic, which browsers ask for by themselves. Which key it was, owner_of() tells.
    """

    def __init__(
        self, app: ASGIApp, *, host: str, allowed_hosts: Iterable[str] = (), api_keys: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._names = LOOPBACK_NAMES | {name.lower() for name in (host, *allowed_hosts)}
        # An address cannot be rebound, so on a network bind each of the machine's own is fine.
        self._any_address = not is_loopback(host)
        self._key_hashes = [_hash(key.encode()) for key in api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, _limited(scope, receive), send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._host_allowed(hosts[0].lower()):
            return plain_error(403, "This server does not answer to that Host; call it by the address it listens on.")
        if not _same_origin(headers, hosts[0].lower(), scope):
            return plain_error(403, "Requests from other sites' pages are refused.")
        if self._key_hashes and scope["path"] not in OPEN_PATHS and not self._key_fits(headers, scope):
            challenge = "Bearer" if scope["path"].startswith("/v1") else 'Basic realm="r1chat", charset="UTF-8"'
            return plain_error(401, "A key is needed: Authorization: Bearer <key>.", {"www-authenticate": challenge})
        if _int_or_zero(headers.get("content-length")) > MAX_BODY:
            return _too_large()
        if _is_api_post(scope) and _has_body(headers) and not _is_json(headers):
            return plain_error(415, "Send JSON: Content-Type: application/json.")
        return None

    def _host_allowed(self, host: str) -> bool:
        match = HOST.fullmatch(host)
        if match is None:
            return False
        return match[1] in self._names or (self._any_address and _is_address(match[1]))

    def _key_fits(self, headers: Headers, scope: Scope) -> bool:
        scheme, _, value = headers.get("authorization", "").encode("latin-1").partition(b" ")
        if scheme.lower() == b"basic":
            value = _basic_password(value)
        elif scheme.lower() != b"bearer":
            return False
        # Both sides hashed: the comparison takes the same time whatever the length.
        given = _hash(value.strip())
        scope["r1chat.owner"] = given.hex()
        return any([hmac.compare_digest(given, known) for known in self._key_hashes])


def owner_of(request: Request) -> str:
    """A digest of the key that `request` came with; empty where none is needed."""
    return str(request.scope.get("r1chat.owner", ""))


def _same_origin(headers: Headers, host: str, scope: Scope) -> bool:
    """Programs send no Origin; browsers do, and only our own page's is welcome."""
    for origin in headers.getlist("origin"):
        scheme, separator, netloc = origin.lower().partition("://")
        if scheme not in ("http", "https") or not separator or netloc != host:
            return False
    if headers.get("sec-fetch-site") != "cross-site":
        return True
    # A link on another page may lead here; embedding, fetching and posting from there may not.
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest", "document") == "document"
    )


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Counts the body as it arrives: Content-Length may be missing or lie."""
    if scope["type"] != "http":
        return receive
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY:
            raise HTTPException(413, f"The body is larger than {MAX_BODY} bytes.", {"connection": "close"})
        return message

    return counted


def _too_large() -> Response:
    return plain_error(413, f"The body is larger than {MAX_BODY} bytes.", {"connection": "close"})


def _is_api_post(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith("/v1/")


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _is_json(headers: Headers) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _basic_password(value: bytes) -> bytes:
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _int_or_zero(value: str | None) -> int:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 19 else 0
