"""POST /tokenize, /detokenize, /apply-template and a chat's input_tokens, as llama-server has them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from ..engine.messages import QueryAnswer
from ..engine.request import Segment
from ..errors import InvalidRequestError, NotSupportedError
from ..reasoning import CLOSE_TAG
from .chat.protocol import ChatRequest
from .chat.routes import asked
from .error_bodies import ERRORS
from .fields import Body
from .security import owner_of
from .served import ServedModels
from .wire_types import MAX_INT, Text

# What the engine writes at once where no thought is wanted.
CLOSING = f"{CLOSE_TAG}\n\n"
ModelName = Annotated[Text, Field(max_length=512)] | None
TokenNumber = Annotated[int, Field(ge=0, le=MAX_INT)]


class TokenizeRequest(Body):
    """`add_special` puts the model's first token in front; `parse_special` lets the text spell special tokens."""

    content: Text
    model: ModelName = None
    add_special: bool | None = None
    parse_special: bool | None = None
    with_pieces: bool | None = None


class TokenPiece(BaseModel):
    """`piece` is a token's text, or its bytes where they are no text by themselves."""

    id: int
    piece: str | list[int]


class Tokens(BaseModel):
    """Plain numbers, unless pieces were asked for."""

    tokens: list[int] | list[TokenPiece]


class DetokenizeRequest(Body):
    tokens: Annotated[list[TokenNumber], Field(max_length=1_000_000, fail_fast=True)]
    model: ModelName = None


class Content(BaseModel):
    content: str


class InputTokens(BaseModel):
    """How long a prompt would be."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int


class Prompt(BaseModel):
    """What the model is given before it writes, where a chat request has the same body."""

    prompt: str


def tokens_router(models: ServedModels) -> APIRouter:
    """The routes, with and without /v1."""
    router = APIRouter()

    async def tokenize(body: TokenizeRequest, request: Request) -> Response:
        backend = (await models.lease(body.model, request)).backend
        bos = backend.info.bos_token if body.add_special else ""
        segments = (Segment(bos, True), Segment(body.content, body.parse_special is not False))
        answer = await backend.tokenize(tuple(segment for segment in segments if segment.text))
        if body.with_pieces and len(answer.pieces) < len(answer.tokens):
            raise NotSupportedError("This model's server does not tell the text of single tokens.", "with_pieces")
        # there may be a million: the event loop has streams to serve meanwhile
        written = await asyncio.to_thread(_tokens_body, answer, with_pieces=bool(body.with_pieces))
        return Response(written, media_type="application/json")

    async def detokenize(body: DetokenizeRequest, request: Request) -> Content:
        backend = (await models.lease(body.model, request)).backend
        n_vocab = backend.info.n_vocab
        if any(token >= n_vocab for token in body.tokens):
            raise InvalidRequestError(f"This model's tokens are numbered up to {n_vocab - 1}.", "tokens")
        answer = await backend.pieces(tuple(body.tokens))
        return Content(content=b"".join(answer.pieces).decode(errors="replace"))

    async def apply_template(body: ChatRequest, request: Request) -> Prompt:
        ask = asked(body, owner_of(request))
        backend = (await models.lease(body.model, request)).backend
        prompt = await backend.prompt(ask)
        is_closed = prompt.reasoning_open and ask.params.reasoning_budget == 0
        return Prompt(prompt=prompt.text + (CLOSING if is_closed else ""))

    async def input_tokens(body: ChatRequest, request: Request) -> InputTokens:
        ask = asked(body, owner_of(request))
        backend = (await models.lease(body.model, request)).backend
        answer = await backend.tokenize((await backend.prompt(ask)).segments)
        return InputTokens(input_tokens=len(answer.tokens))

    router.post("/v1/chat/completions/input_tokens", response_model=InputTokens, responses=ERRORS)(input_tokens)
    for path in ("/apply-template", "/v1/apply-template"):
        router.post(path, response_model=Prompt, responses=ERRORS)(apply_template)
    for path in ("/tokenize", "/v1/tokenize"):
        router.post(path, response_model=Tokens, responses=ERRORS)(tokenize)
    for path in ("/detokenize", "/v1/detokenize"):
        router.post(path, response_model=Content, responses=ERRORS)(detokenize)
    return router


def _tokens_body(answer: QueryAnswer, *, with_pieces: bool) -> bytes:
    """The JSON of Tokens."""
    if not with_pieces:
        return msgspec.json.encode({"tokens": answer.tokens})
    pieces = zip(answer.tokens, answer.pieces, strict=True)
    return msgspec.json.encode({"tokens": [{"id": token, "piece": _text_or_bytes(piece)} for token, piece in pieces]})


def _text_or_bytes(piece: bytes) -> str | list[int]:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)
