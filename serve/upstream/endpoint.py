"""One upstream: its address, what it has, whether it answers. Opens streams there, and says why one failed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx2
import msgspec

from ..errors import InvalidRequestError, UpstreamError
from .chunks import Chunk, chunk_decoder
from .discovery import RemoteModel, find_kind, find_model
from .failures import BUSY_S, Failure, error_of, refusal, status_of, unreachable
from .kinds import Kind

LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_EVENT_BYTES = 4 * 1024**2
MAX_BODY_BYTES = 8 * 1024**2
MAX_ERROR_BYTES = 64 * 1024
CONNECT_S = 5.0
# A prompt of 100k tokens on a busy cluster is silent for minutes, and vLLM sends nothing meanwhile.
SILENCE_S = 600.0
LOOK_S = 10.0
MAX_SILENT = 3
# Shorter than servers keep an idle connection (5 s and more), so that none is used while it is being closed.
KEEP_ALIVE_S = 2.0


class Endpoint:
    """`is_up` as of the last look or request; `name` is the URL without the scheme, `separates` the models that have
    sent a thought in a field of its own. Belongs to one event loop. Raises InvalidRequestError for a key that is none.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url
        self.name = url.partition("://")[2]
        self.kind = Kind.OTHER
        self.models: dict[str, RemoteModel] = {}
        self.separates: set[str] = set()
        self.is_up = False
        self.error = "it was not asked yet"
        self.last_picked = 0
        self.look_now = asyncio.Event()
        self._busy_until = 0.0
        self._n_silent = 0
        self._key = key
        self._http = httpx2.AsyncClient(
            headers=_authorization(key) if key else {},
            timeout=httpx2.Timeout(SILENCE_S, connect=CONNECT_S, write=60.0),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=KEEP_ALIVE_S),
            trust_env=httpx2.URL(url).host not in LOOPBACK,
        )

    async def close(self) -> None:
        await self._http.aclose()

    def model(self, name: str) -> RemoteModel:
        """What is known of it; a look may just have found it gone."""
        return self.models.get(name) or RemoteModel(name)

    @property
    def busy_s(self) -> float:
        """How long it is still to be left alone."""
        return max(0.0, self._busy_until - time.monotonic())

    def note(self, failure: Failure) -> None:
        """Takes from a failure what it says of this upstream."""
        self._busy_until = max(self._busy_until, time.monotonic() + failure.busy_s)
        if failure.down:
            self.is_up, self.error = False, str(failure.error)
            self.look_now.set()

    async def look(self) -> None:
        """Asks what it has. Afterwards `is_up`, `kind` and `models` are right, or `error` says why not."""
        try:
            async with asyncio.timeout(LOOK_S):
                await self._discover()
        except Failure as failure:
            self.is_up, self.error = False, str(failure.error)
            return
        except TimeoutError:
            self._n_silent += 1
            # one that is very busy may be slow once, and still serve
            self.is_up = self.is_up and self._n_silent < MAX_SILENT
            self.error = str(unreachable(self.name, "it is silent").error)
            return
        self.is_up, self.error, self._n_silent = True, "", 0

    async def _discover(self) -> None:
        """What was found out once holds for as long as it is up: it may come back as another."""
        cards = await self._cards()
        if not self.is_up or self.kind is Kind.OTHER:
            self.kind = await find_kind(self.ask, cards)
        known = self.models if self.is_up else {}
        self.separates &= known.keys()
        models = [await find_model(self.ask, self.kind, card, known.get(card["id"])) for card in cards]
        self.models = {model.id: model for model in models}

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Chunk | None, None]:
        """None once the upstream has taken the request, then its chunks to the last. Raises Failure."""
        try:
            async with self._http.stream("POST", self.url + path, content=_encoded(body), headers=_JSON) as response:
                if not response.is_success:
                    raise await self._refusal(response)
                yield None
                async with aclosing(self._chunks(response)) as chunks:
                    async for chunk in chunks:
                        yield chunk
        except httpx2.RequestError as error:
            raise self._unreachable(error) from error

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that answers. Raises Failure."""
        content = None if body is None else _encoded(body)
        try:
            async with self._http.stream(method, self.url + path, content=content, headers=_JSON) as response:
                if not response.is_success:
                    raise await self._refusal(response)
                text = await _read(response, MAX_BODY_BYTES)
        except httpx2.RequestError as error:
            raise self._unreachable(error) from error
        try:
            return msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            # nothing is wrong with the upstream itself: the question may have been too large
            told = f"What the upstream {self.name} sends for {path} is no JSON object, or too large."
            raise Failure(UpstreamError(told), moves=True) from None

    async def _chunks(self, response: httpx2.Response) -> AsyncGenerator[Chunk, None]:
        is_over = False
        async for event in httpx2.EventSource(response, MAX_EVENT_BYTES):
            if event.data.startswith("[DONE]"):
                return
            try:
                chunk = chunk_decoder.decode(event.data)
            except (msgspec.DecodeError, UnicodeEncodeError):
                raise unreachable(self.name, "what it streams is no chunk of a reply", broke=True) from None
            if chunk.is_error:
                raise self._stream_error(chunk, event.data)
            is_over = is_over or chunk.is_last
            yield chunk
        if not is_over:
            raise unreachable(self.name, "its reply broke off", broke=True)

    def _stream_error(self, chunk: Chunk, data: str) -> Failure:
        error = error_of(data.encode())
        return refusal(self.name, status_of(error), self._without_key(error), None)

    async def _refusal(self, response: httpx2.Response) -> Failure:
        error = self._without_key(error_of(await _read(response, MAX_ERROR_BYTES)))
        retry = response.headers.get("x-should-retry") != "false"
        return refusal(self.name, response.status_code, error, response.headers.get("retry-after"), retry=retry)

    def _without_key(self, error: dict[str, Any]) -> dict[str, Any]:
        if self._key and "message" in error:
            return {**error, "message": str(error["message"]).replace(self._key, "***")}
        return error

    def _unreachable(self, error: Exception) -> Failure:
        if isinstance(error, httpx2.ConnectTimeout):
            failure = unreachable(self.name, f"no connection within {CONNECT_S:.0f} s")
            # silence may be its network's or this machine's load; a request may come back to it
            failure.busy_s = BUSY_S
            return failure
        reason = str(error).rstrip(".") or type(error).__name__
        return unreachable(self.name, reason, broke=not isinstance(error, httpx2.ConnectError))

    async def _cards(self) -> list[dict[str, Any]]:
        data = (await self.ask("GET", "/v1/models")).get("data")
        if not isinstance(data, list):
            raise unreachable(self.name, "its /v1/models has no list of models")
        return [card for card in data if isinstance(card, dict) and isinstance(card.get("id"), str)]


_JSON = {"content-type": "application/json"}


def _authorization(key: str) -> dict[bytes, bytes]:
    """A line break at its end would be told later, and the key with it, to whoever asks how the upstreams are."""
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise InvalidRequestError(
            "The upstreams' key has a blank, a line break or another character that no key has. "
            "Set it anew: R1CHAT_UPSTREAM_KEY=... r1chat serve --upstream http://127.0.0.1:8001"
        )
    return {b"Authorization": f"Bearer {key}".encode()}


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise InvalidRequestError("The text has lone surrogates.", "messages") from error


async def _read(response: httpx2.Response, max_bytes: int) -> bytes:
    """The body, or nothing where it is larger than that."""
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > max_bytes:
            return b""
    return body
