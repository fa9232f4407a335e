"""EngineProcess: the engine as the parent sees it. Passes requests, questions and events to one child and back.

A child that dies or hangs fails its live requests at once and is replaced. All methods belong to one event loop.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any, Literal

import msgspec

from ..errors import EngineStoppedError, InvalidRequestError, QueueFullError
from .back_off import BackOff
from .config import EngineConfig
from .link import ChildLink
from .messages import (
    Abort,
    Command,
    Control,
    Controlled,
    PiecesQuery,
    QueryAnswer,
    Reply,
    StepReport,
    TokenizeQuery,
    with_counts_of,
)
from .questions import Questions
from .request import Finished, GenerateRequest, ModelInfo, PrepareRequest, Segment
from .stream import EventStream, LiveEvent
from .supervisor import State, Supervisor

__all__ = ["BackOff", "EngineConfig", "EngineProcess"]

MAX_TOKEN_BITS = 31


class EngineProcess:
    """`state` says whether requests are served; while starting or restarting they wait for readiness."""

    def __init__(self, config: EngineConfig, back_off: BackOff | None = None) -> None:
        self._config = config
        self._child = Supervisor(
            config,
            back_off or BackOff(),
            on_reply=self._on_reply,
            on_end=self._on_end,
            waiting_since=lambda: self._busy_since if self._is_awaited else None,
        )
        self._live: dict[str, EventStream] = {}
        self._controls: Questions[bool] = Questions()
        self._queries: Questions[QueryAnswer] = Questions()
        self._n_queries = 0
        self._n_entering = 0
        self._busy_since = 0.0

    @property
    def state(self) -> State:
        return self._child.state

    @property
    def info(self) -> ModelInfo | None:
        """Of the model, once it was loaded."""
        return self._child.info

    @property
    def restarts(self) -> int:
        """How often the child was replaced."""
        return self._child.restarts

    @property
    def pid(self) -> int | None:
        """The child's process id, while there is a child."""
        return self._child.link.pid if self._child.link else None

    def stats(self) -> dict[str, Any]:
        """EngineStats of the last step, counted on over all children, and how often the child was replaced."""
        stats = with_counts_of(self._child.past, self._child.stats)
        return {**msgspec.structs.asdict(stats), "state": self.state, "restarts": self.restarts}

    async def start(self) -> ModelInfo:
        """Spawns the child and loads the model. Raises ModelLoadError."""
        return await self._child.start()

    async def stop(self) -> None:
        """Fails what is live, lets the child finish its step, and kills it if it does not."""
        await self._child.stop()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[LiveEvent, None]:
        """Yields Accepted, then TokenOutputs and where there is a thought its end, then Finished: that alone where the
        request was aborted before it was taken in. Closing the generator aborts the request.

        Raises QueueFullError, EngineStoppedError, InvalidRequestError, ContextLengthError and
        NonFiniteLogitsError.
        """
        link = await self._enter()
        stream = self._open(link, request)
        ended = False
        try:
            while not ended:
                event = await stream.get()
                ended = isinstance(event, Finished)
                yield event
        finally:
            del self._live[request.request_id]
            if not (ended or stream.failed):
                link.send(Abort(request.request_id))

    def abort(self, request_id: str) -> None:
        """Has a running request end; its generator yields the Finished, so that what it cost is known."""
        if request_id in self._live and self._child.link is not None:
            self._child.link.send(Abort(request_id))

    async def control(self, request_id: str, action: Literal["answer_now", "think_more"]) -> bool:
        """Has a running request's thought end now, or go on when it would have ended. False where none goes on."""
        stream = self._live.get(request_id)
        if stream is None or stream.ended or self._child.link is None:
            return False
        self._child.link.send(Control(request_id, action))
        try:
            return await self._controls.ask(request_id)
        except EngineStoppedError:
            return False

    async def tokenize(self, segments: tuple[Segment, ...]) -> QueryAnswer:
        """What tokens a text becomes. Raises EngineStoppedError, InvalidRequestError."""
        return await self._query(TokenizeQuery(self._query_id(), segments))

    async def pieces(self, tokens: tuple[int, ...]) -> QueryAnswer:
        """What bytes the tokens stand for. Raises EngineStoppedError, InvalidRequestError."""
        if any(token.bit_length() > MAX_TOKEN_BITS for token in tokens):
            raise InvalidRequestError("No model has so many tokens.", param="tokens")
        return await self._query(PiecesQuery(self._query_id(), tokens))

    def prepare(self, request: PrepareRequest) -> None:
        """Asks for a prompt to be computed ahead, when there is nothing better to do. Forgotten if not ready."""
        if self.state == "ready" and self._child.link is not None:
            with contextlib.suppress(UnicodeEncodeError):
                self._child.link.send(request)

    async def _enter(self) -> ChildLink:
        """The child, once it is ready; those who wait for it are bounded in number."""
        n_unended = sum(not stream.ended for stream in self._live.values())
        if n_unended + self._n_entering >= self._config.n_seq_max + self._config.max_waiting:
            raise QueueFullError(f"{self._config.max_waiting} requests are waiting already; try again soon.")
        self._n_entering += 1
        try:
            return await self._child.ready_link()
        finally:
            self._n_entering -= 1

    def _open(self, link: ChildLink, request: GenerateRequest) -> EventStream:
        if request.request_id in self._live:
            raise InvalidRequestError(f"Request {request.request_id} is running already.")
        _send_text(link, request)
        if not self._is_awaited:
            self._busy_since = time.monotonic()
        stream = self._live[request.request_id] = EventStream()
        return stream

    @property
    def _is_awaited(self) -> bool:
        """Some request has not ended; of one that has, the reader may be as slow as it likes."""
        return any(not stream.ended for stream in self._live.values())

    def _query_id(self) -> str:
        self._n_queries += 1
        return str(self._n_queries)

    async def _query(self, query: TokenizeQuery | PiecesQuery) -> QueryAnswer:
        _send_text(await self._child.ready_link(), query)
        answer = await self._queries.ask(query.query_id)
        if answer.error:
            raise InvalidRequestError(answer.error, param="tokens")
        return answer

    def _on_reply(self, reply: Reply) -> None:
        if isinstance(reply, Controlled):
            self._controls.answer(reply.request_id, reply.done)
        elif isinstance(reply, QueryAnswer):
            self._queries.answer(reply.query_id, reply)
        elif isinstance(reply, StepReport):
            for event in reply.events:
                if stream := self._live.get(event.request_id):
                    stream.put(event, reply.dues.get(event.request_id, 0.0))

    def _on_end(self, message: str) -> None:
        for stream in self._live.values():
            stream.fail(EngineStoppedError(message))
        self._controls.give_up(EngineStoppedError(message))
        self._queries.give_up(EngineStoppedError(message))


def _send_text(link: ChildLink, command: Command) -> None:
    try:
        link.send(command)
    except UnicodeEncodeError as error:
        raise InvalidRequestError("The text has lone surrogates.", param="messages") from error
