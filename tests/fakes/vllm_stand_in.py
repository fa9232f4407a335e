"""A stand-in for vLLM, which does not run here: a small HTTP server that says what vLLM says, word for word.

Its shapes were read in vLLM's sources (protocol.py of its chat route, its error and tokenize models). It computes
nothing: each reply is the script it was given. `Refusal`s wait in a list and answer the next requests.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL = "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"
THOUGHT = "Let me count.\nNine are left."
ANSWER = "The answer is \\boxed{9}."
PROMPT_TOKENS = 12


@dataclass
class Refusal:
    """Instead of a reply: a status, or after so many chunks an error event (`code` in it) or the end of the socket."""

    status: int = 200
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    after_chunks: int | None = None
    breaks: bool = False


def error(code: int, message: str, kind: str = "BadRequestError", *, old: bool = False) -> dict[str, Any]:
    """vLLM's error body, in its newer form or that of before 0.10."""
    inner = {"message": message, "type": kind, "param": None, "code": code}
    return {"object": "error", **inner} if old else {"error": inner}


class VllmStandIn:
    """`bodies` are the requests that came. `has_parser`: it runs with --reasoning-parser; `has_budget`: it is recent
    enough for thinking budgets.
    """

    def __init__(
        self,
        *,
        model: str = MODEL,
        has_parser: bool = True,
        has_budget: bool = True,
        deltas: list[dict[str, Any]] | None = None,
    ) -> None:
        self._model = model
        self._has_budget = has_budget
        self.bodies: list[dict[str, Any]] = []
        self.refusals: list[Refusal] = []
        self._deltas = deltas if deltas is not None else _deltas(has_parser)
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        app = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/version", self._version),
                Route("/openapi.json", self._schema),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/completions", self._complete, methods=["POST"]),
                Route("/tokenize", self._tokenize, methods=["POST"]),
                Route("/detokenize", self._detokenize, methods=["POST"]),
            ]
        )
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(sockets=[self._sock])))

    def __enter__(self) -> VllmStandIn:
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)

    async def _models(self, _: Request) -> Response:
        card = {"id": self._model, "object": "model", "created": 1, "owned_by": "vllm", "root": MODEL, "parent": None}
        return JSONResponse({"object": "list", "data": [{**card, "max_model_len": 4096, "permission": []}]})

    async def _version(self, _: Request) -> Response:
        return JSONResponse({"version": "0.11.2"})

    async def _schema(self, _: Request) -> Response:
        fields: dict[str, Any] = {"messages": {}, **({"thinking_token_budget": {}} if self._has_budget else {})}
        return JSONResponse({"components": {"schemas": {"ChatCompletionRequest": {"properties": fields}}}})

    async def _tokenize(self, request: Request) -> Response:
        body = await request.json()
        strs = ["<｜Assistant｜>", "<think>", "Ċ"] if "messages" in body else body["prompt"].split(" ")
        tokens = list(range(len(strs)))
        told = strs if body.get("return_token_strs") else None
        return JSONResponse({"count": len(tokens), "max_model_len": 4096, "tokens": tokens, "token_strs": told})

    async def _detokenize(self, request: Request) -> Response:
        return JSONResponse({"prompt": " ".join(str(token) for token in (await request.json())["tokens"])})

    async def _chat(self, request: Request) -> Response:
        return await self._reply(request, self._deltas)

    async def _complete(self, request: Request) -> Response:
        return await self._reply(request, [{"text": text} for text in ("nine", " are", " left")])

    async def _reply(self, request: Request, deltas: list[dict[str, Any]]) -> Response:
        body = await request.json()
        self.bodies.append(body)
        refusal = self.refusals.pop(0) if self.refusals else Refusal()
        if refusal.status != 200:
            return JSONResponse(refusal.body, refusal.status, refusal.headers)
        return StreamingResponse(_events(body, deltas, refusal), media_type="text/event-stream")


async def _events(body: dict[str, Any], deltas: list[dict[str, Any]], refusal: Refusal) -> AsyncIterator[str]:
    counts = (body.get("stream_options") or {}).get("continuous_usage_stats")
    is_chat = "messages" in body
    if is_chat:
        yield _chunk({"delta": {"role": "assistant", "content": ""}}, 0 if counts else None)
    for n, delta in enumerate(deltas):
        if n == refusal.after_chunks:
            if refusal.breaks:
                raise ConnectionAbortedError
            yield f"data: {json.dumps(refusal.body)}\n\n"
            yield "data: [DONE]\n\n"
            return
        yield _chunk({"delta": delta} if is_chat else delta, n + 1 if counts else None)
    calls = any("tool_calls" in delta for delta in deltas)
    end: dict[str, Any] = {"finish_reason": "tool_calls" if calls else "stop", "stop_reason": None}
    yield _chunk({"delta": {"content": ""}, **end} if is_chat else {"text": "", **end}, len(deltas) if counts else None)
    yield f"data: {json.dumps({'id': 'chatcmpl-1', 'choices': [], 'usage': _usage(len(deltas))})}\n\n"
    yield "data: [DONE]\n\n"


def _chunk(choice: dict[str, Any], n_tokens: int | None) -> str:
    choice = {"index": 0, "logprobs": None, "finish_reason": None, **choice}
    chunk: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    usage = {} if n_tokens is None else {"usage": _usage(n_tokens)}
    return f"data: {json.dumps({**chunk, 'choices': [choice], **usage})}\n\n"


def _usage(n_tokens: int) -> dict[str, Any]:
    total = PROMPT_TOKENS + n_tokens
    return {"prompt_tokens": PROMPT_TOKENS, "total_tokens": total, "completion_tokens": n_tokens}


def _deltas(has_parser: bool) -> list[dict[str, Any]]:
    """One for each word. Without a parser the thought is text, up to its closing tag."""
    thought, answer = _words(THOUGHT + "\n"), _words("\n\n" + ANSWER)
    if has_parser:
        return [{"reasoning": word} for word in thought] + [{"content": word} for word in answer]
    return [{"content": word} for word in (*thought, "</think>", *answer)]


def _words(text: str) -> list[str]:
    head, *tail = text.split(" ")
    return [head, *(f" {word}" for word in tail)]
