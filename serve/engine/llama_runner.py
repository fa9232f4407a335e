"""LlamaModelRunner: one GGUF in one llama.cpp context with one unified cache, on the low-level C API."""

from __future__ import annotations

import ctypes
import logging
import os
from collections import deque
from pathlib import Path
from time import perf_counter

import llama_cpp
import numpy as np

from ..errors import EngineError, ModelLoadError, NonFiniteLogitsError
from .batch import Batch
from .config import EngineConfig
from .llama_vocab import LlamaVocab
from .model_runner import InvalidBatchError, KVFullError
from .request import ModelInfo, SamplingParams
from .sampler import LlamaSampler, check_finite

logger = logging.getLogger(__name__)

DEFAULT_N_CTX = 8192
# Requests share one pool of cells; up to this size it holds a full context for each of them.
KV_POOL_BYTES = 1 << 30
# On a CPU attention takes another kernel from 64 rows on, and then a prompt's numbers depend on who else
# is in the batch. Smaller pieces cost nothing there: matrix products are at their best from 32 rows on.
CPU_UBATCH = 60
PARAMS_PER_THREAD = 32_000_000
_CELLS = 256
_GGML_LOG_LEVEL_ERROR = 4


class LlamaModelRunner:
    """Owned by one thread; llama.cpp aborts the process where two use a context. Raises ModelLoadError."""

    def __init__(self, config: EngineConfig) -> None:
        began = perf_counter()
        self._log = _Log()
        llama_cpp.llama_backend_init()
        self._model = _load_model(config, self._log)
        self._vocab = LlamaVocab(self._model)
        n_ctx_train: int = llama_cpp.llama_model_n_ctx_train(self._model)
        n_ctx = config.n_ctx or min(n_ctx_train, DEFAULT_N_CTX)
        if n_ctx > n_ctx_train:
            logger.warning("context of %d tokens: the model was trained for %d", n_ctx, n_ctx_train)
        self._context = _new_context(self._model, config, n_ctx, self._log)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._rows = _Rows(config.n_batch)
        self.n_batch = config.n_batch
        self.n_cells: int = llama_cpp.llama_n_ctx(self._context)
        self._warm_up()
        self.info = ModelInfo(
            path=str(config.model_path),
            architecture=_metadata(self._model, "general.architecture"),
            description=_description(self._model),
            n_params=llama_cpp.llama_model_n_params(self._model),
            n_ctx=min(n_ctx, self.n_cells),
            n_ctx_train=n_ctx_train,
            n_vocab=self._vocab.n_tokens,
            n_seq_max=config.n_seq_max,
            bos_token=self._vocab.bos,
            eos_token=self._vocab.eos,
            chat_template=_chat_template(self._model),
            gpu_offload=_offloads(config),
            load_s=perf_counter() - began,
        )

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        return self._vocab.tokenize(text, special=special)

    def piece(self, token: int) -> bytes:
        return self._vocab.piece(token)

    def is_end(self, token: int) -> bool:
        return self._vocab.is_end(token)

    def make_sampler(self, params: SamplingParams, prompt: list[int]) -> LlamaSampler:
        return LlamaSampler(self._context, self._vocab.n_tokens, params, prompt)

    def forward(self, batch: Batch) -> None:
        self._rows.fill(batch)
        code = llama_cpp.llama_decode(self._context, self._rows.batch)
        if code == 1:
            raise KVFullError("The cache has no room for the batch.")
        if code == -1:
            raise InvalidBatchError("llama.cpp refused the batch as invalid.")
        if code:
            # an unknown part was computed, so cache and books disagree: only a new process helps
            raise EngineError(f"llama_decode returned {code}")
        # on a GPU the call returns before the work is done
        llama_cpp.llama_synchronize(self._context)

    def remove(self, seq_id: int, start: int) -> None:
        if not llama_cpp.llama_memory_seq_rm(self._memory, seq_id, start, -1):
            raise EngineError(f"sequence {seq_id} cannot be cut at {start}")

    def close(self) -> None:
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def _warm_up(self) -> None:
        """Reads the weights in before anyone waits, and refuses those that compute nothing."""
        self._rows.fill_one(token=0, seq_id=0)
        if code := llama_cpp.llama_decode(self._context, self._rows.batch):
            raise ModelLoadError(f"The model loads but cannot be run (llama_decode returned {code}).")
        try:
            check_finite(llama_cpp.llama_get_logits_ith(self._context, 0), (self._vocab.n_tokens,))
        except NonFiniteLogitsError as error:
            raise ModelLoadError(str(error)) from None
        self.remove(0, 0)


