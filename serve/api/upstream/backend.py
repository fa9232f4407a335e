"""A model of other servers at work: Asks go to whichever takes them, and come back as the engine's events.

See served.Backend. Prompts and tokens are theirs too: they are asked for them where they have a route for that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ...engine.messages import QueryAnswer
from ...engine.request import Accepted, Finished, ModelInfo, Segment
from ...errors import InvalidRequestError, NotSupportedError
from ...reasoning import ends_in_thought
from ...upstream.discovery import RemoteModel
from ...upstream.endpoint import Endpoint
from ...upstream.kinds import Kind
from ...upstream.pool import Pool
from ..ask import Ask
from ..kept import KeptReplies
from ..metrics import Metrics
from ..outputs import Output, Outputs, merged
from ..prompt.chat_template import RenderedPrompt
from .body import CLOSED, body_of, closes_thought, numbered, path_of
from .reader import ReplyReader, UpstreamEvent
from .replies import Running, UpstreamReply
from .text import FIRST, pieces_of, prompt_of, tokens_of


class UpstreamBackend:
    """The model of one name, at whichever of the pool's servers have it."""

    def __init__(
        self, pool: Pool, model: str, metrics: Metrics, kept: KeptReplies, running: Running, *, scope_by_key: bool
    ) -> None:
        self.kept = kept
        self._pool = pool
        self._model = model
        self._metrics = metrics
        self._running = running
        self._scope_by_key = scope_by_key

    @property
    def info(self) -> ModelInfo:
        return info_of(self._pool.find(self._model))

    async def start(self, ask: Ask, completion_id: str, *, streamed: bool) -> Outputs:
        """What comes back must be iterated or closed. Raises NotSupportedError; iterating raises what of the
        upstreams' failures is left when none of them takes the request.
        """
        if ask.begun is not None:
            raise NotSupportedError("Replies of an upstream cannot be forked.", "id")
        n_vocab = self.info.n_vocab
        if any(token >= n_vocab for token in ask.params.logit_bias):
            raise InvalidRequestError(
                f"logit_bias names a token that this model lacks; ids go up to {n_vocab - 1}.", "logit_bias"
            )
        return self._follow(ask, completion_id)

    def stop(self, completion_id: str) -> None:
        self._running.stop(completion_id)

    async def prompt(self, ask: Ask) -> RenderedPrompt:
        """As an upstream renders it."""
        if ask.text is not None:
            return RenderedPrompt((Segment(ask.text, True),), ends_in_thought(ask.text))
        return await self._pool.ask(self._model, lambda endpoint: prompt_of(endpoint, self._model, ask))

    async def tokenize(self, segments: tuple[Segment, ...]) -> QueryAnswer:
        return await self._pool.ask(self._model, lambda endpoint: tokens_of(endpoint, self._model, segments))

    async def pieces(self, tokens: tuple[int, ...]) -> QueryAnswer:
        """All of them as one piece."""
        return await self._pool.ask(self._model, lambda endpoint: pieces_of(endpoint, self._model, tokens))

    async def _follow(self, ask: Ask, completion_id: str) -> Outputs:
        """Each of n replies is a request of its own: they spread over the upstreams, and each has its own usage."""
        replies = [self._reply(ask, completion_id, index) for index in range(ask.n)]
        with self._running.entered(completion_id, ask.owner, replies):
            parts = [self._one(ask, f"{completion_id}-{i}", i, reply) for i, reply in enumerate(replies)]
            async with aclosing(parts[0] if len(parts) == 1 else merged(parts)) as outputs:
                async for output in outputs:
                    yield output

    async def _one(self, ask: Ask, request_id: str, index: int, reply: UpstreamReply) -> Outputs:
        events: AsyncGenerator[UpstreamEvent | Accepted, None] = self._metrics.watch(
            reply.events(request_id), ask.priority
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Finished):
                    self._running.add(event)
                yield Output(index, event)

    def _reply(self, ask: Ask, completion_id: str, index: int) -> UpstreamReply:
        params = numbered(ask.params, index)

        def body_for(endpoint: Endpoint) -> dict[str, object]:
            model = endpoint.model(self._model)
            return body_of(ask, params, model, endpoint.kind, scope_by_key=self._scope_by_key)

        def reader_for(endpoint: Endpoint) -> ReplyReader:
            is_closed = closes_thought(ask, params, endpoint.model(self._model), endpoint.kind)
            opens = not is_closed and self._opens_thought(ask, endpoint)
            return ReplyReader(
                f"{completion_id}-{index}",
                opens_thought=opens,
                # a thought of no tokens is none, whatever the template opens; its closing tag may be there
                is_answer=ask.text is None and params.reasoning_budget == 0,
                begun=CLOSED["content"] if is_closed else _repeated(ask, endpoint.kind),
                budget=params.reasoning_budget,
            )

        return UpstreamReply(self._pool, self._model, path_of(ask), body_for, reader_for)

    def _opens_thought(self, ask: Ask, endpoint: Endpoint) -> bool:
        """Where nothing tells the thought apart but its closing tag."""
        if ask.text is not None:
            return ends_in_thought(ask.text)
        opens = endpoint.model(self._model).opens_thought
        return opens and ask.continues is None and self._model not in endpoint.separates


def _repeated(ask: Ask, kind: Kind) -> str:
    """llama-server says a reply that it goes on with from the beginning."""
    return ask.turns[-1].content if ask.continues is not None and kind is Kind.LLAMA_SERVER else ""


def info_of(model: RemoteModel) -> ModelInfo:
    """What is known of a model that is elsewhere; 0 and nothing for what is not."""
    return ModelInfo(
        path="",
        architecture="",
        description="a model of an upstream",
        n_params=model.n_params,
        n_ctx=model.n_ctx,
        n_ctx_train=model.n_ctx,
        n_vocab=model.n_vocab or 2**31,
        n_seq_max=0,
        bos_token=FIRST.text,
        eos_token="",
        chat_template=None,
        gpu_offload=False,
        deterministic=model.deterministic,
        load_s=0.0,
    )
