"""TransformersModelRunner: a Hugging Face folder (Qwen2, Qwen3, Llama) on torch, quantised by bitsandbytes or not.

Rows of all sequences go through the model's matrices together, as one packed row; only attention takes each
sequence by itself, over its own cells of one cache (packed_attention.py). So weights are read once a step,
nothing is padded, and a sequence's numbers depend on no other's beyond the rounding of matrix products.
"""

from __future__ import annotations

import logging
from threading import Event
from time import perf_counter
from typing import Any

import numpy as np
import torch

from ...errors import ModelLoadError, NonFiniteLogitsError, NotEnoughMemoryError
from ..batch import Batch, Chunk
from ..config import EngineConfig
from ..cores import default_threads
from ..draw import Scratch
from ..host_memory import available_memory
from ..model_runner import InvalidBatchError, KVFullError
from ..request import ModelInfo, SamplingParams
from ..sampler import RowSampler, check_finite
from .cell_runs import CellRuns, Run
from .model import Loaded, load
from .packed_attention import KeysAndValues, PackedStep, Span, causal_mask
from .vocab import TransformersVocab

logger = logging.getLogger(__name__)

_PIECE_ROWS = 64
_CONTEXTS = (32_768, 16_384, 8192)
# A GPU's memory is there for this; on a CPU others want some, too.
_POOL_BYTES = {"cpu": 1 << 30, "cuda": 1 << 40}
_POOL_SHARE = {"cpu": 4, "cuda": 2}


