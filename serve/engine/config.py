"""How an engine is started: which runner, which file, how much of the machine. Parsed once, at the edge."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LLAMA_RUNNER = "r1chat.serve.engine.llama_runner:LlamaModelRunner"


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """`n_ctx` bounds one request, in tokens; None takes what the model was trained for, at most 8192.

    `n_gpu_layers` None offloads all layers where the build can. `runner` is "module:Class", imported in
    the child and called with this config; `runner_args` is whatever that class wants besides.
    """

    model_path: Path | None = None
    n_ctx: int | None = None
    n_seq_max: int = 16
    n_batch: int = 512
    n_threads: int | None = None
    n_gpu_layers: int | None = None
    max_waiting: int = 256
    load_timeout_s: float = 600.0
    hang_floor_s: float = 60.0
    runner: str = LLAMA_RUNNER
    runner_args: dict[str, Any] = field(default_factory=dict)
