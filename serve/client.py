"""Client of any OpenAI-compatible chat server: speaks HTTP and SSE, imports no engine.

The page, the command line and distill use it, so that they prove the API the way every client would.
One Client belongs to one event loop; `async with` or `aclose` frees its sockets.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import httpx2
import msgspec

from .errors import InvalidRequestError, R1ChatError
from .vote_events import VoteEvent, vote_event

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# the last word of a vote holds the texts of all thoughts
MAX_EVENT_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the thought of the reply `id`."""

    text: str
    id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """A piece of the answer of the reply `id`, with why the thought before it ended, as far as it was told."""

    text: str
    id: str = field(default="", compare=False)
    reasoning_end: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Done:
    """Last event of every stream that ended well. `usage` and `timings` are as the server sent them, and so is
    `reasoning_end`, why the thought ended; None where there was none, or the server does not say.
    """

    finish_reason: str
    usage: dict[str, Any]
    timings: dict[str, Any]
    id: str
    reasoning_end: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole reply, thought and answer apart."""

    reasoning: str
    content: str
    finish_reason: str
    usage: dict[str, Any]
    timings: dict[str, Any]
    reasoning_end: str | None = None


class ApiError(R1ChatError):
    """The server answered with an error. `status` is the HTTP status; 200 means that it came mid-stream.
    `retry_after_s` is when it wants to be asked again, if it said so.
    """

    def __init__(self, status: int, code: str | None, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s: float | None = None

    @property
    def passes(self) -> bool:
        """Whether the same request may get its reply another time: too much was asked at once, or it broke off."""
        return self.status in (200, 408, 409, 425, 429) or self.status >= 500


class ServerUnreachableError(R1ChatError):
    """No answer: nothing listens there, the connection broke, or it was silent for too long."""


class Client:
    """Chat over `base_url` (with or without a trailing /v1); `timeout` is the longest silence in seconds.

    Raises InvalidRequestError for what is no address, and so does every call for what JSON cannot say.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        model: str | None = None,
        timeout: float = 120.0,
    ) -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        self.model = model
        # A proxy from the environment must not stand between a program and its own machine.
        try:
            trust_env = httpx2.URL(self.base_url).host not in LOOPBACK
        except httpx2.InvalidURL as error:
            raise InvalidRequestError(f"{base_url[:200]!r} is no address of a server.") from error
        self._http = httpx2.AsyncClient(
            headers={b"Authorization": f"Bearer {api_key}".encode()} if api_key else {},
            timeout=httpx2.Timeout(timeout, connect=10.0),
            limits=httpx2.Limits(max_connections=None),
            trust_env=trust_env,
            # Certificates take tens of milliseconds to load; http to this machine needs none.
            verify=trust_env or self.base_url.startswith("https:"),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._http.aclose()

    async def stream(
        self, messages: list[dict[str, Any]], **params: Any
    ) -> AsyncGenerator[ReasoningDelta | ContentDelta | Done, None]:
        """Yields deltas as they arrive and one Done; closing the iterator closes the socket.

        `params` go into the body as they are. Raises ApiError, ServerUnreachableError.
        """
        async with aclosing(self._chunks(messages, params)) as chunks:
            async for event in _events(chunks):
                yield event

    async def vote(
        self, messages: list[dict[str, Any]], n: int, **params: Any
    ) -> AsyncGenerator[VoteEvent | Done, None]:
        """Has `n` thoughts vote, and yields what each of them says while it runs, how the vote stands, and one Done.

        The winner's reply, which the server tells once more at the end, is left out. Raises as stream() does.
        """
        params["vote"] = {"n": n, "stream_thoughts": True}
        done = Done("", {}, {}, "")
        async with aclosing(self._chunks(messages, params)) as chunks:
            async for chunk in chunks:
                done = _done_after(done, chunk)
                if event := vote_event(chunk):
                    yield event
        yield done

    async def fork(
        self, reply_id: str, at: dict[str, int] | Literal["think_end"], text: str = "", **params: Any
    ) -> AsyncGenerator[ReasoningDelta | ContentDelta | Done, None]:
        """The ended reply `reply_id` once more up to `at` ({"token": n}, or {"char": n} of its thought), then `text`,
        then what the model makes of it.

        Raises as stream() does; ApiError 404 where the server does not keep that reply any more.
        """
        body = {"id": reply_id, "at": at, "text": text, **params}
        async with aclosing(self._sent("/v1/reasoning/fork", body)) as chunks:
            async for event in _events(chunks):
                yield event

    async def complete(self, messages: list[dict[str, Any]], **params: Any) -> Completion:
        """The whole reply at once. It is streamed underneath, so that cancelling stops the server too."""
        texts: dict[type, list[str]] = {ReasoningDelta: [], ContentDelta: []}
        async with aclosing(self.stream(messages, **params)) as events:
            async for event in events:
                if isinstance(event, Done):
                    reasoning, content = ("".join(texts[kind]) for kind in (ReasoningDelta, ContentDelta))
                    return Completion(
                        reasoning, content, event.finish_reason, event.usage, event.timings, event.reasoning_end
                    )
                texts[type(event)].append(event.text)
        raise AssertionError("a stream ends with Done or raises")

    async def continue_text(self, **body: Any) -> dict[str, Any]:
        """The answer of /v1/completions to `body`, whole. Raises ApiError, ServerUnreachableError."""
        return await self._post("/v1/completions", body if self.model is None else {"model": self.model, **body})

    async def control(self, reply_id: str, action: Literal["answer_now", "think_more"]) -> bool:
        """Has a reply that runs end its thought now, or go on when it would end it; False where it has ended.

        Raises ApiError (404: no such reply runs), ServerUnreachableError.
        """
        body = await self._post("/v1/chat/completions/control", {"id": reply_id, "action": action})
        return bool(body.get("success"))

    async def models(self) -> list[dict[str, Any]]:
        """What the server offers, as GET /v1/models says it."""
        body = await self._asked("GET", "/v1/models")
        if not isinstance(body.get("data"), list):
            raise ApiError(200, None, f"The server's answer lists no models: {str(body)[:200]}")
        return body["data"]

    async def load(self, model: str) -> dict[str, Any]:
        """Loads a model before anybody asks it; its card, once it is there. Raises ApiError."""
        return await self._post("/v1/models/load", {"model": model})

    async def unload(self, model: str) -> dict[str, Any]:
        """Frees a model's memory; its card. Raises ApiError (models_busy: requests hold it)."""
        return await self._post("/v1/models/unload", {"model": model})

    async def memory(self) -> dict[str, Any]:
        """The body of GET /v1/memory: what models take. ApiError not_supported where they are elsewhere."""
        return await self._asked("GET", "/v1/memory")

    async def health(self) -> dict[str, Any]:
        """The body of GET /health, also while the model still loads (status 503)."""
        return await self._asked("GET", "/health", also_ok=503)

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._asked("POST", path, body)

    async def _asked(self, method: str, path: str, body: Any = None, *, also_ok: int = 200) -> dict[str, Any]:
        request = self._request(method, path, body)
        try:
            response = await self._http.send(request)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_error and response.status_code != also_ok:
            raise _api_error(response)
        return _json_object(response.text, response.status_code)

    def _chunks(self, messages: list[dict[str, Any]], params: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        model = {} if self.model is None else {"model": self.model}
        return self._sent("/v1/chat/completions", {"messages": messages, **model, **params})

    async def _sent(self, path: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """All chunks of a reply that came to its end. Raises ApiError, ServerUnreachableError."""
        streamed = {"stream": True, "stream_options": {"include_usage": True}, **body}
        request = self._request("POST", path, streamed)
        try:
            response = await self._http.send(request, stream=True)
            try:
                if response.is_error:
                    await response.aread()
                    raise _api_error(response)
                async for chunk in _chunks_of(response):
                    yield chunk
            finally:
                await response.aclose()
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _request(self, method: str, path: str, body: Any) -> httpx2.Request:
        try:
            return self._http.build_request(method, self.base_url + path, json=body)
        except ValueError as error:  # a number that is none, half a character
            raise InvalidRequestError(f"This cannot be sent: {error}.") from error

    def _unreachable(self, error: Exception) -> ServerUnreachableError:
        reason = str(error) or type(error).__name__
        return ServerUnreachableError(f"No answer from {self.base_url}: {reason}")


async def _events(
    chunks: AsyncGenerator[dict[str, Any], None],
) -> AsyncGenerator[ReasoningDelta | ContentDelta | Done, None]:
    done = Done("", {}, {}, "")
    async for chunk in chunks:
        done = _done_after(done, chunk)
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            # Servers differ in the name, some send both.
            if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
                yield ReasoningDelta(reasoning, done.id)
            if content := delta.get("content"):
                yield ContentDelta(content, done.id, done.reasoning_end)
    yield done


def _done_after(done: Done, chunk: dict[str, Any]) -> Done:
    """What is known of the end of a reply after one more chunk."""
    finish_reason, reasoning_end = done.finish_reason, done.reasoning_end
    for choice in chunk.get("choices") or ():
        finish_reason = choice.get("finish_reason") or finish_reason
        reasoning_end = choice.get("reasoning_end") or reasoning_end
    usage, timings = chunk.get("usage") or done.usage, chunk.get("timings") or done.timings
    return Done(finish_reason, usage, timings, chunk.get("id") or done.id, reasoning_end)


async def _chunks_of(response: httpx2.Response) -> AsyncGenerator[dict[str, Any], None]:
    async for sse in httpx2.EventSource(response, MAX_EVENT_BYTES):
        if sse.data.startswith("[DONE]"):
            return
        chunk = _json_object(sse.data, response.status_code)
        if chunk.get("error"):
            raise _error_from(chunk, response.status_code)
        yield chunk
    raise httpx2.ReadError("the stream ended before its last event")


def _json_object(text: str, status: int) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        raise ApiError(status, None, f"The server's answer is no JSON object: {text[:200]!r}") from None
    return value


def _api_error(response: httpx2.Response) -> ApiError:
    try:
        found = _error_from(_json_object(response.text, response.status_code), response.status_code)
    except ApiError as error:
        found = error
    wait = response.headers.get("retry-after", "")
    found.retry_after_s = float(wait) if wait.isdecimal() else None
    return found


def _error_from(body: dict[str, Any], status: int) -> ApiError:
    error = body.get("error")
    if not isinstance(error, dict):
        return ApiError(status, None, str(error or body)[:500])
    code = error.get("code")
    return ApiError(status, None if code is None else str(code), str(error.get("message") or error)[:2000])
