"""ModelManager: which models are resident, each in an engine process of its own. One place that knows.

All methods belong to one event loop. Knows no HTTP; whoever asks for a model holds a lease on it meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..engine.config import EngineConfig
from ..engine.process import EngineProcess
from ..errors import ModelLoadError, ModelNotFoundError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model that can be loaded: how its engine is started, and what that will take (0: not known)."""

    id: str
    config: EngineConfig
    owned_by: str = "r1chat"
    n_bytes: int = 0


@dataclass(eq=False)
class Resident:
    """A model with its engine. `n_leases` requests hold it now; `error` says why it could not be loaded."""

    spec: ModelSpec
    engine: EngineProcess
    n_leases: int = 0
    last_used: float = field(default_factory=time.monotonic)
    error: str | None = None


class ModelManager:
    """Serves `default`, and what `find` knows under other names (None: it knows no such model)."""

    def __init__(self, default: ModelSpec, find: Callable[[str], ModelSpec | None] = lambda _: None) -> None:
        self.default = Resident(default, EngineProcess(default.config))
        self._find = find

    @property
    def residents(self) -> list[Resident]:
        return [self.default]

    async def start(self) -> None:
        """Loads the default model, unless that was done. Raises ModelLoadError."""
        if self.default.engine.state != "stopped":
            return
        try:
            await self.default.engine.start()
        except ModelLoadError as error:
            self.default.error = str(error)
            raise

    async def stop(self) -> None:
        """Ends every engine; live requests get their error at once."""
        await asyncio.gather(*(resident.engine.stop() for resident in self.residents))

    async def acquire(self, name: str | None) -> Resident:
        """The model of that name (None: the default one), held until release(). Raises ModelNotFoundError."""
        resident = self.default
        if name not in (None, resident.spec.id):
            raise ModelNotFoundError(f"This server has no model {name!r}; it serves {resident.spec.id!r}.")
        resident.n_leases += 1
        resident.last_used = time.monotonic()
        return resident

    def release(self, resident: Resident) -> None:
        resident.n_leases -= 1
        resident.last_used = time.monotonic()

    def stats(self) -> dict[str, Any]:
        """EngineStats of all engines together."""
        return self.default.engine.stats()
