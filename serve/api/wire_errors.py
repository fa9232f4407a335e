"""One table: error type -> HTTP status, OpenAI type and code. The only place where errors meet the wire."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from ..errors import (
    ContextLengthError,
    EngineError,
    EngineStoppedError,
    InvalidRequestError,
    ModelLoadError,
    ModelNotFoundError,
    ModelsBusyError,
    NonFiniteLogitsError,
    NotEnoughMemoryError,
    NotFoundError,
    NotSupportedError,
    QueueFullError,
    R1ChatError,
    UpstreamError,
)

logger = logging.getLogger(__name__)

# The type of a validator's error that says so.
NOT_SUPPORTED = "not_supported"
RETRY_SOON = {"retry-after": "1"}
# The SDKs try again by themselves on 503; asking a damaged model twice is of no use.
NO_RETRY = {"x-should-retry": "false"}


@dataclass(frozen=True)
class WireError:
    """How one kind of error looks on the wire."""

    status: int
    type: str
    code: str | None
    headers: dict[str, str] = field(default_factory=dict)
    param: str | None = None


TABLE: dict[type[Exception], WireError] = {
    ContextLengthError: WireError(400, "exceed_context_size_error", "context_length_exceeded"),
    NotSupportedError: WireError(400, NOT_SUPPORTED, NOT_SUPPORTED),
    InvalidRequestError: WireError(400, "invalid_request_error", "invalid_value"),
    NotFoundError: WireError(404, "invalid_request_error", "not_found"),
    ModelNotFoundError: WireError(404, "invalid_request_error", "model_not_found", param="model"),
    NotEnoughMemoryError: WireError(503, "server_error", "insufficient_memory", NO_RETRY),
    ModelLoadError: WireError(503, "server_error", "model_not_loaded", RETRY_SOON),
    ModelsBusyError: WireError(503, "server_error", "models_busy", RETRY_SOON),
    QueueFullError: WireError(429, "rate_limit_error", "queue_full", RETRY_SOON),
    EngineStoppedError: WireError(503, "server_error", "engine_restarted", RETRY_SOON),
    UpstreamError: WireError(503, "server_error", "upstream_error", RETRY_SOON),
    NonFiniteLogitsError: WireError(503, "server_error", "non_finite_logits", NO_RETRY),
    EngineError: WireError(503, "server_error", "engine_error", RETRY_SOON),
    R1ChatError: WireError(503, "server_error", "server_error", NO_RETRY),
}
UNEXPECTED = WireError(503, "server_error", "internal_error", NO_RETRY)

# What a route calls its prompt, where the engine, which knows no routes, says "messages".
PROMPTS = {"/v1/completions": "prompt", "/v1/responses": "input", "/v1/responses/input_tokens": "input"}

HTTP_CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
}


def wire_error(error: Exception) -> WireError:
    """The row of the nearest class; anything unknown is our fault and says so."""
    for cls in type(error).__mro__:
        if cls in TABLE:
            return TABLE[cls]
    return UNEXPECTED


def error_body(message: str, wire: WireError, param: str | None = None, **extra: Any) -> bytes:
    """The JSON of one error, always encodable."""
    detail = {"message": _encodable(message), "type": wire.type, "param": param and _encodable(param)}
    return msgspec.json.encode({"error": {**detail, "code": wire.code, **extra}})


def body_of(error: Exception, request_id: str) -> bytes:
    """The body for any exception. Unexpected ones are logged and say nothing of the inside."""
    wire = wire_error(error)
    if wire is UNEXPECTED:
        logger.error("request %s failed", request_id, exc_info=error)
        return error_body(f"Something failed on the server; its log has more under {request_id}.", wire)
    extra = {}
    if isinstance(error, ContextLengthError):
        extra = {"n_prompt_tokens": error.prompt_tokens, "n_ctx": error.n_ctx}
    return error_body(str(error), wire, getattr(error, "param", wire.param), **extra)


def error_response(error: Exception, request_id: str) -> Response:
    """The whole HTTP answer for any exception."""
    wire = wire_error(error)
    headers = wire.headers
    if isinstance(error, QueueFullError):
        headers = {"retry-after": str(error.retry_after_s)}
    return json_response(body_of(error, request_id), wire.status, headers)


# OpenAI names its kinds of refusal in `code`; Anthropic and llama-server do so in `type`.
HTTP_TYPES = {401: "authentication_error", 403: "permission_error"}


def plain_error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error that has no exception type of ours: raised by routing, or before it."""
    wire = WireError(status, HTTP_TYPES.get(status, "invalid_request_error"), HTTP_CODES.get(status))
    return json_response(error_body(message, wire), status, headers or {})


def json_response(body: bytes, status: int, headers: dict[str, str]) -> Response:
    return Response(body, status, headers, media_type="application/json")


def install(app: FastAPI) -> None:
    """Gives every error of `app` the OpenAI shape."""

    async def on_ours(request: Request, error: Exception) -> Response:
        if isinstance(error, InvalidRequestError) and error.param == "messages":
            error.param = PROMPTS.get(request.url.path, error.param)
        return error_response(error, request_id_of(request))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return plain_error(error.status_code, str(error.detail), dict(error.headers or {}))

    async def on_gone(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # which nobody reads

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _validation_response(error)

    app.add_exception_handler(R1ChatError, on_ours)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(ClientDisconnect, on_gone)
    app.add_exception_handler(RequestValidationError, on_invalid)


def request_id_of(request: Request) -> str:
    """The id that RequestIds gave this request."""
    return str(request.scope.get("r1chat.request_id", "-"))


def _validation_response(error: RequestValidationError) -> Response:
    """Says where and what, never the value: it may be huge, secret or not encodable."""
    problems = error.errors()[:3]
    if problems[0]["type"] == "json_invalid":
        message = f"The body is no JSON: {problems[0]['ctx']['error']} at character {problems[0]['loc'][1]}."
        return json_response(error_body(message, TABLE[InvalidRequestError], None), 400, {})
    lines = [f"{_path(problem['loc'])}: {problem['msg']}" for problem in problems]
    wire = TABLE[InvalidRequestError]
    if any(problem["type"] == NOT_SUPPORTED for problem in problems):
        wire = TABLE[NotSupportedError]
    return json_response(error_body("; ".join(lines), wire, _path(problems[0]["loc"])), wire.status, {})


def _path(loc: tuple[int | str, ...]) -> str:
    """('body', 'messages', 0, 'content', 'list[TextPart]') -> messages[0].content

    What is no plain name there is pydantic's own word for a branch of a union, or a hostile key.
    """
    path = ""
    for part in loc[1:]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() and len(part) <= 64:
            path += f".{part}"
    return path.lstrip(".") or "body"


def _encodable(text: str) -> str:
    return text[:4000].encode("utf-8", "backslashreplace").decode("utf-8")
