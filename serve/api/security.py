"""Who may talk to the server: host and origin, key, size and pace of the body. Pure ASGI, round the whole app.

Decides on scope headers and scope["path"] alone; a URL rebuilt from the Host header could be forged.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import re
import time
from collections.abc import Iterable, Iterator

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import InvalidRequestError
from . import sign_in
from .wire_errors import plain_error

MAX_BODY = 2 * 1024 * 1024
# From the first byte to the last; 2 MB come in that time at 70 kB/s.
BODY_S = 30.0
# Of a person's file, such as all of somebody's conversations.
MAX_FILE = 256 * 1024 * 1024
FILE_S = 600.0
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
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
        "Make one, once: (umask 077; openssl rand -hex 16 > ~/.r1chat.key) and then, each time: "
        f"R1CHAT_API_KEY=$(cat ~/.r1chat.key) r1chat serve --host {host}",
        param="host",
    )


class Security:
    """Middleware: every route denies by default, for HTTP and websockets alike.

    Host must be this machine by name (against DNS rebinding); a browser's Origin must be the same host, or one
    of `origins` (against other sites' pages). With a key set, all but /health want it: as a bearer token, as
    x-api-key, as the password of HTTP Basic, or as the cookie that a browser gets for it, which is asked with
    a form. Which key it was, owner_of() tells. What is written to paths `json_below` must be JSON; a POST to one
    of `files_to` may be as large as a person's file.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        allowed_hosts: Iterable[str] = (),
        api_keys: Iterable[str] = (),
        origins: frozenset[str] = frozenset(),
        json_below: tuple[str, ...] = (),
        files_to: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._json_below = json_below
        self._files_to = files_to
        self._names = LOOPBACK_NAMES | {name.lower() for name in (host, *allowed_hosts)}
        # An address cannot be rebound, so on a network bind each of the machine's own is fine.
        self._any_address = not is_loopback(host)
        keys = tuple(api_keys)
        self._key_hashes = [_hash(key.encode()) for key in keys]
        self._key_owners = owners(keys)
        self._cookies = sign_in.Cookies(key.encode() for key in keys)
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None and self._signs_in(scope):
            refusal = await self._sign_in(scope, self._limited(scope, receive))
        if refusal is None:
            await self._app(scope, self._limited(scope, receive), send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._host_allowed(hosts[0].lower()):
            return plain_error(
                403,
                "This server does not answer to that Host; call it by the address it listens on, or start it with "
                "--allowed-host NAME.",
            )
        if not _same_origin(headers, hosts[0].lower(), scope, self._origins):
            return plain_error(403, "Requests from other sites' pages are refused; it takes those of --cors-origin.")
        if self._key_hashes and not self._signs_in(scope):
            owner = self._owner(headers, scope)
            if owner is None and scope["path"] not in OPEN_PATHS:
                return _ask_for_key(scope, headers)
            scope["r1chat.owner"] = owner
        limit, _ = self._bounds(scope)
        if _int_or_zero(headers.get("content-length")) > limit:
            return _too_large(limit)
        if self._wants_json(scope) and _has_body(headers) and not _is_json(headers):
            return plain_error(415, "Send JSON: Content-Type: application/json.")
        return None

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        return _counted(receive, *self._bounds(scope)) if scope["type"] == "http" else receive

    def _bounds(self, scope: Scope) -> tuple[int, float]:
        """How many bytes a body may have, and how many seconds it may take."""
        is_file = scope.get("method") == "POST" and scope["path"] in self._files_to
        return (MAX_FILE, FILE_S) if is_file else (MAX_BODY, BODY_S)

    def _wants_json(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["method"] in WRITES and scope["path"].startswith(self._json_below)

    def _signs_in(self, scope: Scope) -> bool:
        """The one path besides /health that no key opens: there it is given."""
        return (
            bool(self._key_hashes)
            and scope["type"] == "http"
            and (scope["method"], scope["path"]) == ("POST", sign_in.PATH)
        )

    async def _sign_in(self, scope: Scope, receive: Receive) -> Response:
        try:
            index = self._index(await sign_in.submitted_key(receive))
        except HTTPException as error:
            return plain_error(error.status_code, error.detail)
        if index is None:
            return sign_in.form("That is not the key.")
        return self._cookies.signed_in(scope, index)

    def _host_allowed(self, host: str) -> bool:
        match = HOST.fullmatch(host)
        if match is None:
            return False
        return match[1] in self._names or (self._any_address and _is_address(match[1]))

    def _owner(self, headers: Headers, scope: Scope) -> str | None:
        """Of the key that came with the request, by whatever way; None where none of ours did."""
        for given in _given_keys(headers):
            if (index := self._index(given)) is not None:
                return self._key_owners[index]
        if (index := self._cookies.key_index(scope, headers)) is not None:
            return self._key_owners[index]
        return None

    def _index(self, key: bytes) -> int | None:
        """Which of ours it is. Both sides hashed: the comparison takes the same time whatever the length."""
        given = _hash(key)
        fits = [hmac.compare_digest(given, known) for known in self._key_hashes]
        return fits.index(True) if any(fits) else None


def _given_keys(headers: Headers) -> Iterator[bytes]:
    """What the request's headers hold in the place of a key."""
    scheme, _, value = headers.get("authorization", "").encode("latin-1").partition(b" ")
    if scheme.lower() == b"basic":
        yield _basic_password(value).strip()
    elif scheme.lower() == b"bearer":
        yield value.strip()
    # Anthropic's clients send it under this name.
    if "x-api-key" in headers:
        yield headers["x-api-key"].encode("latin-1").strip()


def _ask_for_key(scope: Scope, headers: Headers) -> Response:
    if sign_in.wants_form(scope, headers):
        return sign_in.form()
    challenge = "Bearer" if scope["path"].startswith("/v1") else 'Basic realm="r1chat", charset="UTF-8"'
    return plain_error(401, "A key is needed: Authorization: Bearer <key>.", {"www-authenticate": challenge})


def owner_of(request: Request) -> str:
    """Whose `request` is: empty for the person of this machine, as where no key is needed."""
    return request.scope.get("r1chat.owner") or ""


def owners(keys: Iterable[str]) -> list[str]:
    """What owner_of() says of requests with each. The first key is that of the person of this machine, who loses
    nothing by setting or changing it; a digest of each further one is an owner of its own.
    """
    return [_hash(key.encode()).hex() if number else "" for number, key in enumerate(keys)]


def is_stranger(request: Request) -> bool:
    """It came without the key that this server wants, on a path that is open to all."""
    return request.scope.get("r1chat.owner", "") is None


def _same_origin(headers: Headers, host: str, scope: Scope, others: frozenset[str]) -> bool:
    """Programs send no Origin; browsers do, and only our own page's is welcome, or one let in by name."""
    origins = headers.getlist("origin")
    if len(origins) == 1 and origins[0].lower() in others:
        return True
    for origin in origins:
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


def _counted(receive: Receive, limit: int, seconds: float) -> Receive:
    """Counts the body as it arrives, and the time it takes: Content-Length may be missing or lie."""
    seen, whole, deadline = 0, False, time.monotonic() + seconds

    async def counted() -> Message:
        nonlocal seen, whole
        if whole:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise HTTPException(408, "The body took too long to arrive.", {"connection": "close"}) from None
        seen += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if seen > limit:
            raise HTTPException(413, f"The body is larger than {limit} bytes.", {"connection": "close"})
        return message

    return counted


def _too_large(limit: int) -> Response:
    return plain_error(413, f"The body is larger than {limit} bytes.", {"connection": "close"})


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