class TransformersModelRunner:
    """`runner_args`: quantization "none", "nf4" or "int8"; device "auto", "cpu" or "cuda". Raises ModelLoadError.

    Owned by one thread. Rows are never said to be deterministic: torch chooses its products by their number of
    rows, and rounds accordingly.
    """

    def __init__(self, config: EngineConfig) -> None:
        began = perf_counter()
        if config.model_path is None:
            raise ModelLoadError("There is no model folder.")
        if config.kv_type != "f16":
            raise ModelLoadError("The transformers engine keeps keys and values as they are computed: --kv-type f16")
        self._loaded = load(config.model_path, **config.runner_args)
        self._vocab = TransformersVocab(config.model_path, self._loaded.config.vocab_size, self._loaded.ends)
        self._row_buffers = Scratch(self._vocab.n_tokens)
        self.n_resident = max(config.n_resident, config.n_seq_max + 1)
        # one id more, for rows that are nobody's
        self._scratch = self.n_resident
        self._memory, self.n_cells, n_ctx = _new_memory(self._loaded, config)
        self._cells = CellRuns(self.n_cells)
        self.n_batch = min(config.n_batch, self.n_cells)
        self.piece_rows = min(_PIECE_ROWS, self.n_batch)
        self._interrupted = Event()
        self._logits = np.empty((0, self._vocab.n_tokens), np.float32)
        self._row_of: dict[int, int] = {}
        n_threads = config.n_threads or default_threads(self._loaded.n_params)
        self.set_threads(n_threads)
        self._warm_up()
        self.info = self._describe(config, n_ctx, n_threads, began)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        return self._vocab.tokenize(text, special=special)

    def piece(self, token: int) -> bytes:
        return self._vocab.piece(token)

    def token_text(self, token: int) -> bytes:
        return self._vocab.token_text(token)

    def is_end(self, token: int) -> bool:
        return self._vocab.is_end(token)

    def make_sampler(self, params: SamplingParams, prompt: list[int]) -> RowSampler:
        return RowSampler(self.logits, self._vocab.n_tokens, params, prompt, self._row_buffers)

    def logits(self, row: int) -> np.ndarray:
        """Of a row of the last batch that was to have them, float32 [n_vocab]; valid until the next forward pass."""
        return self._logits[self._row_of[row]]

    def forward(self, batch: Batch) -> None:
        self._interrupted.clear()
        for chunk in batch.chunks:
            self._check(chunk)
        if batch.n_rows > self._cells.n_free:
            raise KVFullError("The cache has no room for the batch.")
        tokens = [token for chunk in batch.chunks for token in chunk.tokens] + [0] * batch.n_idle
        positions = [position for chunk in batch.chunks for position in _positions(chunk)] + [0] * batch.n_idle
        outputs = [row for chunk in batch.chunks for row in chunk.logit_rows]
        try:
            self._compute(self._step(batch), tokens, positions, outputs)
        except BaseException as error:
            for chunk in batch.chunks:
                self._cells.truncate(chunk.sequence.seq_id, chunk.start)
            if isinstance(error, torch.OutOfMemoryError):
                torch.cuda.empty_cache()
                raise KVFullError("The GPU has no room for the batch.") from error
            raise

    def interrupt(self) -> None:
        self._interrupted.set()

    def n_computed(self, seq_id: int) -> int:
        return self._cells.length(seq_id)

    def remove(self, seq_id: int, start: int) -> None:
        self._cells.truncate(seq_id, start)

    def copy(self, source: int, target: int, n_tokens: int) -> None:
        assert not self.n_computed(target), "the target of a copy must be empty"
        self._cells.share(source, target, n_tokens)

    def save(self, seq_id: int) -> np.ndarray:
        if not self.n_computed(seq_id):
            return np.empty(0, np.uint8)
        return self._memory.take_out(self._cells.of(seq_id))

    def restore(self, seq_id: int, state: np.ndarray) -> bool:
        assert not self.n_computed(seq_id), "what is restored must be empty"
        n_tokens, rest = divmod(state.nbytes, self._memory.cell_bytes)
        if rest or not n_tokens or n_tokens > self._cells.n_free:
            logger.debug("a state of %d bytes was not restored", state.nbytes)
            return False
        self._memory.put_back(self._cells.extend(seq_id, n_tokens), state)
        return True

    def time_rows(self, n_rows: int, n_outputs: int) -> float:
        self._interrupted.clear()
        new = self._cells.extend(self._scratch, n_rows)
        span = Span(slice(0, n_rows), new, causal_mask(0, n_rows, self._loaded.device))
        step = PackedStep(self._memory, self._indices(new), [span], self._interrupted)
        began = perf_counter()
        try:
            self._compute(step, [0] * n_rows, list(range(n_rows)), list(range(n_rows - n_outputs, n_rows)))
        finally:
            self._cells.truncate(self._scratch, 0)
        return perf_counter() - began

    def set_threads(self, n_threads: int) -> None:
        torch.set_num_threads(n_threads)

    def close(self) -> None:
        del self._loaded, self._memory
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def _check(self, chunk: Chunk) -> None:
        """An unknown token would be the end of a CUDA context."""
        if chunk.start != self.n_computed(chunk.sequence.seq_id):
            raise InvalidBatchError("A chunk does not follow what its sequence holds.")
        if not all(0 <= token < self._vocab.n_tokens for token in chunk.tokens):
            raise InvalidBatchError("A token is none of this model's.")

    def _step(self, batch: Batch) -> PackedStep:
        """Gives the rows their cells."""
        cells: list[Run] = []
        spans = []
        for chunk in batch.chunks:
            seq_id = chunk.sequence.seq_id
            cells += self._cells.extend(seq_id, chunk.n_rows)
            mask = causal_mask(chunk.start, chunk.n_rows, self._loaded.device)
            spans.append(Span(slice(chunk.row, chunk.row + chunk.n_rows), list(self._cells.of(seq_id)), mask))
        return PackedStep(self._memory, self._indices(cells), spans, self._interrupted)

    def _indices(self, runs: list[Run]) -> torch.Tensor:
        return torch.cat([torch.arange(start, stop) for start, stop in runs]).to(self._loaded.device)

    def _compute(self, step: PackedStep, tokens: list[int], positions: list[int], outputs: list[int]) -> None:
        """Also waits for a GPU, by asking for the logits."""
        device = self._loaded.device
        with torch.inference_mode():
            result = self._loaded.model(
                input_ids=torch.tensor([tokens], device=device),
                position_ids=torch.tensor([positions], device=device),
                use_cache=False,
                logits_to_keep=torch.tensor(outputs, dtype=torch.long, device=device),
                r1chat_step=step,
            )
            self._logits = result.logits[0].float().cpu().numpy()
        if not outputs and device.type == "cuda":
            torch.cuda.synchronize(device)
        self._row_of = {row: index for index, row in enumerate(outputs)}

    def _warm_up(self) -> None:
        """Reads the weights in before anyone waits, and refuses those that compute nothing."""
        try:
            self.time_rows(1, 1)
            check_finite(self.logits(0))
        except NonFiniteLogitsError as error:
            raise ModelLoadError(str(error)) from None
        except Exception as error:  # whatever torch and bitsandbytes have against a shape
            raise ModelLoadError(f"The model loads but cannot be run ({error}).") from error

    def _describe(self, config: EngineConfig, n_ctx: int, n_threads: int, began: float) -> ModelInfo:
        loaded = self._loaded
        quantization = config.runner_args.get("quantization", "none")
        numbers = str(loaded.dtype).removeprefix("torch.") if quantization == "none" else quantization
        return ModelInfo(
            path=str(config.model_path),
            architecture=loaded.config.model_type,
            description=f"{loaded.config.model_type} {loaded.n_params / 1e9:.2f}B {numbers}",
            n_params=loaded.n_params,
            n_ctx=n_ctx,
            n_ctx_train=loaded.config.max_position_embeddings,
            n_vocab=self._vocab.n_tokens,
            n_seq_max=config.n_seq_max,
            bos_token=self._vocab.bos,
            eos_token=self._vocab.eos,
            chat_template=self._vocab.chat_template,
            gpu_offload=loaded.device.type == "cuda",
            n_threads=n_threads,
            load_s=perf_counter() - began,
            engine="transformers",
        )


