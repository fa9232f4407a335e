"""POST /v1/completions: text that is continued as it stands, without a chat template."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Request
from pydantic import BeforeValidator, Field, Tag
from starlette.responses import Response

from ...errors import InvalidRequestError
from ...reasoning import ends_in_thought
from ..ask import Ask
from ..chat.protocol import StreamOptions
from ..dialects import ThinkingFields
from ..error_bodies import ERRORS
from ..fields import (
    ChatOnly,
    ForeignSampling,
    SamplingFields,
    Stop,
    Unsupported,
    log_ignored,
    one_or_list,
    stop_of,
    unsupported,
)
from ..forms.structure import Form, StructureFields
from ..outputs import Output, Outputs, merged
from ..respond import respond
from ..security import owner_of
from ..served import Backend, ServedModels
from ..wire_errors import request_id_of
from ..wire_types import MAX_CHOICES, NO_LIMIT, OpenTokenCount, Text
from .writer import CompletionBody, CompletionsWriter

# OpenAI's, for the route that has no other bound.
DEFAULT_MAX_TOKENS = 16


def _no_token_ids(value: Any) -> Any:
    if isinstance(value, list) and value and not all(isinstance(item, str) for item in value):
        raise unsupported("prompts of token ids are")
    return value


Prompt = Annotated[
    Annotated[Text, Tag("(one)")] | Annotated[list[Text], Field(min_length=1, max_length=MAX_CHOICES), Tag("(list)")],
    one_or_list,
    BeforeValidator(_no_token_ids),
]


class CompletionRequest(ForeignSampling, SamplingFields, ThinkingFields, StructureFields, ChatOnly):
    """Body of POST /v1/completions. Special tokens may be written out in the prompt, which begins with the
    model's own first token; one that ends in an opening tag is continued inside the thought.
    `return_token_ids` tells the tokens themselves, in vLLM's fields, the last one too, which ended the text. Where
    `thinking_control` is false no thought is ended for the model, whatever max_tokens: what comes is what it drew.
    """

    prompt: Prompt
    model: Annotated[Text, Field(max_length=512)] | None = None
    max_tokens: OpenTokenCount | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stop: Stop | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    return_token_ids: bool | None = None
    thinking_control: bool | None = None
    user: str | None = None
    best_of: Annotated[Literal[1] | None, Unsupported("best_of above 1 is", harmless=(1,))] = None
    echo: Annotated[Literal[False] | None, Unsupported("echo is", harmless=(False,))] = None
    suffix: Annotated[Literal[""] | None, Unsupported("suffix is", harmless=("",))] = None
    reasoning_format: Annotated[
        Literal["inline", "none", "raw", "auto"] | None,
        Unsupported("thoughts apart from raw text are", harmless=("inline", "none", "raw", "auto")),
    ] = None
    prompt_embeds: Annotated[None, Unsupported("prompt_embeds are")] = None

    @property
    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    def ask(self, text: str, owner: str) -> Ask:
        """What is asked for one of the prompts."""
        params = self.drawn(
            max_tokens=None if self.max_tokens == NO_LIMIT else self.max_tokens or DEFAULT_MAX_TOKENS,
            stop=stop_of(self.stop),
            top_logprobs=self.logprobs,
            reasoning_budget=self.asked_thinking.budget,
            reasoning_grace=self.reasoning_grace_tokens,
            governed=self.thinking_control,
        )
        form = Form(self.asked_format, self.asked_regex, self.asked_choice)
        if form.grammar and params.reasoning_budget is None and not ends_in_thought(text):
            # raw text: what is bound is bound from its first token on
            params = msgspec.structs.replace(params, reasoning_budget=0)
        return Ask(
            text=text,
            params=params,
            grammar=form.grammar,
            form=form,
            n=self.n or 1,
            priority=self.waits,
            owner=owner,
            cache_salt=self.cache_salt or "",
            deterministic=bool(self.deterministic),
            tells_tokens=bool(self.return_token_ids),
            keeps=False,
        )


def completions_router(models: ServedModels) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post(
        "/v1/completions",
        response_model=CompletionBody,
        responses={**ERRORS, "200": {"content": {"text/event-stream": {}}}},
    )
    async def create_completion(body: CompletionRequest, request: Request) -> Response:
        if body.ignored:
            log_ignored(body.ignored, request_id_of(request))
        asks = [body.ask(text, owner_of(request)) for text in body.prompts]
        if len(asks) * asks[0].n > MAX_CHOICES:
            raise InvalidRequestError(f"Prompts times n may be {MAX_CHOICES} at most.", "n")
        served = await models.lease(body.model, request)
        prompt_ids = await _prompt_ids(served.backend, asks) if body.return_token_ids else None
        completion_id = f"cmpl-{uuid.uuid4().hex}"
        writer = CompletionsWriter(
            completion_id,
            served.id,
            thinking=[ask.text is not None and ends_in_thought(ask.text) for ask in asks],
            n=asks[0].n,
            include_usage=bool(body.stream_options and body.stream_options.include_usage),
            with_logprobs=body.logprobs is not None,
            prompt_ids=prompt_ids,
        )
        outputs = await _started(served.backend, asks, completion_id, streamed=bool(body.stream))
        return await respond(request, outputs, writer, stream=bool(body.stream))

    return router


async def _prompt_ids(backend: Backend, asks: Sequence[Ask]) -> list[list[int]]:
    """What each prompt is to the model."""
    prompts = [await backend.prompt(ask) for ask in asks]
    return [list((await backend.tokenize(prompt.segments)).tokens) for prompt in prompts]


async def _started(backend: Backend, asks: Sequence[Ask], completion_id: str, *, streamed: bool) -> Outputs:
    """All prompts at once; the choices of the second come behind those of the first."""
    if len(asks) == 1:
        return await backend.start(asks[0], completion_id, streamed=streamed)
    parts: list[Outputs] = []
    try:
        for i, ask in enumerate(asks):
            outputs = await backend.start(ask, f"{completion_id}-p{i}", streamed=streamed)
            parts.append(_shifted(outputs, i * ask.n))
    except BaseException:
        for part in parts:
            await part.aclose()
        raise
    return merged(parts)


async def _shifted(outputs: Outputs, by: int) -> Outputs:
    async with aclosing(outputs):
        async for choice, event in outputs:
            yield Output(by + choice, event)
