"""How many bytes an engine will take for a model: weights, cache, computation, and the process around them.

Arithmetic on what a file's header says, checked against measured processes by `r1chat doctor --measure`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...engine.config import KvType
from ...engine.host_memory import KV_POOL_BYTES, KV_POOL_SHARE, kv_bytes, pool_cells, whole_cells
from ..gguf.info import GgufInfo

# Rows in one piece of a forward pass: as the engine's context sets them on a CPU, and llama.cpp's own number elsewhere.
CPU_ROWS, DEVICE_ROWS = 128, 512
# Token runs that stay in the cache, as in the engine; llama.cpp makes room for the logits of each, and one more.
RESIDENT_RUNS = 128
# Rows with logits that a step has for each request: its newest token and a few drafts. llama.cpp's buffers have
# room for more, whose pages nobody touches; a device has no such pages.
OUTPUTS_EACH = 4
# A child with Python, numpy and llama.cpp's libraries, and what each entry of the vocabulary adds to it.
PROCESS_BYTES = 60 << 20
VOCABULARY_ENTRY_BYTES = 330
# A backend's own context and scratch space on its device.
DEVICE_BYTES = 400 << 20


@dataclass(frozen=True)
class Estimate:
    """Bytes that a loaded and busy engine takes. `device` of the total lie on graphics cards, the rest in host memory.

    What conversations later take in the host cache, which has a bound of its own, is not in it.
    """

    weights: int
    kv: int
    compute: int
    overhead: int
    device: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.compute + self.overhead

    @property
    def host(self) -> int:
        return self.total - self.device


def estimate(
    info: GgufInfo,
    *,
    n_ctx: int,
    n_seq_max: int,
    kv_type: KvType = "f16",
    n_gpu_layers: int = 0,
    n_cells: int | None = None,
    n_batch: int = 512,
) -> Estimate:
    """`n_cells` None: the pool an engine makes where memory is plenty. More layers than there are: all of them,
    and the output matrix with them.
    """
    cells = n_cells or default_cells(info, n_ctx=n_ctx, n_seq_max=n_seq_max, kv_type=kv_type)
    on_device = _device_share(info, n_gpu_layers)
    weights = info.weights.total + (info.weights.embedding if on_device.output and info.weights.tied else 0)
    n_outputs = max(RESIDENT_RUNS, n_seq_max) + 1
    rows = max(min(n_batch, DEVICE_ROWS if n_gpu_layers else CPU_ROWS), n_outputs)
    graph = _graph(info, rows, n_outputs if n_gpu_layers else min(n_outputs, OUTPUTS_EACH * n_seq_max), cells)
    outputs = 4 * n_outputs * info.n_vocab
    kv = cache_bytes(info, cells, kv_type)
    overhead = PROCESS_BYTES + VOCABULARY_ENTRY_BYTES * info.n_vocab
    device = 0
    if n_gpu_layers:
        overhead += DEVICE_BYTES
        device = on_device.weights + int(kv * on_device.blocks) + graph + DEVICE_BYTES
    return Estimate(weights=weights, kv=kv, compute=graph + outputs, overhead=overhead, device=device)


def default_cells(
    info: GgufInfo, *, n_ctx: int, n_seq_max: int, kv_type: KvType, available: int = KV_POOL_BYTES * KV_POOL_SHARE
) -> int:
    """The pool of cells that the engine would make with `available` bytes of memory."""
    return pool_cells(n_ctx=n_ctx, n_seq_max=n_seq_max, cell_bytes=cache_bytes(info, 1, kv_type), available=available)


def cache_bytes(info: GgufInfo, n_cells: int, kv_type: KvType = "f16") -> int:
    """Keys and values of so many tokens in all blocks; a pool is rounded up as the engine does."""
    n_values = sum(info.head_count_kv) * (info.key_length + info.value_length)
    return (whole_cells(n_cells) if n_cells > 1 else 1) * kv_bytes(n_values, kv_type)


def _graph(info: GgufInfo, rows: int, n_outputs: int, n_cells: int) -> int:
    """llama.cpp's compute buffer: either the logits are the most it holds at once, or a block's activations are."""
    logits = n_outputs * 4 * (info.n_vocab + 2 * info.embedding_length)
    activations = rows * (2 * n_cells + 4 * (2 * info.feed_forward_length + 4 * info.embedding_length))
    return max(logits, activations)


@dataclass(frozen=True)
class _DeviceShare:
    """`blocks`: which part of them, 0 to 1; `output`: the output matrix goes with them."""

    blocks: float
    weights: int
    output: bool


def _device_share(info: GgufInfo, n_gpu_layers: int) -> _DeviceShare:
    """llama.cpp offloads the last blocks first, the output matrix with the first of them, the embedding never."""
    if not n_gpu_layers:
        return _DeviceShare(0.0, 0, False)
    layers = min(n_gpu_layers, info.block_count + 1) if n_gpu_layers > 0 else info.block_count + 1
    n_blocks = min(info.block_count, layers - 1)
    weights = sum(info.weights.blocks[info.block_count - n_blocks :]) + info.weights.rest
    if info.weights.tied:
        weights += info.weights.embedding
    return _DeviceShare(n_blocks / info.block_count, weights, True)
