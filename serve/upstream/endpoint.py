"""One upstream: its address, what it has, whether it answers. Opens streams there, and says why one failed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, get_args

import httpx2
import msgspec

from ..errors import InvalidRequestError
from .chunks import Chunk, chunk_decoder
from .failures import BUSY_S, Failure, error_of, refusal, status_of, unreachable
from .kinds import Kind, kind_by_card

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

State = Literal["unloaded", "loading", "loaded", "failed"]
STATES = get_args(State)


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What an upstream tells of a model; 0 where it does not. `opens_thought`: its prompts end in an opening tag.
    `knows_tools`: its template shows them, `knows_budget`: its server can end a thought, both as far as is known.
    `aliases` are other names for it. `state` is r1chat's; others list what they have loaded.
    """

    id: str
    n_ctx: int = 0
    n_params: int = 0
    n_vocab: int = 0
    deterministic: bool = False
    bos_token: str = ""
    opens_thought: bool = False
    knows_tools: bool = True
    knows_budget: bool = True
    aliases: tuple[str, ...] = ()
    state: State = "loaded"


class Endpoint:
    """`is_up` as of the last look or request; `name` is the URL without the scheme, `separates` the models that have
    sent a thought in a field of its own. Belongs to one event loop.
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
            headers={b"Authorization": f"Bearer {key}".encode()} if key else {},
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
                cards = await self._cards()
                self.kind = await self._find_kind(cards)
                models = [await self._model(card) for card in cards]
        except Failure as failure:
            self.is_up, self.error = False, str(failure.error)
            return
        except TimeoutError:
            self._n_silent += 1
            # one that is very busy may be slow once, and still serve
            self.is_up = self.is_up and self._n_silent < MAX_SILENT
            self.error = str(unreachable(self.name, "it is silent").error)
            return
        self.models = {model.id: model for model in models}
        self.is_up, self.error, self._n_silent = True, "", 0

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
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that answers. Raises Failure."""
        content = None if body is None else _encoded(body)
        try:
            async with self._http.stream(method, self.url + path, content=content, headers=_JSON) as response:
                if not response.is_success:
                    raise await self._refusal(response)
                text = await _read(response, MAX_BODY_BYTES)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        try:
            return msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise unreachable(self.name, f"what it sends for {path} is no JSON object, or too large") from None

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
            is_over = is_over or any(choice.finish_reason for choice in chunk.choices)
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

    async def _find_kind(self, cards: list[dict[str, Any]]) -> Kind:
        for card in cards:
            if kind := kind_by_card(card):
                return kind
        for path, member, kind in (("/version", "version", Kind.VLLM), ("/props", "chat_template", Kind.LLAMA_SERVER)):
            with contextlib.suppress(Failure):
                if member in await self.ask("GET", path):
                    return kind
        return Kind.OTHER

    async def _model(self, card: dict[str, Any]) -> RemoteModel:
        meta = card["meta"] if isinstance(card.get("meta"), dict) else {}
        known = self.models.get(card["id"]) or await self._template(card["id"])
        return RemoteModel(
            id=card["id"],
            n_ctx=_count(meta.get("n_ctx") or card.get("max_model_len")),
            n_params=_count(meta.get("n_params")),
            n_vocab=_count(meta.get("n_vocab")),
            deterministic=meta.get("deterministic") is True,
            opens_thought=known.opens_thought,
            knows_tools=known.knows_tools,
            knows_budget=known.knows_budget,
            state=card["state"] if card.get("state") in STATES else "loaded",
            aliases=tuple(alias for alias in card.get("aliases") or () if isinstance(alias, str)),
        )

    async def _template(self, model: str) -> RemoteModel:
        """What its chat template does, found out once. A prompt that ends in <think> means that a reply without
        reasoning fields begins inside a thought.
        """
        messages = [{"role": "user", "content": "?"}]
        prompt, knows_tools, knows_budget = "", True, True
        with contextlib.suppress(Failure):
            if self.kind is Kind.VLLM:
                body = {"model": model, "messages": messages, "return_token_strs": True}
                prompt = "".join((await self.ask("POST", "/tokenize", body)).get("token_strs") or ())
                # older ones take the field, and do nothing
                knows_budget = "thinking_token_budget" in str(
                    (await self.ask("GET", "/openapi.json")).get("components")
                )
            elif self.kind is Kind.LLAMA_SERVER:
                prompt = str((await self.ask("POST", "/apply-template", {"messages": messages})).get("prompt"))
                caps = (await self.ask("GET", "/props")).get("chat_template_caps") or {}
                knows_tools = caps.get("supports_tools") is not False
        # a byte-level tokenizer writes a line break as Ċ
        opens_thought = prompt.rstrip("\nĊ ").endswith("<think>")
        return RemoteModel(model, opens_thought=opens_thought, knows_tools=knows_tools, knows_budget=knows_budget)


_JSON = {"content-type": "application/json"}


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


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
