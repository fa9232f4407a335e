"""Which rows each step of a training reads, and how they are cut into micro-batches. Decided before the first step,
so that a training that goes on reads what it had not, whatever interrupted it, and on however many processes.
"""

from __future__ import annotations

from math import ceil

import numpy as np


def epochs_read(n_rows: float, batch_size: int, epochs: float, max_steps: int | None) -> float:
    """How often each row is read."""
    return epochs if max_steps is None else max_steps * batch_size / n_rows


def draw_steps(n_rows: int, batch_size: int, epochs: float, max_steps: int | None, seed: int) -> list[np.ndarray]:
    """The rows of every step. Each epoch is all rows in an order of its own; `max_steps` goes before `epochs`.

    Rows of like length are not put together here: a step of short rows only would be one-sided.
    """
    total = max_steps * batch_size if max_steps is not None else max(1, round(n_rows * epochs))
    passes = [np.random.default_rng([seed, epoch]).permutation(n_rows) for epoch in range(ceil(total / n_rows))]
    stream = np.concatenate(passes)[:total]
    return [stream[at : at + batch_size] for at in range(0, total, batch_size)]


def micro_batches(rows: np.ndarray, lengths: np.ndarray, budget: int, world: int) -> list[list[np.ndarray]]:
    """A step's rows for each of `world` processes, in micro-batches of like length and at most `budget` tokens once
    the shorter rows are filled up; a longer row stands alone. All processes get as many, because they wait for
    each other; where there are fewer rows than processes, some micro-batches are empty.
    """
    longest_first = rows[np.argsort(-lengths[rows], kind="stable")]
    groups = _groups(longest_first, lengths, budget)
    while len(groups) % world:
        groups = _split_largest(groups, lengths)
    groups.sort(key=lambda group: -_tokens(group, lengths))
    return [groups[rank::world] for rank in range(world)]


def _groups(longest_first: np.ndarray, lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    groups, start = [], 0
    while start < len(longest_first):
        count = max(1, budget // int(lengths[longest_first[start]]))
        groups.append(longest_first[start : start + count])
        start += count
    return groups


def _split_largest(groups: list[np.ndarray], lengths: np.ndarray) -> list[np.ndarray]:
    splittable = [index for index, group in enumerate(groups) if len(group) > 1]
    if not splittable:
        return [*groups, np.zeros(0, dtype=np.int64)]
    largest = max(splittable, key=lambda index: _tokens(groups[index], lengths))
    group = groups.pop(largest)
    return [*groups, group[: len(group) // 2], group[len(group) // 2 :]]


def _tokens(group: np.ndarray, lengths: np.ndarray) -> int:
    return len(group) * int(lengths[group].max()) if len(group) else 0
