"""Examples of a corpus as padded rows of tokens, endless, in an order that a resumed run repeats."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...serve.models.templates import PAD

# Rows are padded to one of these, so that some 7 % of a batch is padding; a longer example is left out.
LENGTHS = (80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 256, 288, 320, 384)
# Number of an example -> what is given, and what is learnt from the beginning to the end of a training.
ExampleAt = Callable[[int], tuple[str, str]]


class Place(NamedTuple):
    """The first example of a pool, a multiple of its size, and how many batches of it are done."""

    example: int
    done: int = 0


@dataclass(frozen=True)
class Batch:
    """Padded rows. input_ids: (rows, length) int64; loss_from: (rows,) first position whose token is to be learnt."""

    input_ids: NDArray[np.int64]
    ends: NDArray[np.int64]
    loss_from: NDArray[np.int64]


def batches(
    example_at: ExampleAt, tokenizer: Tokenizer, start: Place, tokens: int, pool: int
) -> Iterator[tuple[Place, Batch]]:
    """Endless (where to go on behind it, batch of about `tokens` padded tokens). Rows of a pool are grouped by length,
    then shuffled by batch.
    """
    pad = tokenizer.token_to_id(PAD)
    assert pad is not None
    example, done = start
    while True:
        pairs = [example_at(index) for index in range(example, example + pool)]
        rows = sorted(_encode(tokenizer, pairs), key=lambda row: len(row[0]))
        grouped = list(_group(rows, tokens, pad))
        random.Random(example + pool).shuffle(grouped)
        for number, batch in enumerate(grouped[done:], done + 1):
            yield (Place(example, number) if number < len(grouped) else Place(example + pool, 0)), batch
        example, done = example + pool, 0


def _encode(tokenizer: Tokenizer, pairs: list[tuple[str, str]]) -> list[tuple[list[int], int]]:
    prompts = tokenizer.encode_batch_fast([p for p, _ in pairs], add_special_tokens=False)
    completions = tokenizer.encode_batch_fast([c for _, c in pairs], add_special_tokens=False)
    return [(p.ids + c.ids, len(p.ids)) for p, c in zip(prompts, completions, strict=True)]


def _group(rows: list[tuple[list[int], int]], tokens: int, pad: int) -> Iterator[Batch]:
    """Full batches only: what is left of one length is padded on to the next."""
    left: list[tuple[list[int], int]] = []
    at = 0
    for length in LENGTHS:
        while at < len(rows) and len(rows[at][0]) <= length:
            left.append(rows[at])
            at += 1
        per_batch = tokens // length
        full = len(left) - len(left) % per_batch
        for begin in range(0, full, per_batch):
            yield _pad(left[begin : begin + per_batch], length, pad)
        left = left[full:]


def _pad(rows: list[tuple[list[int], int]], length: int, pad: int) -> Batch:
    ids = np.full((len(rows), length), pad, dtype=np.int64)
    for row, (tokens, _) in zip(ids, rows, strict=True):
        row[: len(tokens)] = tokens
    ends = np.array([len(tokens) for tokens, _ in rows], dtype=np.int64)
    return Batch(ids, ends, np.array([begin for _, begin in rows], dtype=np.int64))
