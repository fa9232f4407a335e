"""A llama_batch in numpy columns, and how a batch's chunks become its rows."""

from __future__ import annotations

import ctypes

import llama_cpp
import numpy as np

from ..batch import Batch


class Rows:
    """Up to `n_max` rows. Idle ones are tokens 0 of the sequence `scratch`, from its first position on."""

    def __init__(self, n_max: int, *, scratch: int) -> None:
        self._scratch = scratch
        self._token = np.zeros(n_max, np.int32)
        self._position = np.zeros(n_max, np.int32)
        self._n_seq_id = np.ones(n_max, np.int32)
        self._seq_id = np.zeros(n_max, np.int32)
        self._logits = np.zeros(n_max, np.int8)
        addresses = self._seq_id.ctypes.data + self._seq_id.itemsize * np.arange(n_max, dtype=np.uintp)
        self._seq_id_pointers = addresses.astype(np.uintp)
        self.batch = self._new_batch()

    def fill(self, batch: Batch, n_idle: int) -> None:
        n_rows = batch.n_rows + n_idle
        assert 0 < n_rows <= len(self._token), "llama.cpp aborts on more rows than n_batch"
        self._logits[:n_rows] = 0
        for chunk in batch.chunks:
            rows = slice(chunk.row, chunk.row + chunk.n_rows)
            self._token[rows] = chunk.tokens
            self._position[rows] = np.arange(chunk.start, chunk.start + chunk.n_rows)
            self._seq_id[rows] = chunk.sequence.seq_id
            outputs = chunk.logit_rows
            self._logits[outputs.start : outputs.stop] = 1
        self._fill_idle(batch.n_rows, n_rows)
        self.batch.n_tokens = n_rows

    def fill_made_up(self, n_rows: int, n_outputs: int) -> None:
        """Idle rows only, the last `n_outputs` of them with logits."""
        assert 0 < n_rows <= len(self._token)
        self._fill_idle(0, n_rows)
        self._logits[:n_rows] = 0
        self._logits[n_rows - n_outputs : n_rows] = 1
        self.batch.n_tokens = n_rows

    def _fill_idle(self, start: int, stop: int) -> None:
        self._token[start:stop] = 0
        self._position[start:stop] = np.arange(stop - start)
        self._seq_id[start:stop] = self._scratch

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
