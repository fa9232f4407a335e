"""Tries whether a model's rows come out the same whatever else is in the batch. Runs at load, on an empty cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .batch import Batch
from .sequence import Sequence

if TYPE_CHECKING:
    from .model_runner import ModelRunner

GROUPS = (2, 4, 8, 16)
N_PREFIX = 16
_PIECES = (7, 9)


def rows_are_invariant(runner: ModelRunner, logits: Callable[[int], np.ndarray]) -> bool:
    """One sequence alone, its prompt in two pieces, against the same among others, its prompt in one.

    `logits(row)` are those of the last forward pass. Takes some 60 rows' time.
    """
    if runner.n_batch < N_PREFIX:
        return False
    alone = _sequence(0)
    for n_rows in _PIECES:
        _compute(runner, [alone], n_rows)
    alone.tokens.append(_token(0, N_PREFIX))
    _compute(runner, [alone], 1)
    expected = logits(0).copy()
    runner.remove(0, 0)
    _compute(runner, [_sequence(0)], N_PREFIX)
    same = all(_same_among(runner, logits, n, expected) for n in GROUPS if n <= runner.n_resident)
    runner.remove(0, 0)
    return bool(np.isfinite(expected).all()) and same


def _same_among(
    runner: ModelRunner, logits: Callable[[int], np.ndarray], n_sequences: int, expected: np.ndarray
) -> bool:
    """Sequence 0, which holds the prefix, in a batch of `n_sequences`, all on it and with other newest tokens."""
    sequences = [_sequence(seq_id) for seq_id in range(n_sequences)]
    for sequence in sequences:
        if sequence.seq_id:
            runner.copy(0, sequence.seq_id, N_PREFIX)
        sequence.n_computed = N_PREFIX
        sequence.tokens.append(_token(sequence.seq_id, N_PREFIX))
    _compute(runner, sequences, 1)
    same = bool(np.array_equal(logits(0), expected))
    for sequence in sequences:
        runner.remove(sequence.seq_id, 0 if sequence.seq_id else N_PREFIX)
    return same


def _compute(runner: ModelRunner, sequences: list[Sequence], n_rows: int) -> None:
    batch = Batch()
    for sequence in sequences:
        batch.add(sequence, n_rows)
    runner.forward(batch)
    for sequence in sequences:
        sequence.n_computed += n_rows


def _sequence(seq_id: int) -> Sequence:
    tokens = [_token(0, position) for position in range(N_PREFIX)]
    return Sequence(f"probe {seq_id}", tokens, 2 * N_PREFIX, seq_id=seq_id, deterministic=True)


def _token(salt: int, position: int) -> int:
    """Any will do, as long as they differ; the smallest vocabularies have 256."""
    return (97 * salt + 31 * position + 7) % 256
