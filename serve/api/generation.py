"""From an Ask to the engine and back: one stream of events for each reply, and word to those still running.

One Generations per engine, on the app's event loop. Knows no dialect: routes make Asks, writers make bytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

import msgspec

from ..engine.messages import QueryAnswer
from ..engine.process import EngineProcess
from ..engine.request import (
    Begun,
    GenerateRequest,
    ModelInfo,
    Priority,
    Segment,
)
from ..errors import InvalidRequestError, ModelLoadError, NotFoundError, NotSupportedError
from ..reasoning import ends_in_thought
from .ask import Ask, cache_scope
from .kept import KeptReplies
from .metrics import Metrics
from .next_turn import NextTurns
from .outputs import Output, Outputs, merged
from .prompt.chat_template import RenderedPrompt, render, render_begun

logger = logging.getLogger(__name__)

NOT_DETERMINISTIC = (
    "With {engine} this model's tokens depend on what else is computed beside them, so that deterministic replies "
    "cannot be promised. They can with llama.cpp on the CPU and a file quantised to Q8_0 or Q4_0."
)


@dataclass(slots=True)
class _Live:
    owner: str
    request_ids: tuple[str, ...]


class Generations:
    """The engine's side of a served model: starts what is asked, and knows what runs. See served.Backend.

    `scope_by_key`: cached prompts are not shared between keys.
    """

    def __init__(
        self, engine: EngineProcess, model_id: str, metrics: Metrics, kept: KeptReplies, *, scope_by_key: bool
    ) -> None:
        self.engine = engine
        self.kept = kept
        self._model_id = model_id
        self._metrics = metrics
        self._scope_by_key = scope_by_key
        self._next_turns = NextTurns(engine)
        self._live: dict[str, _Live] = {}

    @property
    def info(self) -> ModelInfo:
        """What is known of the model since it was first loaded. Raises ModelLoadError before."""
        if self.engine.info is None:
            raise ModelLoadError("The model is still loading; try again in a moment.")
        return self.engine.info

    async def start(self, ask: Ask, completion_id: str, *, streamed: bool) -> Outputs:
        """Checks what needs the model, and renders the prompt. What comes back must be iterated or closed.

        Raises InvalidRequestError, ModelLoadError; iterating raises what EngineProcess.generate does.
        """
        requests = await self._requests(ask, completion_id)
        return self._follow(ask, completion_id, requests, streamed=streamed)

    async def control(self, completion_id: str, action: Literal["answer_now", "think_more"], owner: str) -> bool:
        """Has running thoughts end now, or go on. False where none was left to listen. Raises NotFoundError."""
        live = self._live.get(completion_id)
        if live is None or live.owner != owner:
            raise NotFoundError(f"No reply {completion_id[:80]!r} of yours is running.")
        return any(await asyncio.gather(*(self.engine.control(one, action) for one in live.request_ids)))

    def stop(self, completion_id: str) -> None:
        """Ends those of its replies that still run: each comes to its Finished at once, with FinishReason.ABORT."""
        if live := self._live.get(completion_id):
            for request_id in live.request_ids:
                self.engine.abort(request_id)

    async def tokenize(self, segments: tuple[Segment, ...]) -> QueryAnswer:
        """What tokens a text becomes. Raises EngineStoppedError, InvalidRequestError."""
        return await self.engine.tokenize(segments)

    async def pieces(self, tokens: tuple[int, ...]) -> QueryAnswer:
        """What bytes the tokens stand for. Raises EngineStoppedError, InvalidRequestError."""
        return await self.engine.pieces(tokens)

    async def prompt(self, ask: Ask) -> RenderedPrompt:
        """All that the engine will see before it writes, rendered off the event loop: texts may be long."""
        prompt, begun = await self._prompt(ask)
        return RenderedPrompt(prompt.segments + begun.segments, False) if begun else prompt

    async def _requests(self, ask: Ask, completion_id: str) -> list[GenerateRequest]:
        info = self.info
        if any(token >= info.n_vocab for token in ask.params.logit_bias):
            raise InvalidRequestError(
                f"logit_bias names a token that this model lacks; ids go up to {info.n_vocab - 1}.", "logit_bias"
            )
        if ask.deterministic and not info.deterministic:
            raise NotSupportedError(NOT_DETERMINISTIC.format(engine=info.engine), "deterministic")
        prompt, begun = await self._prompt(ask)
        request = GenerateRequest(
            request_id=completion_id,
            prompt=prompt.segments,
            params=ask.params,
            reasoning_open=prompt.reasoning_open,
            priority=ask.priority,
            cache_scope=cache_scope(ask.owner if self._scope_by_key else "", ask.cache_salt),
            deterministic=ask.deterministic,
            grammar=ask.grammar,
            begun=begun,
        )
        return [request] if ask.n == 1 else [_numbered(request, i) for i in range(ask.n)]

    async def _prompt(self, ask: Ask) -> tuple[RenderedPrompt, Begun | None]:
        if ask.text is not None:
            return _raw(ask.text, self.info), ask.begun
        return await asyncio.to_thread(_rendered, ask, self.info)

    async def _follow(
        self, ask: Ask, completion_id: str, requests: Sequence[GenerateRequest], *, streamed: bool
    ) -> Outputs:
        self._live[completion_id] = _Live(ask.owner, tuple(request.request_id for request in requests))
        try:
            parts = [self._one(ask, completion_id, i, request, streamed=streamed) for i, request in enumerate(requests)]
            async with aclosing(parts[0] if len(parts) == 1 else merged(parts)) as outputs:
                async for output in outputs:
                    yield output
        finally:
            del self._live[completion_id]

    async def _one(
        self, ask: Ask, completion_id: str, index: int, request: GenerateRequest, *, streamed: bool
    ) -> Outputs:
        events = self._metrics.watch(self.engine.generate(request), request.priority)
        if ask.keeps:
            events = self.kept.follow(events, self._model_id, ask, completion_id, index)
        # thoughts that stay lie in the cache as they will come back
        reads_on = ask.turns and ask.n == 1 and ask.priority is Priority.INTERACTIVE and not ask.keeps_thoughts
        if ask.keeps and reads_on:
            events = self._next_turns.follow(events, request, ask.turns, streamed=streamed, tools=ask.tools)
        async with aclosing(events):
            async for event in events:
                yield Output(index, event)


def _raw(text: str, info: ModelInfo) -> RenderedPrompt:
    """A prompt written by hand may spell special tokens, and end inside a thought."""
    bos = "" if text.startswith(info.bos_token) else info.bos_token
    return RenderedPrompt((Segment(bos + text, True),), ends_in_thought(text))


def _rendered(ask: Ask, info: ModelInfo) -> tuple[RenderedPrompt, Begun | None]:
    if ask.continues is None:
        prompt = render(ask.turns, info, ask.tools, enable_thinking=ask.thinking, keeps_thoughts=ask.keeps_thoughts)
        return prompt, ask.begun
    prompt, begun = render_begun(
        ask.turns,
        info,
        ask.tools,
        into=None if ask.continues == "anywhere" else ask.continues,
        enable_thinking=ask.thinking,
        keeps_thoughts=ask.keeps_thoughts,
    )
    # a fork of such a reply begins with all of it
    return prompt, ask.begun or begun


def _numbered(request: GenerateRequest, i: int) -> GenerateRequest:
    """The `i`-th of several replies to one prompt; a seed gives each its own draws."""
    params = request.params
    if params.seed is not None:
        params = msgspec.structs.replace(params, seed=params.seed + i)
    return msgspec.structs.replace(request, request_id=f"{request.request_id}-{i}", params=params)
