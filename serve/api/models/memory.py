"""GET /v1/memory: what the machine has, what models may take of it, and what each of them takes."""

from __future__ import annotations

from pydantic import BaseModel


class MachineMemory(BaseModel):
    """Bytes. What is available could be had without swapping."""

    ram_total: int
    ram_available: int


class DeviceMemory(BaseModel):
    """A graphics card, in bytes. `unified`: its memory is the machine's own."""

    name: str
    description: str
    total: int
    free: int
    unified: bool


class MemoryBudget(BaseModel):
    """What all models together may take and have set aside, in bytes."""

    bytes: int
    used: int
    max_models: int | None


class MemoryEstimate(BaseModel):
    """What was worked out before the model was loaded, in bytes; `device` of the total lie on graphics cards."""

    weights: int
    kv: int
    compute: int
    overhead: int
    device: int
    total: int


class MeasuredMemory(BaseModel):
    """What the system says of a process, in bytes; null where it does not."""

    rss: int
    pss: int | None


class ModelMemory(BaseModel):
    """A model with an engine process. `reserved` bytes count against the budget beside its `host_cache_bytes`.

    `requests` hold it now; idle for `idle_s` seconds, it goes in `expires_in_s` if nobody asks for it (null: not by
    itself). The cache holds `kv_cells` tokens.
    """

    id: str
    state: str
    engine: str
    pid: int | None
    n_ctx: int | None
    reserved: int
    estimate: MemoryEstimate | None
    measured: MeasuredMemory | None
    kv_cells: int
    kv_cells_used: int
    host_cache_bytes: int
    host_cache_max_bytes: int
    requests: int
    idle_s: float
    expires_in_s: float | None


class MemoryReport(BaseModel):
    """`server` is the process that answers, without its engines."""

    machine: MachineMemory
    devices: list[DeviceMemory]
    budget: MemoryBudget
    server: MeasuredMemory | None
    models: list[ModelMemory]
