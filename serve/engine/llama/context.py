"""A llama.cpp context with one unified cache: how large, on how many threads, and how its work is cut short."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp

from ...errors import ModelLoadError
from ..config import EngineConfig, KvType
from ..cores import default_threads
from ..host_memory import available_memory, kv_bytes, pool_cells, whole_cells
from .model import LlamaLog, may_be_deterministic, metadata, offloads

# On a CPU attention takes another kernel from 64 rows on: at a depth of 2,400 tokens they cost half of what 60 do. But
# then their numbers depend on who else is in the batch, so files whose rows could be the same in any batch do without.
TILE_ROWS = 64
CPU_UBATCH, INVARIANT_UBATCH = 128, 60
# Rows of one request that bring logits: its newest token and a draft behind it.
MAX_OUTPUTS_EACH = 16
MAX_SEQUENCES = 256
KV_TYPES: dict[KvType, int] = {
    "f16": llama_cpp.GGML_TYPE_F16,
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
    "q4_0": llama_cpp.GGML_TYPE_Q4_0,
}


class InterruptFlag:
    """What llama.cpp asks after every node of its graph: stop? Set from any thread.

    The question is answered by C's strlen, of a buffer that holds no byte or one. A Python callback, the
    way where there is no such C library, makes every node wait for the interpreter's lock.
    """

    def __init__(self, context: llama_cpp.llama_context_p) -> None:
        self._buffer = ctypes.create_string_buffer(2)
        self._callback = self._native() or llama_cpp.ggml_abort_callback(self._is_set)
        llama_cpp.llama_set_abort_callback(context, self._callback, ctypes.addressof(self._buffer))

    def set(self) -> None:
        self._buffer[0] = b"\1"

    def clear(self) -> None:
        self._buffer[0] = b"\0"

    def _native(self) -> Any:
        try:
            return ctypes.cast(ctypes.CDLL(None).strlen, llama_cpp.ggml_abort_callback)
        except (AttributeError, OSError, TypeError):
            return None

    def _is_set(self, _: object) -> bool:
        return self._buffer[0] != b"\0"


def new_context(
    model: llama_cpp.llama_model_p, config: EngineConfig, *, n_ctx: int, n_resident: int, log: LlamaLog
) -> llama_cpp.llama_context_p:
    """With sequence ids up to `n_resident`, that one included. Raises ModelLoadError."""
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = _pool_cells(model, n_ctx, config)
    params.type_k = params.type_v = KV_TYPES[config.kv_type]
    # one more than anybody asks for: an idle row may have to be added
    params.n_batch = config.n_batch + 1
    if not offloads(config):
        params.n_ubatch = INVARIANT_UBATCH if may_be_deterministic(model, config) else CPU_UBATCH
    params.n_ubatch = min(config.n_batch, params.n_ubatch)
    params.n_seq_max = n_resident + 1
    params.n_outputs_max = max_outputs(config, n_resident)
    params.kv_unified = True
    n_params = llama_cpp.llama_model_n_params(model)
    params.n_threads = params.n_threads_batch = config.n_threads or default_threads(n_params)
    # without it llama.cpp cannot read values in blocks
    if may_be_deterministic(model, config) or config.kv_type != "f16":
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise ModelLoadError(f"No context of {params.n_ctx} tokens: {'; '.join(log.errors) or 'out of memory?'}")
    return context


def max_outputs(config: EngineConfig, n_resident: int) -> int:
    """Rows of a batch that may bring logits: llama.cpp aborts the process where there are more than it was told.

    It wants to be told one for each sequence at least.
    """
    return max(n_resident + 1, min(config.n_batch, MAX_OUTPUTS_EACH * config.n_seq_max))


def _pool_cells(model: llama_cpp.llama_model_p, n_ctx: int, config: EngineConfig) -> int:
    """As many as were asked for, or as memory allows."""
    if config.n_cells:
        return whole_cells(config.n_cells)
    return pool_cells(
        n_ctx=n_ctx,
        n_seq_max=config.n_seq_max,
        cell_bytes=_cell_bytes(model, config.kv_type),
        available=available_memory(),
    )


def _cell_bytes(model: llama_cpp.llama_model_p, kv_type: KvType) -> int:
    arch = metadata(model, "general.architecture")
    head_size = llama_cpp.llama_model_n_embd(model) // llama_cpp.llama_model_n_head(model)
    row: int = sum(
        int(metadata(model, f"{arch}.attention.{part}_length") or head_size) * llama_cpp.llama_model_n_head_kv(model)
        for part in ("key", "value")
    )
    return kv_bytes(row, kv_type) * int(llama_cpp.llama_model_n_layer(model))
