"""A model that can be loaded, and one that is or was: its engine, who holds it, when it has to go.

Values of the ModelManager, which alone changes them. Knows no other models.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...engine.config import EngineConfig
from ...engine.process import EngineProcess

if TYPE_CHECKING:
    from ..fit.memory import Estimate

State = Literal["unloaded", "loading", "loaded", "unloading"]

FOREVER = math.inf
# Of a model whose needs nobody has worked out: its files, the largest pool of cells, and the process.
UNKNOWN_BYTES = (1 << 30) + (256 << 20)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model that can be loaded: how its engine is started, and what that will take in bytes (0: not known)."""

    id: str
    config: EngineConfig
    owned_by: str = "r1chat"
    n_bytes: int = 0
    estimate: Estimate | None = None

    def needs(self) -> int:
        """What is set aside for it; looks at its files where nobody has said."""
        return self.n_bytes or _file_bytes(self.config.model_path) + UNKNOWN_BYTES


def _file_bytes(path: Path | None) -> int:
    try:
        if path is None:
            return 0
        return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size
    except OSError:
        return 0


@dataclass(eq=False)
class Resident:
    """`n_leases` requests hold it now, those that wait for it among them; `n_reserved` bytes are set aside for it.

    Idle for `keep_alive_s`, it is unloaded. `transition` is what loads or unloads it just now.
    """

    spec: ModelSpec
    engine: EngineProcess
    keep_alive_s: float
    state: State = "unloaded"
    n_leases: int = 0
    n_reserved: int = 0
    last_used: float = field(default_factory=time.monotonic)
    transition: asyncio.Task[None] | None = None
    expiry: asyncio.TimerHandle | None = None

    def stay(self) -> None:
        """It does not leave by itself any more, until its idle time counts again."""
        if self.expiry:
            self.expiry.cancel()
            self.expiry = None

    @property
    def is_idle(self) -> bool:
        return self.state == "loaded" and self.n_leases == 0

    @property
    def may_leave(self) -> bool:
        """Nobody holds it. Whoever had it loaded may have left."""
        return self.state in ("loading", "loaded") and self.n_leases == 0

    @property
    def n_bytes(self) -> int:
        """What it takes or will: what was set aside, and conversations that left its cache since."""
        return self.n_reserved + int(self.engine.stats()["host_bytes"])

    @property
    def idle_s(self) -> float:
        """How long nobody has held it."""
        return 0.0 if self.n_leases else time.monotonic() - self.last_used

    @property
    def expires_in_s(self) -> float | None:
        """When it goes if nobody asks for it; None: not by itself."""
        return None if self.expiry is None else max(0.0, self.expiry.when() - asyncio.get_running_loop().time())
