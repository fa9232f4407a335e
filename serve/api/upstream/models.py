"""Models that other servers have, as the routes want them: see served.ServedModels."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal, NoReturn

from starlette.requests import Request

from ...errors import EngineStoppedError, NotFoundError, NotSupportedError
from ...upstream.discovery import RemoteModel
from ...upstream.kinds import Kind
from ...upstream.pool import Pool
from ..kept import KeptReplies, KeptReply
from ..metrics import COUNTERS, GAUGES, Metrics
from ..model_bodies import Capabilities, Health, ModelCard, ModelMeta
from ..served import Served
from .backend import UpstreamBackend, info_of
from .replies import Running


class UpstreamModels:
    """`scope_by_key`: prompts that upstreams keep in their caches are not shared between keys."""

    def __init__(self, pool: Pool, *, scope_by_key: bool = False) -> None:
        self.kept: KeptReplies = NothingKept()
        self.running = Running()
        self.metrics = Metrics(self._stats)
        self._pool = pool
        self._scope_by_key = scope_by_key
        self._backends: dict[str, UpstreamBackend] = {}
        self._created = int(time.time())

    @property
    def started(self) -> bool:
        return self._pool.started

    async def start(self) -> None:
        """Looks which upstreams are there. None need be: they may come later."""
        await self._pool.start()

    async def stop(self) -> None:
        """Live requests get their error at once."""
        self.running.fail(EngineStoppedError("The server is shutting down."))
        await self._pool.stop()

    async def lease(self, name: str | None, request: Request) -> Served:
        model = self._pool.find(name).id
        if model not in self._backends:
            self._backends[model] = UpstreamBackend(
                self._pool, model, self.metrics, self.kept, self.running, scope_by_key=self._scope_by_key
            )
        return Served(model, self._backends[model])

    async def control(self, completion_id: str, action: Literal["answer_now", "think_more"], owner: str) -> bool:
        replies = self.running.of(completion_id, owner)
        if replies is None:
            raise NotFoundError(f"No reply {completion_id[:80]!r} of yours is running.")
        told = await asyncio.gather(*(reply.control(action) for reply in replies), return_exceptions=True)
        for failure in told:
            if isinstance(failure, BaseException):
                raise failure
        return any(told)

    async def cards(self) -> list[ModelCard]:
        """What the upstreams have that are up now."""
        return [self._card(model) for model in self._pool.models().values()]

    async def card(self, name: str) -> ModelCard:
        return self._card(self._pool.find(name))

    async def load(self, name: str, keep_alive_s: float | None) -> NoReturn:
        raise _not_ours()

    async def unload(self, name: str) -> NoReturn:
        raise _not_ours()

    async def memory(self) -> NoReturn:
        raise _not_ours()

    def health(self) -> Health:
        """ok while any of them answers; `detail` names those that do not."""
        up, models = self._pool.up, list(self._pool.models())
        away = [endpoint.error for endpoint in self._pool.endpoints if not endpoint.is_up]
        status = "ok" if up else "unreachable"
        return Health(status=status, model=models[0] if models else "", restarts=0, detail=" ".join(away) or None)

    def _card(self, model: RemoteModel) -> ModelCard:
        kind = next(iter(self._pool.with_model(model.id))).kind
        return ModelCard(
            id=model.id,
            created=self._created,
            owned_by="upstream",
            state=model.state,
            context_length=model.n_ctx or None,
            capabilities=Capabilities(
                engine=kind.value,
                reasoning=model.thinks,
                tools=model.knows_tools,
                json_schema=kind is not Kind.OTHER,
                fork=False,
                deterministic=model.deterministic,
            ),
            meta=ModelMeta.of(info_of(model)) if model.n_ctx else None,
        )

    def _stats(self) -> dict[str, Any]:
        """What of the engine's books can be told of other servers' work."""
        books = dict.fromkeys((key for _, key, _ in COUNTERS + GAUGES), 0)
        state = "ready" if self._pool.up else "unreachable"
        return {**books, **self.running.totals, "running": self.running.n_replies, "state": state}


def _not_ours() -> NotSupportedError:
    return NotSupportedError("The models of an upstream are loaded there, not by this server.", "model")


class NothingKept(KeptReplies):
    """The tokens of other servers' replies are not known here."""

    def put(self, completion_id: str, choice: int, reply: KeptReply) -> None:
        pass

    def get(self, completion_id: str, choice: int | None, owner: str) -> NoReturn:
        raise NotSupportedError("Replies of an upstream cannot be forked.", "id")