def _positions(chunk: Chunk) -> range:
    return range(chunk.start, chunk.start + chunk.n_rows)


def _new_memory(loaded: Loaded, config: EngineConfig) -> tuple[KeysAndValues, int, int]:
    """The cache, how many cells it has, and the context: what was asked for, or what fits.

    Contexts are of 32k tokens, 16k or 8k, no more than the model was trained for; cells, a full context for each
    running request as far as memory goes. Raises NotEnoughMemoryError.
    """
    shape: dict[str, Any] = {
        "n_layers": loaded.config.num_hidden_layers,
        "n_heads": loaded.config.num_key_value_heads,
        "width": getattr(loaded.config, "head_dim", None)
        or loaded.config.hidden_size // loaded.config.num_attention_heads,
    }
    kind = loaded.device.type
    free = available_memory() if kind == "cpu" else torch.cuda.mem_get_info(loaded.device)[0]
    cell_bytes = 2 * shape["n_layers"] * shape["n_heads"] * shape["width"] * loaded.dtype.itemsize
    by_memory = config.n_cells or min(_POOL_BYTES[kind], free // _POOL_SHARE[kind]) // cell_bytes
    n_ctx = config.n_ctx or _context(loaded.config.max_position_embeddings, by_memory)
    n_cells = config.n_cells or max(n_ctx, min(n_ctx * config.n_seq_max, by_memory))
    if n_cells * cell_bytes > free:
        raise NotEnoughMemoryError(
            f"A cache of {n_cells} tokens needs {n_cells * cell_bytes / 1e9:.1f} GB and {free / 1e9:.1f} GB are free. "
            "Take a smaller one: r1chat serve --ctx 4096",
            needed=n_cells * cell_bytes,
            available=free,
        )
    return KeysAndValues(n_cells, dtype=loaded.dtype, device=loaded.device, **shape), n_cells, min(n_ctx, n_cells)


def _context(trained: int, n_cells: int) -> int:
    fitting = (n_ctx for n_ctx in _CONTEXTS if n_ctx <= n_cells)
    return min(trained, next(fitting, _CONTEXTS[-1]))
