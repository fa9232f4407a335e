"""The models of this machine: a manager's engines, each with its Generations, as the routes want them."""

from __future__ import annotations

import contextlib
import time
from typing import Literal

from starlette.requests import Request

from ..engine.process import EngineProcess
from ..errors import NotFoundError
from ..models.manager import ModelManager, Resident
from .generation import Generations
from .kept import KeptReplies
from .metrics import Metrics
from .replies import Health, ModelCard, ModelMeta
from .served import Served, until_answered


class LocalModels:
    """`scope_by_key`: cached prompts are not shared between keys."""

    def __init__(self, manager: ModelManager, *, scope_by_key: bool = False) -> None:
        self.kept = KeptReplies()
        self.metrics = Metrics(manager.stats)
        self._manager = manager
        self._scope_by_key = scope_by_key
        self._generations: dict[EngineProcess, Generations] = {}
        self._created = int(time.time())

    @property
    def started(self) -> bool:
        return self._manager.default.engine.state != "stopped"

    async def start(self) -> None:
        """Loads the default model. Raises ModelLoadError."""
        await self._manager.start()

    async def stop(self) -> None:
        await self._manager.stop()

    async def lease(self, name: str | None, request: Request) -> Served:
        resident = await self._manager.acquire(name)
        until_answered(request, lambda: self._manager.release(resident))
        return Served(resident.spec.id, self._generations_of(resident))

    async def control(self, completion_id: str, action: Literal["answer_now", "think_more"], owner: str) -> bool:
        for generations in self._generations.values():
            with contextlib.suppress(NotFoundError):
                return await generations.control(completion_id, action, owner)
        raise NotFoundError(f"No reply {completion_id[:80]!r} of yours is running.")

    def cards(self) -> list[ModelCard]:
        return [self._card(resident) for resident in self._manager.residents]

    def health(self) -> Health:
        """Of the default model."""
        default = self._manager.default
        status = "ok" if default.engine.state == "ready" else default.engine.state
        return Health(status=status, model=default.spec.id, restarts=default.engine.restarts, detail=default.error)

    def _card(self, resident: Resident) -> ModelCard:
        info = resident.engine.info
        meta = ModelMeta.of(info) if info else None
        return ModelCard(id=resident.spec.id, created=self._created, owned_by=resident.spec.owned_by, meta=meta)

    def _generations_of(self, resident: Resident) -> Generations:
        engine = resident.engine
        if engine not in self._generations:
            self._generations[engine] = Generations(
                engine, resident.spec.id, self.metrics, self.kept, scope_by_key=self._scope_by_key
            )
        return self._generations[engine]
