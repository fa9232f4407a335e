"""Draws a token from a row of logits: llama.cpp's cuts, found with a few passes over the vocabulary.

Every cut keeps a beginning of the tokens as sorted by logit, so none needs the whole row sorted: a sample
of the row tells where the border must lie, and only what lies above it is looked at. Knows numpy only.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import InvalidRequestError
from .request import SamplingParams

# As many logits tell where the others lie.
_SAMPLE = 2048
# Room for the sample's error: were the tail underestimated, the whole row would have to be sorted.
_TAIL_SHARE = 0.8
_BLOCK = 512


class Scratch:
    """Two rows of float32 that all samplers of one thread share: `row` for changed logits, `mass` for weights."""

    def __init__(self, n_vocab: int) -> None:
        self.row = np.empty(n_vocab, np.float32)
        self.mass = np.empty(n_vocab, np.float32)


class Draw:
    """One request's draws. Each takes one number from its generator, however many tokens it chooses among:
    so a seed gives the same tokens with drafts and without.
    """

    def __init__(self, params: SamplingParams, scratch: Scratch) -> None:
        # llama.cpp's samplers take these as float32
        self._temperature, self._top_p = np.float32(params.temperature), float(np.float32(params.top_p))
        self._top_k, self._min_p = params.top_k, params.min_p
        self._mass = scratch.mass
        self._random = np.random.Generator(np.random.PCG64(None if params.seed is None else params.seed % (1 << 64)))

    def __call__(self, row: np.ndarray) -> int:
        """The token. `row`: float32 [n_vocab], its greatest finite."""
        if self._temperature <= 0:
            return int(row.argmax())
        # in (0, 1]: a token without weight never reaches it first
        share = 1.0 - self._random.random()
        greatest = row.max()
        tokens = self.candidates(row, greatest)
        logits = row if tokens is None else row[tokens]
        weights = np.subtract(logits, greatest, out=self._mass[: len(logits)])
        # a tiny temperature sends all but the best to -inf, which is right
        with np.errstate(over="ignore"):
            weights /= self._temperature
        np.exp(weights, out=weights)
        index = first_reaching(weights, share * float(weights.sum(dtype=np.float64)))
        return index if tokens is None else int(tokens[index])

    def among(self, allowed: np.ndarray, row: np.ndarray) -> int:
        """The token, as if there were none but `allowed` (ids, ascending): cuts and temperature see those only.

        What is allowed alone is no draw and takes no number, so that it may as well be put there without one.
        Raises InvalidRequestError where all of them are forbidden.
        """
        if len(allowed) == 1:
            return int(allowed[0])
        logits = row[allowed]
        if not len(logits) or logits.max() == -np.inf:
            raise InvalidRequestError("The answer's form leaves no token to go on with.", param="response_format")
        return int(allowed[self(logits)])

    def candidates(self, row: np.ndarray, greatest: np.float32) -> np.ndarray | None:
        """The tokens that the cuts leave, in order of id; None: all of them. Of equals the first ids stay."""
        tokens = largest(row, self._top_k) if 0 < self._top_k < len(row) else None
        if self._top_p < 1:
            logits = row if tokens is None else row[tokens]
            inside = nucleus(logits, greatest, self._top_p, self._mass[: len(logits)])
            tokens = inside if tokens is None else tokens[inside]
        if self._min_p > 0:
            floor = greatest + np.float32(min(0.0, math.log(self._min_p)))
            tokens = np.flatnonzero(row >= floor) if tokens is None else tokens[row[tokens] >= floor]
        return tokens


def largest(logits: np.ndarray, k: int) -> np.ndarray:
    """Indices of the `k` largest, ascending."""
    sample = _sorted_sample(logits)
    # twice as many, and four of the sample, are expected above it
    rank = 2 * k * len(sample) // len(logits) + 4
    above = np.flatnonzero(logits >= sample[-rank]) if rank < len(sample) else np.empty(0, np.intp)
    if len(above) < k:
        above = np.arange(len(logits))
    values = logits[above]
    border = np.partition(values, len(values) - k)[len(values) - k]
    return above[_at_least(values, border, k)]


def nucleus(logits: np.ndarray, greatest: np.float32, top_p: float, mass: np.ndarray) -> np.ndarray:
    """Indices of the fewest largest whose probabilities reach `top_p` together, ascending; at least one.

    `mass` is overwritten with exp(logits - greatest).
    """
    np.subtract(logits, greatest, out=mass)
    np.exp(mass, out=mass)
    total = float(mass.sum(dtype=np.float64))
    target = top_p * total
    # what has no probability is never needed
    for cut in (_tail_border(logits, greatest, total - target), np.finfo(np.float32).min):
        above = np.flatnonzero(logits >= cut)
        values = logits[above]
        descending = np.sort(values)[::-1]
        weights = np.exp(descending - greatest)
        if weights.sum(dtype=np.float64) >= target:
            break
    n = first_reaching(weights, target) + 1
    return above[_at_least(values, descending[n - 1], n)]


def first_reaching(weights: np.ndarray, target: float) -> int:
    """The first index at which the sum so far is `target`; where rounding keeps it below, the last with weight."""
    start = 0
    if len(weights) > 4 * _BLOCK:
        blocks = np.add.reduceat(weights, np.arange(0, len(weights), _BLOCK), dtype=np.float64).cumsum()
        block = _first_reached(blocks, target)
        start, target = block * _BLOCK, target - (float(blocks[block - 1]) if block else 0.0)
        weights = weights[start : start + _BLOCK]
    return start + _first_reached(weights.cumsum(dtype=np.float64), target)


def _first_reached(sums: np.ndarray, target: float) -> int:
    return int(min(sums.searchsorted(target), sums.searchsorted(sums[-1])))


def _sorted_sample(logits: np.ndarray) -> np.ndarray:
    return np.sort(logits[:: max(1, len(logits) // _SAMPLE)])


def _tail_border(logits: np.ndarray, greatest: np.float32, room: float) -> np.float32:
    """A logit below which, as far as the sample knows, lies less than `room` of the mass."""
    sample = _sorted_sample(logits)
    tails = np.exp(sample - greatest).cumsum(dtype=np.float64) * (len(logits) / len(sample))
    return max(sample[min(int(tails.searchsorted(_TAIL_SHARE * room)), len(sample) - 1)], np.finfo(np.float32).min)


def _at_least(values: np.ndarray, border: np.float32, n: int) -> np.ndarray:
    """Indices of the `n` largest, whose smallest is `border`: of its equals the first."""
    chosen = np.flatnonzero(values >= border)
    if surplus := len(chosen) - n:
        chosen = np.delete(chosen, np.flatnonzero(values[chosen] == border)[-surplus:])
    return chosen
