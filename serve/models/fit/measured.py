"""Sets what an estimate says against what a loaded and busy engine really has in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...engine.config import EngineConfig, KvType
from ...engine.request import ModelInfo, Segment
from ..gguf.info import read_info
from .memory import Estimate, estimate
from .smoke import smoke

TOLERANCE = 0.1


@dataclass(frozen=True)
class Measured:
    """Bytes. `resident`: what the child has in memory, libraries too; None where the system does not tell it."""

    n_ctx: int
    kv_type: KvType
    estimate: Estimate
    resident: int | None

    @property
    def error(self) -> float | None:
        """By how much the estimate is too high, as a part of what was measured."""
        return None if not self.resident else self.estimate.total / self.resident - 1


async def measure(path: Path, *, n_ctx: int, kv_type: KvType = "f16", n_requests: int = 2) -> Measured:
    """Loads the model on the CPU with a pool of `n_ctx` cells and has it write 8 tokens. Raises R1ChatError."""
    config = EngineConfig(
        model_path=path, n_ctx=n_ctx, n_cells=n_ctx, kv_type=kv_type, n_gpu_layers=0, host_cache_bytes=0
    )
    needs = estimate(read_info(path), n_ctx=n_ctx, n_seq_max=config.n_seq_max, kv_type=kv_type, n_cells=n_ctx)
    seen = await smoke(config, _prompt, n_tokens=8, n_requests=n_requests)
    return Measured(n_ctx, kv_type, needs, seen.resident_bytes)


def _prompt(_: ModelInfo, number: int) -> tuple[Segment, ...]:
    # words of its own, so that none shares another's cells
    return (Segment(" ".join(f"{number} and {i}" for i in range(8)), False),)
