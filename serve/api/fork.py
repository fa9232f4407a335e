"""POST /v1/reasoning/fork: goes on from any point of a reply that has ended, with other words there if wanted.

Only what changed is computed: the tokens before the point are as they were, and mostly still in the cache.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from starlette.responses import Response

from ..engine.request import Begun, SamplingParams, Segment
from ..errors import InvalidRequestError
from .ask import Ask
from .chat.protocol import StreamOptions
from .chat.writer import ChatWriter
from .dialects import ThinkingFields
from .error_bodies import ERRORS
from .fields import log_ignored
from .forms.tool_calls import parsed
from .kept import KeptReply
from .reasoning_format import ReasoningFormat, formatted
from .replies import ChatCompletion
from .respond import respond
from .security import owner_of
from .served import ServedModels
from .wire_errors import request_id_of
from .wire_types import MAX_CHOICES, MAX_INT, NO_SEED, SEEDS, Text, TokenCount

Offset = Annotated[int, Field(ge=0, le=MAX_INT)]


class TokenAt(BaseModel):
    """Behind so many tokens of the reply: those of the thought, of its closing tag, of the answer."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    token: Offset


class CharAt(BaseModel):
    """Behind so many characters of the thought."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    char: Offset


def _kind_of_place(value: Any) -> str:
    if isinstance(value, (dict, TokenAt, CharAt)):
        return "(token)" if "token" in value or isinstance(value, TokenAt) else "(char)"
    return "(name)"


class ForkRequest(ThinkingFields):
    """Body of POST /v1/reasoning/fork: the reply `id`, or the `choice`-th of its replies (of a vote: the thought's
    index; left out, the winner's), up to `at`, then `text`, then what the model makes of it.

    What is not said stays as it was asked for the first time. `max_tokens` counts what is new, a budget the whole
    thought, what is kept of it too.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    id: Annotated[Text, Field(min_length=1, max_length=200)]
    choice: Annotated[int, Field(ge=0, lt=MAX_CHOICES)] | None = None
    at: Annotated[
        Annotated[TokenAt, Tag("(token)")]
        | Annotated[CharAt, Tag("(char)")]
        | Annotated[Literal["think_end"], Tag("(name)")],
        Discriminator(_kind_of_place),
    ]
    text: Text | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: TokenCount | None = None
    max_tokens: TokenCount | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    reasoning_format: ReasoningFormat | None = None

    def params(self, before: SamplingParams) -> SamplingParams:
        """As `before`, but for what this body says."""
        said = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": None if self.seed is None else self.seed % SEEDS,
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "reasoning_grace": self.reasoning_grace_tokens,
        }
        changed: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
        if self.seed == NO_SEED:
            changed["seed"] = None
        if self.asked_thinking.wanted is not None:
            # no limit is said by None
            changed["reasoning_budget"] = self.asked_thinking.budget
        return msgspec.structs.replace(before, **changed)


def fork_router(models: ServedModels) -> APIRouter:
    """The route; the model that gave the reply goes on with it."""
    router = APIRouter()

    @router.post(
        "/v1/reasoning/fork",
        response_model=ChatCompletion,
        responses={**ERRORS, "200": {"content": {"text/event-stream": {}}}},
    )
    async def fork_reply(body: ForkRequest, request: Request) -> Response:
        if body.model_extra:
            log_ignored(sorted(body.model_extra), request_id_of(request))
        kept = models.kept.get(body.id, body.choice, owner_of(request))
        ask = forked(kept, body)
        served = await models.lease(kept.model, request)
        completion_id = f"chatcmpl-{uuid.uuid4().hex}"
        writer = ChatWriter(
            completion_id,
            served.id,
            n=1,
            include_usage=bool(body.stream_options and body.stream_options.include_usage),
            deterministic=ask.deterministic,
            with_logprobs=ask.params.top_logprobs is not None,
        )
        outputs = await served.backend.start(ask, completion_id, streamed=bool(body.stream))
        if ask.tools:
            outputs = parsed(outputs, ask.tools)
        outputs = formatted(outputs, body.reasoning_format, hides=body.hides_thought)
        return await respond(request, outputs, writer, stream=bool(body.stream))

    return router


def forked(kept: KeptReply, body: ForkRequest) -> Ask:
    """The same question, with a reply that has begun. Raises InvalidRequestError for a token that it lacks; where
    the thought ends, the engine knows.
    """
    segments = (Segment(body.text, False),) if body.text else ()
    tokens = tuple(kept.tokens)
    if isinstance(body.at, TokenAt):
        if body.at.token > len(tokens):
            raise InvalidRequestError(f"The reply has {len(tokens)} tokens.", "at.token")
        begun = Begun(tokens=tokens[: body.at.token], segments=segments, echo=True)
    elif isinstance(body.at, CharAt):
        begun = Begun(tokens=tokens, cut="char", n_chars=body.at.char, segments=segments, echo=True)
    else:
        begun = Begun(tokens=tokens, cut="think_end", segments=segments, echo=True)
    wanted = body.asked_thinking.wanted
    thinking = kept.ask.thinking if wanted is None else wanted
    return replace(kept.ask, n=1, begun=begun, params=body.params(kept.ask.params), thinking=thinking)