class _Rows:
    """A llama_batch whose columns are numpy arrays, so that a chunk is written by slices."""

    def __init__(self, n_batch: int) -> None:
        self._token = np.zeros(n_batch, np.int32)
        self._position = np.zeros(n_batch, np.int32)
        self._n_seq_id = np.ones(n_batch, np.int32)
        self._seq_id = np.zeros(n_batch, np.int32)
        self._logits = np.zeros(n_batch, np.int8)
        addresses = self._seq_id.ctypes.data + self._seq_id.itemsize * np.arange(n_batch, dtype=np.uintp)
        self._seq_id_pointers = addresses.astype(np.uintp)
        self.batch = self._new_batch()

    def fill(self, batch: Batch) -> None:
        assert 0 < batch.n_rows <= len(self._token), "llama.cpp aborts on more rows than n_batch"
        self._logits[: batch.n_rows] = 0
        for chunk in batch.chunks:
            rows = slice(chunk.row, chunk.row + chunk.n_rows)
            self._token[rows] = chunk.tokens
            self._position[rows] = np.arange(chunk.start, chunk.start + chunk.n_rows)
            self._seq_id[rows] = chunk.sequence.seq_id
            if chunk.needs_logits:
                self._logits[chunk.last_row] = 1
        self.batch.n_tokens = batch.n_rows

    def fill_one(self, *, token: int, seq_id: int) -> None:
        self._token[0], self._position[0], self._seq_id[0], self._logits[0] = token, 0, seq_id, 1
        self.batch.n_tokens = 1

    def _new_batch(self) -> llama_cpp.llama_batch:
        batch = llama_cpp.llama_batch()
        columns: dict[str, np.ndarray] = {
            "token": self._token,
            "pos": self._position,
            "n_seq_id": self._n_seq_id,
            "seq_id": self._seq_id_pointers,
            "logits": self._logits,
        }
        kinds = dict(llama_cpp.llama_batch._fields_)
        for name, column in columns.items():
            setattr(batch, name, ctypes.cast(column.ctypes.data, kinds[name]))
        return batch


class _Log:
    """llama.cpp's messages as log records; the last error is kept for whoever has to explain a failure."""

    def __init__(self) -> None:
        self.errors: deque[str] = deque(maxlen=3)
        self._callback = llama_cpp.llama_log_callback(self._on_message)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _on_message(self, level: int, text: bytes, _: ctypes.c_void_p) -> None:
        message = text.decode(errors="replace").strip()
        if level == _GGML_LOG_LEVEL_ERROR and message:
            self.errors.append(message)
        logger.debug("%s", message)


def _offloads(config: EngineConfig) -> bool:
    return bool(llama_cpp.llama_supports_gpu_offload()) and config.n_gpu_layers != 0


def _load_model(config: EngineConfig, log: _Log) -> llama_cpp.llama_model_p:
    path = config.model_path
    if path is None or not Path(path).is_file():
        raise ModelLoadError(f"There is no model file {path}.")
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = -1 if config.n_gpu_layers is None else config.n_gpu_layers
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise ModelLoadError(f"llama.cpp cannot load {path}: {'; '.join(log.errors) or 'no reason given'}")
    if llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model):
        raise ModelLoadError(f"{path}: recurrent models cannot share a cache the way this engine does.")
    if llama_cpp.llama_model_has_encoder(model):
        raise ModelLoadError(f"{path} is an encoder model; only decoders can chat.")
    return model


def _new_context(
    model: llama_cpp.llama_model_p, config: EngineConfig, n_ctx: int, log: _Log
) -> llama_cpp.llama_context_p:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = _pool_cells(model, n_ctx, config.n_seq_max)
    params.n_batch = config.n_batch
    params.n_ubatch = min(config.n_batch, params.n_ubatch if _offloads(config) else CPU_UBATCH)
    params.n_seq_max = config.n_seq_max
    params.kv_unified = True
    params.n_threads = params.n_threads_batch = config.n_threads or _n_threads(model)
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise ModelLoadError(f"No context of {params.n_ctx} tokens: {'; '.join(log.errors) or 'out of memory?'}")
    return context


def _pool_cells(model: llama_cpp.llama_model_p, n_ctx: int, n_seq_max: int) -> int:
    head_size = llama_cpp.llama_model_n_embd(model) // llama_cpp.llama_model_n_head(model)
    row_bytes = 2 * head_size * llama_cpp.llama_model_n_head_kv(model)
    cell_bytes = 2 * row_bytes * llama_cpp.llama_model_n_layer(model)
    cells = max(n_ctx, min(n_ctx * n_seq_max, KV_POOL_BYTES // cell_bytes))
    return -(-cells // _CELLS) * _CELLS


def _n_threads(model: llama_cpp.llama_model_p) -> int:
    """All cores, but for a small model no more than have enough to do between two barriers."""
    busy = llama_cpp.llama_model_n_params(model) // PARAMS_PER_THREAD
    return max(1, min(_physical_cores(), busy))


def _physical_cores() -> int:
    """Cores this process may run on, counting hyper-threads once: they only get in each other's way."""
    try:
        allowed = os.sched_getaffinity(0)
        siblings = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
        return len({Path(siblings.format(cpu)).read_text() for cpu in allowed})
    except (AttributeError, OSError):
        return max(1, (os.cpu_count() or 2) // 2)


def _metadata(model: llama_cpp.llama_model_p, key: str) -> str:
    buffer = ctypes.create_string_buffer(256)
    n = llama_cpp.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode(errors="replace") if n > 0 else ""


def _description(model: llama_cpp.llama_model_p) -> str:
    buffer = ctypes.create_string_buffer(256)
    llama_cpp.llama_model_desc(model, buffer, len(buffer))
    return buffer.value.decode(errors="replace")


def _chat_template(model: llama_cpp.llama_model_p) -> str | None:
    template = llama_cpp.llama_model_chat_template(model, None)
    return template.decode(errors="replace") if template else None
