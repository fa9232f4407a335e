"""ModelManager: which models are resident, each in an engine process of its own. One place that knows.

All methods belong to one event loop. Knows no HTTP; whoever asks for a model holds a lease on it meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from ...engine.host_memory import available_memory, total_memory
from ...engine.process import EngineProcess
from ...engine.supervisor import State as EngineState
from ...errors import (
    EngineStoppedError,
    ModelLoadError,
    ModelsBusyError,
    QueueFullError,
)
from ..fit.machine import Machine
from .books import Books
from .lookup import Lookup
from .resident import FOREVER, ModelSpec, Resident
from .room import Limits, Room

__all__ = ["FOREVER", "Limits", "ModelManager", "ModelSpec", "Resident"]

logger = logging.getLogger(__name__)

# A model that was loaded on request leaves after so long without one, as Ollama's do.
KEEP_ALIVE_S = 300.0


class ModelManager:
    """Serves `default`, and what `find` knows under other names (None: it knows no such model).

    `find` may read files and is called on a thread; a ModelLoadError that it raises counts as a failed load.
    """

    def __init__(
        self,
        default: ModelSpec,
        find: Callable[[str], ModelSpec | None] = lambda _: None,
        limits: Limits | None = None,
        machine: Machine | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.room = Room(self.limits, machine or Machine(total_memory(), available_memory()))
        self.books = Books()
        self.started = False
        keeps = FOREVER if self.limits.keep_alive_s is None else self.limits.keep_alive_s
        self.default = Resident(default, EngineProcess(default.config), keeps)
        self._residents = {default.id: self.default}
        self._lookup = Lookup(find, self.default.spec.id)
        self._changed = asyncio.Event()
        self._stopping = False

    @property
    def residents(self) -> list[Resident]:
        """The default model, and all others that are loaded or on their way in or out."""
        return list(self._residents.values())

    def failure(self, *names: str) -> ModelLoadError | None:
        """Why the model with these names could not be loaded the last time."""
        return self._lookup.failure(*names)

    @property
    def n_bytes(self) -> int:
        """What all residents take of the room there is."""
        return sum(resident.n_bytes for resident in self.residents)

    @property
    def status(self) -> EngineState:
        """Whether requests without a model's name are served: they are while the default one is away to make room."""
        default = self.default
        was_loaded = default.engine.info is not None and self.failure(default.spec.id) is None
        if default.state != "loaded" and was_loaded and not self._stopping:
            return "ready"
        return "starting" if default.state == "loading" else default.engine.state

    def stats(self) -> dict[str, Any]:
        """EngineStats of all engines together, with those that have gone, and what came and went."""
        residents = self.residents
        return {
            **self.books.summed([resident.engine.stats() for resident in residents]),
            "state": self.status,
            "models": sum(resident.state == "loaded" for resident in residents),
            "model_loads": self.books.n_loads,
            "model_unloads": self.books.n_unloads,
        }

    async def start(self) -> None:
        """Loads the default model, unless that was done. Raises ModelLoadError."""
        if not self.started:
            self.started = True
            self.release(await self.acquire(None))

    async def stop(self) -> None:
        """Ends every engine; live requests get their error at once."""
        self._stopping = True
        for resident in self.residents:
            # a load that has not run yet has not said so
            if resident.transition and resident.state != "unloading":
                resident.transition.cancel()
        transitions = [resident.transition for resident in self.residents if resident.transition]
        await asyncio.gather(*transitions, return_exceptions=True)
        await asyncio.gather(*(resident.engine.stop() for resident in self.residents))
        for resident in self.residents:
            self._leave(resident)

    async def acquire(self, name: str | None) -> Resident:
        """The model of that name (None: the default one), loaded, and held until release().

        Raises ModelNotFoundError, ModelLoadError, ModelsBusyError, QueueFullError, EngineStoppedError.
        """
        resident = await self._hold(name)
        try:
            await self._ready(resident)
        except BaseException:
            self.release(resident)
            raise
        return resident

    def release(self, resident: Resident) -> None:
        resident.n_leases -= 1
        resident.last_used = time.monotonic()
        if resident.state == "unloaded" and resident.n_leases == 0:
            self._leave(resident)
        if resident.state == "loading" and resident.may_leave and not resident.n_reserved:
            self._unload(resident)  # it waits for others to make room, and nobody for it
        self._arm(resident)
        self._tell()

    async def load(self, name: str, keep_alive_s: float | None = None) -> Resident:
        """Loads a model before anybody asks it, even if that has just failed; `keep_alive_s` holds from then on.

        With 0 it stays until its next request was answered. Raises what acquire() does.
        """
        self._lookup.forgive(name)
        resident = self._residents.get(self._lookup.id_of(name))
        if resident and resident.engine.state == "broken":
            await self.unload(name)
        resident = await self.acquire(name)
        if keep_alive_s is not None:
            resident.keep_alive_s = keep_alive_s
        if resident.keep_alive_s > 0:
            self.release(resident)
        else:
            resident.n_leases -= 1
            self._tell()
        return resident

    async def unload(self, name: str) -> str:
        """Frees a model's memory once nobody holds it; the model's id. Raises ModelNotFoundError, ModelsBusyError."""
        spec = await self.spec(name)
        self._lookup.forgive(spec.id)
        deadline = asyncio.get_running_loop().time() + self.limits.patience_s
        resident = self._residents.get(spec.id)
        while resident is not None and resident.state != "unloaded":
            if resident.may_leave:
                self._unload(resident)
            if not await self._change(None if resident.state == "unloading" else deadline):
                raise ModelsBusyError(f"{spec.id} is in use; it can be unloaded when its requests are done.")
        return spec.id

    async def _hold(self, name: str | None) -> Resident:
        spec = await self.spec(name)
        while (resident := self._residents.get(spec.id)) and resident.state == "unloading":
            await self._change(None)
        if resident is None:
            keeps = KEEP_ALIVE_S if self.limits.keep_alive_s is None else self.limits.keep_alive_s
            resident = self._residents[spec.id] = Resident(spec, EngineProcess(spec.config), keeps)
        config = spec.config
        if resident.state != "loaded" and resident.n_leases >= config.n_seq_max + config.max_waiting:
            raise QueueFullError(f"{resident.n_leases} requests wait for {spec.id} already; try again soon.")
        resident.n_leases += 1
        resident.stay()
        return resident

    async def spec(self, name: str | None) -> ModelSpec:
        """How the model of that name is or would be loaded. Raises ModelNotFoundError, ModelLoadError."""
        if name is None or name == self.default.spec.id:
            return self.default.spec
        resident = self._residents.get(self._lookup.id_of(name))
        return resident.spec if resident else await self._lookup.spec(name)

    async def _ready(self, resident: Resident) -> None:
        """Returns when it is loaded; of all who wait, the first one loads it."""
        while resident.state != "loaded":
            if resident.transition is None:
                self._lookup.raise_if_just_failed(resident.spec.id)
                self._begin(resident, self._load(resident))
            await self._over(resident)

    async def _over(self, resident: Resident) -> None:
        """Returns when it is loaded or unloaded; whoever waits may leave without ending that."""
        transition = resident.transition
        assert transition is not None
        await asyncio.wait({transition})
        if transition.cancelled():
            raise EngineStoppedError("The server is shutting down.")
        if error := transition.exception():
            raise error.with_traceback(None)

    def _begin(self, resident: Resident, work: Coroutine[Any, Any, None]) -> None:
        if self._stopping:
            work.close()
            raise EngineStoppedError("The server is shutting down.")
        resident.transition = asyncio.create_task(work)
        # whoever waited may have left: an error that nobody hears is no error of the loop's
        resident.transition.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _load(self, resident: Resident) -> None:
        resident.state = "loading"
        try:
            await self._make_room(resident)
            await resident.engine.start()
        except BaseException as error:
            if isinstance(error, ModelLoadError):
                self._lookup.fail(resident.spec.id, error)
            self._leave(resident)
            raise
        resident.state, resident.transition = "loaded", None
        self._lookup.forgive(resident.spec.id)
        self.books.n_loads += 1
        self._arm(resident)  # whoever asked may have left
        self._tell()

    async def _make_room(self, resident: Resident) -> None:
        """Sets its bytes aside, once enough idle models have left. Raises NotEnoughMemoryError, ModelsBusyError."""
        spec = resident.spec
        deadline = asyncio.get_running_loop().time() + self.limits.patience_s
        while not self.room.fits(spec, self.residents):
            self.room.refuse_what_never_fits(spec, self.residents)
            is_coming = self._evict_for(spec)
            if not await self._change(None if is_coming else deadline):
                at_work = ", ".join(one.spec.id for one in self.residents if one.n_reserved)
                raise ModelsBusyError(
                    f"There is no room for {spec.id} beside the models that answer requests now ({at_work}); "
                    "try again soon."
                )
        self.room.refuse_what_never_fits(spec, self.residents)
        resident.n_reserved = self.room.host_bytes(spec)

    def _evict_for(self, spec: ModelSpec) -> bool:
        """Unloads models that nobody holds, the least recently used first, if that makes room: whether it will."""
        leaving = [one for one in self.residents if one.state == "unloading"]
        idle = sorted((one for one in self.residents if one.may_leave), key=lambda one: one.last_used)
        if not self.room.fits(spec, self.residents, without=leaving + idle):
            return False
        while not self.room.fits(spec, self.residents, without=leaving):
            leaving.append(idle.pop(0))
            logger.info("%s makes room", leaving[-1].spec.id)
            self._unload(leaving[-1])
        return True

    def _unload(self, resident: Resident) -> None:
        """Or ends its load, which then leaves by itself."""
        assert resident.may_leave
        was_loaded, resident.state = resident.is_idle, "unloading"
        if was_loaded:
            self._begin(resident, self._end(resident))
        elif resident.transition:
            resident.transition.cancel()

    async def _end(self, resident: Resident) -> None:
        try:
            await resident.engine.stop()
        finally:
            self._leave(resident)
            self.books.n_unloads += 1

    def _leave(self, resident: Resident) -> None:
        """Its engine has ended, or never began."""
        resident.state, resident.transition, resident.n_reserved = "unloaded", None, 0
        resident.stay()
        if resident is not self.default and resident in self.residents:
            del self._residents[resident.spec.id]
            self.books.close(resident.engine.stats())
        self._tell()

    def _arm(self, resident: Resident) -> None:
        """From now on its idle time counts."""
        if resident.is_idle and resident.keep_alive_s != FOREVER and not self._stopping:
            loop = asyncio.get_running_loop()
            resident.expiry = loop.call_later(resident.keep_alive_s, self._expire, resident)

    def _expire(self, resident: Resident) -> None:
        resident.expiry = None
        if resident.is_idle and not self._stopping:
            self._unload(resident)

    async def _change(self, deadline: float | None) -> bool:
        """Waits until some model has come or gone or is idle; False where none was by then (loop time)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                return await self._changed.wait()
        return False

    def _tell(self) -> None:
        """Wakes whoever waits for room or for a model to come or go, the first to come first."""
        self._changed.set()
        self._changed = asyncio.Event()
