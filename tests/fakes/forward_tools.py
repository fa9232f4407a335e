"""Short ways to run a real model's forward passes without an engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from recording_runner import RecordingRunner

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.model_runner import ModelRunner
from r1chat.serve.engine.sequence import Sequence

OpenModel = Callable[..., RecordingRunner]


def made_up(n: int, salt: int = 0) -> list[int]:
    """Tokens below 256, which every vocabulary has."""
    return [(31 * i + 97 * salt + i * i % 13) % 256 for i in range(n)]


def placed(seq_id: int, tokens: list[int], *, deterministic: bool = False) -> Sequence:
    return Sequence(f"r{seq_id}", list(tokens), 100_000, seq_id=seq_id, deterministic=deterministic)


def batch_of(*sequences: Sequence, n_idle: int = 0) -> Batch:
    """All uncomputed tokens of each."""
    batch = Batch(n_idle=n_idle)
    for sequence in sequences:
        batch.add(sequence, sequence.n_uncomputed)
    return batch


def compute(runner: ModelRunner, *sequences: Sequence, n_idle: int = 0) -> Batch:
    batch = batch_of(*sequences, n_idle=n_idle)
    runner.forward(batch)
    for sequence in sequences:
        sequence.n_computed = len(sequence.tokens)
    return batch


def last_logits(runner: RecordingRunner, *sequences: Sequence, n_idle: int = 0) -> list[np.ndarray]:
    """Of the newest token of each, all computed in one batch."""
    rows = [chunk.row + chunk.n_rows - 1 for chunk in batch_of(*sequences).chunks]
    compute(runner, *sequences, n_idle=n_idle)
    return [runner.logits(row).copy() for row in rows]


def logits_along(runner: RecordingRunner, sequence: Sequence, tokens: list[int], n_idle: int = 0) -> np.ndarray:
    """Of each of `tokens`, appended and computed one by one."""
    rows = []
    for token in tokens:
        sequence.tokens.append(token)
        rows += last_logits(runner, sequence, n_idle=n_idle)
    return np.array(rows)
