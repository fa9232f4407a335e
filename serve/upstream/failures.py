"""What an upstream's refusal means: an error of ours, and whether another upstream may do better.

Nothing of what it says to a wrong key is passed on, nor ever the key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from ..errors import (
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    NotSupportedError,
    QueueFullError,
    R1ChatError,
    UpstreamError,
)

MAX_MESSAGE = 1000
BUSY_S = 1.0
MAX_BUSY_S = 60.0
_TYPES = {
    "rate_limit_error": 429,
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "not_supported": 400,
    "exceed_context_size_error": 400,
}
# What the servers say of a prompt that is too long: the context's size, and the prompt's.
_CONTEXT = re.compile(r"context (?:length|size|window)[^.]*? (?:is|of|only)\D{0,12}(\d+)|context size \((\d+)")
_PROMPT = re.compile(
    r"at least (\d+) input tokens|passed (\d+) input tokens|\((\d+) in the (?:messages|prompt)|"
    r"(?:prompt|request|input) (?:has |is |\()?(\d+) tokens|resulted in (\d+) tokens"
)


@dataclass(slots=True)
class Failure(Exception):
    """`error` is for our client, where no other upstream helps. `moves`: another one may be asked. `busy_s`: this one
    is to be left alone so long. `down`: it is as good as gone. `broke`: it failed while it had the request, perhaps
    because of it.
    """

    error: R1ChatError
    moves: bool = False
    busy_s: float = 0.0
    down: bool = False
    broke: bool = False


def unreachable(name: str, reason: str, *, broke: bool = False) -> Failure:
    error = UpstreamError(f"The upstream {name} does not answer: {reason}.")
    return Failure(error, moves=True, down=True, broke=broke)


def error_of(body: bytes) -> dict[str, Any]:
    """The error's members in either form: {"error": {...}}, or vLLM's older {"object": "error", ...}."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    if not isinstance(value, dict):
        return {}
    inner = value.get("error", value)
    if isinstance(inner, dict):
        return inner
    return {"message": str(inner)}


def status_of(error: dict[str, Any]) -> int:
    """For an error inside a stream, which has no status of its own."""
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return code
    return _TYPES.get(str(error.get("type")), 503)


def refusal(name: str, status: int, error: dict[str, Any], retry_after: str | None, *, retry: bool = True) -> Failure:
    """What HTTP `status` with this error means. `retry` False: asking this one again is of no use."""
    message = str(error.get("message") or f"HTTP {status}")[:MAX_MESSAGE]
    said = f"The upstream {name} says: {message}"
    if status in (401, 403):
        text = f"The upstream {name} refuses this server's key (HTTP {status}); set R1CHAT_UPSTREAM_KEY."
        return Failure(UpstreamError(text), moves=True, down=True)
    if 300 <= status < 400:
        return Failure(UpstreamError(f"The upstream {name} redirects, which is not followed."), moves=True, down=True)
    if status == 429:
        busy_s = seconds(retry_after)
        return Failure(QueueFullError(said), moves=True, busy_s=busy_s)
    if status in (408, 502, 503, 504) and retry:
        broke = error.get("code") == "engine_restarted"
        return Failure(UpstreamError(said), moves=True, busy_s=seconds(retry_after), broke=broke)
    if status >= 500 and status != 501:
        return Failure(UpstreamError(said), moves=True, broke=True)
    return _client_error(status, message, said, error)


def _client_error(status: int, message: str, said: str, error: dict[str, Any]) -> Failure:
    param = error.get("param") if isinstance(error.get("param"), str) else None
    if status == 404 and (error.get("code") == "model_not_found" or "model" in message.lower()):
        return Failure(ModelNotFoundError(said), moves=True)
    if status == 404 and error.get("code") == "not_found":
        return Failure(NotFoundError(said))
    kinds = {str(error.get("type")), str(error.get("code"))}
    if status in (404, 405, 501) or kinds & {"not_supported", "not_supported_error"}:
        return Failure(NotSupportedError(said, param))
    if too_long := _too_long(message, error):
        return Failure(too_long)
    return Failure(InvalidRequestError(said, param))


def _too_long(message: str, error: dict[str, Any]) -> ContextLengthError | None:
    """A prompt that does not fit, both sizes known. Where only max_tokens is too large, the upstream's word stands."""
    n_prompt, n_ctx = error.get("n_prompt_tokens"), error.get("n_ctx")
    if not (isinstance(n_prompt, int) and isinstance(n_ctx, int)):
        context, prompt = _CONTEXT.search(message), _PROMPT.search(message)
        if not (context and prompt):
            return None
        n_ctx, n_prompt = (int(next(filter(None, match.groups()))) for match in (context, prompt))
        if n_prompt < n_ctx:
            return None
    return ContextLengthError(n_prompt, n_ctx)


def seconds(retry_after: str | None) -> float:
    """What Retry-After asks for; a date or nonsense counts as a moment."""
    try:
        return min(MAX_BUSY_S, max(0.0, float(retry_after or BUSY_S)))
    except ValueError:
        return BUSY_S
