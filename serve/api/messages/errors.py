"""Anthropic's shape for every error below /v1/messages, wherever in the server it was raised."""

from __future__ import annotations

import json

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .body import ErrorDetail, MessagesError

PREFIXES = ("/v1/messages", "/messages")
# By the code or type that the error has in OpenAI's shape. What is not listed keeps its type.
TYPES = {
    "invalid_api_key": "authentication_error",
    "forbidden": "permission_error",
    "not_found": "not_found_error",
    "model_not_found": "not_found_error",
    "context_length_exceeded": "invalid_request_error",
    "body_too_large": "request_too_large",
    "server_error": "api_error",
}


def translated(body: bytes, request_id: str | None) -> bytes:
    """An error in OpenAI's shape as Anthropic has it, in one line; what we say more stays."""
    error = json.loads(body)["error"]
    kind = TYPES.get(error["code"], TYPES.get(error["type"], error["type"]))
    detail = ErrorDetail(type=kind, message=error["message"], param=error["param"], code=error["code"])
    return msgspec.json.encode(MessagesError(error=detail, request_id=request_id).model_dump())


class MessagesErrors:
    """Outermost middleware: rewrites error bodies, and names the request as Anthropic's clients look for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIXES):
            send = _Rewriting(send).send
        await self._app(scope, receive, send)


class _Rewriting:
    """One answer on its way out. The start of an error is held back until its body is whole."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            if request_id := headers.get("x-request-id"):
                headers["request-id"] = request_id
            if message["status"] >= 400 and headers.get("content-type", "").startswith("application/json"):
                self._start = message
                return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body"):
            await self._send_error(self._start)

    async def _send_error(self, start: Message) -> None:
        headers = MutableHeaders(raw=start["headers"])
        body = translated(self._body, headers.get("x-request-id"))
        headers["content-length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})
