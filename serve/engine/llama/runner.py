"""LlamaModelRunner: one GGUF in one llama.cpp context with one unified cache, on the low-level C API."""

from __future__ import annotations

import ctypes
import logging
from time import perf_counter

import llama_cpp
import numpy as np

from ...errors import EngineError, ModelLoadError, NonFiniteLogitsError
from ..batch import Batch
from ..config import EngineConfig
from ..draw import Scratch
from ..model_runner import InterruptedStep, InvalidBatchError, KVFullError
from ..probe import rows_are_invariant
from ..request import ModelInfo, SamplingParams
from ..sampler import RowSampler, check_finite
from .cell_order import CellOrder
from .context import MAX_SEQUENCES, TILE_ROWS, InterruptFlag, max_outputs, new_context
from .model import (
    LlamaAdapter,
    LlamaLog,
    chat_template,
    description,
    load_model,
    may_be_deterministic,
    metadata,
    offloads,
)
from .rows import Rows
from .vocab import LlamaVocab

logger = logging.getLogger(__name__)

DEFAULT_N_CTX = 8192
_NO_ROOM, _ABORTED, _INVALID = 1, 2, -1


class LlamaModelRunner:
    """Owned by one thread; llama.cpp aborts the process where two use a context. Raises ModelLoadError."""

    def __init__(self, config: EngineConfig) -> None:
        began = perf_counter()
        self._log = LlamaLog()
        llama_cpp.llama_backend_init()
        self._model = load_model(config, self._log)
        adapter = LlamaAdapter(self._model, config.adapter, self._log) if config.adapter else None
        self._vocab = LlamaVocab(self._model)
        self._row_buffers = Scratch(self._vocab.n_tokens)
        # a place beside all running ones for a prompt computed ahead; and one id more, for rows that are nobody's
        self.n_resident = min(max(config.n_resident, config.n_seq_max + 1), MAX_SEQUENCES - 1)
        self._scratch = self.n_resident
        n_ctx = _context_length(self._model, config)
        self._context = new_context(self._model, config, n_ctx=n_ctx, n_resident=self.n_resident, log=self._log)
        if adapter:
            adapter.apply(self._context)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._interrupt = InterruptFlag(self._context)
        self._n_rows_max: int = llama_cpp.llama_n_batch(self._context)
        self._n_ubatch: int = llama_cpp.llama_n_ubatch(self._context)
        self._n_outputs_max = max_outputs(config, self.n_resident)
        self._n_threads: int = llama_cpp.llama_n_threads(self._context)
        self._rows = Rows(self._n_rows_max, scratch=self._scratch)
        self.n_batch = self._n_rows_max - 1
        self.piece_rows = min(TILE_ROWS, self._n_ubatch)
        self.n_cells: int = llama_cpp.llama_n_ctx(self._context)
        self._order: CellOrder | None = None
        self._warm_up()
        self.info = self._describe(config, n_ctx, began)
        self._order = CellOrder(self.n_cells) if self.info.deterministic else None

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        return self._vocab.tokenize(text, special=special)

    def piece(self, token: int) -> bytes:
        return self._vocab.piece(token)

    def token_text(self, token: int) -> bytes:
        return self._vocab.token_text(token)

    def is_end(self, token: int) -> bool:
        return self._vocab.is_end(token)

    def make_sampler(self, params: SamplingParams, prompt: list[int]) -> RowSampler:
        return RowSampler(self._logits, self._vocab.n_tokens, params, prompt, self._row_buffers)

    def forward(self, batch: Batch) -> None:
        assert batch.n_outputs <= self._n_outputs_max
        n_idle = batch.n_idle + self._lacks_a_row(batch)
        self._place(batch)
        self._rows.fill(batch, n_idle)
        try:
            self._decode()
        except EngineError:
            self._note_lengths([chunk.sequence.seq_id for chunk in batch.chunks])
            raise
        finally:
            if n_idle:
                self._cut(self._scratch, 0)

    def interrupt(self) -> None:
        self._interrupt.set()

    def n_computed(self, seq_id: int) -> int:
        return int(llama_cpp.llama_memory_seq_pos_max(self._memory, seq_id)) + 1

    def remove(self, seq_id: int, start: int) -> None:
        self._cut(seq_id, start)
        self._note_lengths([seq_id])

    def copy(self, source: int, target: int, n_tokens: int) -> None:
        assert not self.n_computed(target), "the target of a copy must be empty"
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, n_tokens)
        if self._order:
            self._order.share(source, target, n_tokens)

    def save(self, seq_id: int) -> np.ndarray:
        state = np.empty(llama_cpp.llama_state_seq_get_size(self._context, seq_id), np.uint8)
        n_bytes = llama_cpp.llama_state_seq_get_data(self._context, _bytes_of(state), state.nbytes, seq_id)
        if n_bytes != state.nbytes:
            raise EngineError(f"the state of sequence {seq_id} has {n_bytes} bytes instead of {state.nbytes}")
        return state

    def restore(self, seq_id: int, state: np.ndarray) -> bool:
        assert not self.n_computed(seq_id), "what is restored must be empty"
        state = np.ascontiguousarray(state)
        n_bytes = llama_cpp.llama_state_seq_set_data(self._context, _bytes_of(state), state.nbytes, seq_id)
        if not n_bytes or n_bytes != state.nbytes:
            logger.debug("a state of %d bytes was not restored", state.nbytes)
            self._cut(seq_id, 0)
            return False
        if self._order:
            self._order.extend(seq_id, self.n_computed(seq_id))
        return True

    def time_rows(self, n_rows: int, n_outputs: int) -> float:
        assert n_outputs <= self._n_outputs_max
        self._rows.fill_made_up(n_rows, n_outputs)
        began = perf_counter()
        self._decode()
        seconds = perf_counter() - began
        self._cut(self._scratch, 0)
        return seconds

    def set_threads(self, n_threads: int) -> None:
        self._n_threads = n_threads
        llama_cpp.llama_set_n_threads(self._context, n_threads, n_threads)

    def close(self) -> None:
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def _decode(self) -> None:
        self._interrupt.clear()
        code = llama_cpp.llama_decode(self._context, self._rows.batch)
        if code == _NO_ROOM:
            raise KVFullError("The cache has no room for the batch.")
        if code == _INVALID:
            raise InvalidBatchError("llama.cpp refused the batch as invalid.")
        if code == _ABORTED:
            raise InterruptedStep("The forward pass was ended early.")
        if code:
            # an unknown part was computed, so cache and books disagree: only a new process helps
            raise EngineError(f"llama_decode returned {code}")
        # on a GPU the call returns before the work is done
        llama_cpp.llama_synchronize(self._context)

    def _cut(self, seq_id: int, start: int) -> None:
        if not llama_cpp.llama_memory_seq_rm(self._memory, seq_id, start, -1):
            raise EngineError(f"sequence {seq_id} cannot be cut at {start}")

    def _note_lengths(self, seq_ids: list[int]) -> None:
        if self._order is None:
            return
        for seq_id in seq_ids:
            self._order.truncate(seq_id, self.n_computed(seq_id))

    def _place(self, batch: Batch) -> None:
        """Sees to it that deterministic sequences get their cells in order."""
        while self._order and (seq_id := self._order.place(batch)) is not None:
            self._move(seq_id)

    def _move(self, seq_id: int) -> None:
        """The sequence goes to the lowest cells there are, in order, with what it shared copied."""
        assert self._order
        if self._order.n_free + self._order.n_private(seq_id) < self._order.n_cells(seq_id):
            raise KVFullError("The cache has no room to put a deterministic request in order.")
        state = self.save(seq_id)
        self.remove(seq_id, 0)
        if not self.restore(seq_id, state):
            raise EngineError(f"sequence {seq_id} was lost while it was moved")

    def _lacks_a_row(self, batch: Batch) -> bool:
        """A piece of one row is attended to in as many parts as there are threads, which rounds differently."""
        last = (batch.n_rows + batch.n_idle) % self._n_ubatch
        return last == 1 and self._n_threads > 1 and any(chunk.sequence.deterministic for chunk in batch.chunks)

    def _warm_up(self) -> None:
        """Reads the weights in before anyone waits, and refuses those that compute nothing."""
        try:
            self._rows.fill_made_up(1, 1)
            self._decode()
            logits = self._logits(0)
            check_finite(logits)
            if logits.min() == logits.max():
                raise ModelLoadError("The model finds every token equally likely: its weights were never written.")
        except NonFiniteLogitsError as error:
            raise ModelLoadError(str(error)) from None
        except EngineError as error:
            raise ModelLoadError(f"The model loads but cannot be run ({error}).") from None
        self._cut(self._scratch, 0)

    def _describe(self, config: EngineConfig, n_ctx: int, began: float) -> ModelInfo:
        deterministic = may_be_deterministic(self._model, config) and rows_are_invariant(self, self._logits)
        return ModelInfo(
            path=str(config.model_path),
            architecture=metadata(self._model, "general.architecture"),
            description=description(self._model),
            n_params=llama_cpp.llama_model_n_params(self._model),
            n_ctx=min(n_ctx, self.n_cells),
            n_ctx_train=llama_cpp.llama_model_n_ctx_train(self._model),
            n_vocab=self._vocab.n_tokens,
            n_seq_max=config.n_seq_max,
            bos_token=self._vocab.bos,
            eos_token=self._vocab.eos,
            chat_template=chat_template(self._model),
            gpu_offload=offloads(config),
            deterministic=deterministic,
            n_threads=self._n_threads,
            load_s=perf_counter() - began,
        )

    def _logits(self, row: int) -> np.ndarray:
        """A view of them, valid until the next forward pass."""
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._context, row), (self._vocab.n_tokens,))


def _context_length(model: llama_cpp.llama_model_p, config: EngineConfig) -> int:
    n_ctx_train: int = llama_cpp.llama_model_n_ctx_train(model)
    n_ctx = config.n_ctx or min(n_ctx_train, DEFAULT_N_CTX)
    if n_ctx > n_ctx_train:
        logger.warning("context of %d tokens: the model was trained for %d", n_ctx, n_ctx_train)
    return n_ctx


def _bytes_of(state: np.ndarray) -> ctypes._Pointer[ctypes.c_uint8]:
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
