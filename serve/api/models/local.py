"""The models of this machine: a manager's engines, each with its Generations, as the routes want them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from typing import Literal
from weakref import WeakKeyDictionary

from starlette.requests import Request

from ...engine.host_memory import available_memory, total_memory
from ...errors import NotFoundError
from ...models.fit.footprint import Footprint, footprint
from ...models.fit.machine import BuildError, Device, Machine, look
from ...models.residents.manager import ModelManager, Resident
from ..generation import Generations
from ..kept import KeptReplies
from ..metrics import Metrics
from ..model_bodies import Health, ModelCard
from ..served import Served, until_answered
from ..sse import until_disconnect
from .cards import ModelCards, Shelf
from .memory import (
    DeviceMemory,
    MachineMemory,
    MeasuredMemory,
    MemoryBudget,
    MemoryEstimate,
    MemoryReport,
    ModelMemory,
)

# What is free on graphics cards is asked no more often than this.
CARDS_S = 5.0


class LocalModels:
    """`shelf` lists all models that could be served. `scope_by_key`: cached prompts are not shared between keys."""

    def __init__(self, manager: ModelManager, *, shelf: Shelf = list, scope_by_key: bool = False) -> None:
        self.kept = KeptReplies()
        self.metrics = Metrics(manager.stats)
        self._manager = manager
        self._scope_by_key = scope_by_key
        self._cards = ModelCards(manager, shelf, created=int(time.time()))
        self._gpus: tuple[Device, ...] = ()
        self._cards_seen_at = -math.inf
        self._looking = asyncio.Lock()
        self._generations: WeakKeyDictionary[Resident, Generations] = WeakKeyDictionary()

    @property
    def started(self) -> bool:
        return self._manager.started

    async def start(self) -> None:
        """Loads the default model. Raises ModelLoadError."""
        await self._manager.start()

    async def stop(self) -> None:
        await self._manager.stop()

    async def lease(self, name: str | None, request: Request) -> Served:
        return await until_disconnect(request, self._lease(name, request))

    async def _lease(self, name: str | None, request: Request) -> Served:
        resident = await self._manager.acquire(name)
        until_answered(request, lambda: self._manager.release(resident))
        return Served(resident.spec.id, self._generations_of(resident))

    async def control(self, completion_id: str, action: Literal["answer_now", "think_more"], owner: str) -> bool:
        for generations in list(self._generations.values()):
            with contextlib.suppress(NotFoundError):
                return await generations.control(completion_id, action, owner)
        raise NotFoundError(f"No reply {completion_id[:80]!r} of yours is running.")

    async def cards(self) -> list[ModelCard]:
        return await self._cards.all()

    async def card(self, name: str) -> ModelCard:
        return await self._cards.one(name)

    async def load(self, name: str, keep_alive_s: float | None) -> ModelCard:
        resident = await self._manager.load(name, keep_alive_s)
        return await self._cards.one(resident.spec.id)

    async def unload(self, name: str) -> ModelCard:
        return await self._cards.one(await self._manager.unload(name))

    async def memory(self) -> MemoryReport:
        manager = self._manager
        machine = await self._machine()
        residents = [resident for resident in manager.residents if resident.state != "unloaded"]
        return MemoryReport(
            machine=MachineMemory(ram_total=machine.ram_total, ram_available=machine.ram_available),
            devices=_devices(machine),
            budget=MemoryBudget(bytes=manager.room.bytes, used=manager.n_bytes, max_models=manager.limits.max_models),
            server=await _measured(os.getpid()),
            models=[await _memory_of(resident) for resident in residents],
        )

    async def _machine(self) -> Machine:
        """As it is now, as far as that is cheap: to ask for its cards takes a process and a second."""
        async with self._looking:
            if self._cards_seen_at + CARDS_S < time.monotonic():
                with contextlib.suppress(BuildError):
                    self._gpus = (await asyncio.to_thread(look)).gpus
                self._cards_seen_at = time.monotonic()
        return Machine(total_memory(), available_memory(), self._gpus)

    def health(self) -> Health:
        """Of the default model."""
        default = self._manager.default
        status = self._manager.status
        error = self._manager.failure(default.spec.id)
        return Health(
            status="ok" if status == "ready" else status,
            model=default.spec.id,
            restarts=default.engine.restarts,
            waiting=self._manager.stats()["waiting"],
            detail=str(error) if error else None,
        )

    def _generations_of(self, resident: Resident) -> Generations:
        if resident not in self._generations:
            self._generations[resident] = Generations(
                resident.engine, resident.spec.id, self.metrics, self.kept, scope_by_key=self._scope_by_key
            )
        return self._generations[resident]


async def _memory_of(resident: Resident) -> ModelMemory:
    engine, estimate = resident.engine, resident.spec.estimate
    stats = engine.stats()
    return ModelMemory(
        id=resident.spec.id,
        state=resident.state,
        engine=engine.info.engine if engine.info else "",
        pid=engine.pid,
        n_ctx=engine.info.n_ctx if engine.info else None,
        reserved=resident.n_reserved,
        estimate=MemoryEstimate.model_validate(estimate, from_attributes=True) if estimate else None,
        measured=await _measured(engine.pid),
        kv_cells=stats["kv_cells"],
        kv_cells_used=stats["kv_cells_used"],
        host_cache_bytes=stats["host_bytes"],
        host_cache_max_bytes=stats["host_max_bytes"],
        requests=resident.n_leases,
        idle_s=round(resident.idle_s, 3),
        expires_in_s=None if resident.expires_in_s is None else round(resident.expires_in_s, 3),
    )


async def _measured(pid: int | None) -> MeasuredMemory | None:
    found: Footprint | None = None if pid is None else await asyncio.to_thread(footprint, pid)
    return MeasuredMemory(rss=found.rss, pss=found.pss) if found else None


def _devices(machine: Machine) -> list[DeviceMemory]:
    return [DeviceMemory.model_validate(gpu, from_attributes=True) for gpu in machine.gpus]
