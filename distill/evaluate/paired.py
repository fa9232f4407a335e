"""Two models on the same problems: how much one solves more, how sure that is, and when it cannot be told."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Literal

import numpy as np
import numpy.typing as npt

from .estimators import FEW

Outcome = Literal["better", "worse", "not enough data to tell"]
ALPHA = 0.05
_CHUNK = 500  # resamples in memory at a time


@dataclass(frozen=True)
class Difference:
    """How much higher one mean is than another on the same problems; low..high is the 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A difference over n problems, with the two-sided p-value of its having come by chance."""

    mean: float
    low: float
    high: float
    p: float
    n: int
    verdict: Outcome


def compare(ours: Sequence[float], theirs: Sequence[float], groups: Sequence[Hashable] | None = None) -> Comparison:
    """Of one share (0..1) per problem of each model, in the same order of problems.

    A verdict needs both: an interval that leaves out zero, which the bootstrap gives too readily for few problems,
    and p below 0.05, which is exact for any number.
    """
    found = paired_difference(ours, theirs, groups=groups)
    p = sign_flip_p(ours, theirs, groups)
    verdict: Outcome = "not enough data to tell"
    if p < ALPHA and found.low > 0:
        verdict = "better"
    elif p < ALPHA and found.high < 0:
        verdict = "worse"
    return Comparison(found.mean, found.low, found.high, p, len(ours), verdict)


def paired_difference(
    ours: Sequence[float],
    theirs: Sequence[float],
    n_resamples: int = 10_000,
    groups: Sequence[Hashable] | None = None,
) -> Difference:
    """Of the means of two shares per problem, in the same order of problems.

    The interval is Efron's percentile bootstrap over problems (Efron and Tibshirani 1993, chapter 13), or over
    `groups` of problems, from the same resamples each time. Where fewer than FEW (and than half) differ from the others
    it would be too narrow, or a point; then it is at least as wide as problems that differ in the extreme could make
    it, were they as common as they can be with none among those asked (the rule of three).
    """
    sums, sizes = _by_group(np.subtract(ours, theirs), groups)
    mean = float(sums.sum() / sizes.sum())
    rng = np.random.default_rng(0)
    means = []
    for start in range(0, n_resamples, _CHUNK):
        drawn = rng.integers(0, len(sums), (min(_CHUNK, n_resamples - start), len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    low, high = map(float, np.quantile(np.concatenate(means), [0.025, 0.975]))
    each = sums / sizes
    if np.count_nonzero(np.abs(each - np.median(each)) > 1e-12) < min(FEW, len(each) / 2):
        unseen = 1 - 0.025 ** (1 / len(sums))
        low, high = min(low, mean - unseen * (mean + 1)), max(high, mean + unseen * (1 - mean))
    return Difference(mean, low, high)


def sign_flip_p(ours: Sequence[float], theirs: Sequence[float], groups: Sequence[Hashable] | None = None) -> float:
    """The two-sided p-value of Fisher's permutation test for pairs (Fisher 1935, section 21): of all ways to say
    which of the two models gave which result, problem by problem, the share with a difference of means as large.

    Exact, without enumerating: shares of k samples are whole numbers over k, so the sums of signs times differences
    have few values, and their distribution is built a problem at a time. With k = 1 it is McNemar's exact test.
    """
    exact = [
        Fraction(a).limit_denominator(4096) - Fraction(b).limit_denominator(4096)
        for a, b in zip(ours, theirs, strict=True)
    ]
    totals: dict[Hashable, Fraction] = {}
    for i, difference in enumerate(exact):
        key = i if groups is None else groups[i]
        totals[key] = totals.get(key, Fraction(0)) + difference
    scale = lcm(*(total.denominator for total in totals.values()))
    steps = [int(abs(total * scale)) for total in totals.values() if total]
    observed = abs(int(sum(totals.values(), Fraction(0)) * scale))
    return _two_sided(steps, observed)


def _two_sided(steps: Sequence[int], observed: int) -> float:
    """The chance that these steps, each up or down as a fair coin falls, end at least `observed` from the start."""
    reach = sum(steps)
    chances: npt.NDArray[np.float64] = np.zeros(2 * reach + 1)
    chances[reach] = 1.0
    for step in steps:
        # a step that would leave the array has chance 0, so the wrap of roll brings nothing
        chances = (np.roll(chances, step) + np.roll(chances, -step)) / 2
    ends = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(chances[ends >= observed].sum()))


def _by_group(
    differences: npt.NDArray[np.float64], groups: Sequence[Hashable] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The sum and the size of each group; every problem is one of its own where there are none."""
    if groups is None:
        return differences, np.ones(len(differences))
    numbers: dict[Hashable, int] = {}
    index = np.array([numbers.setdefault(group, len(numbers)) for group in groups])
    return np.bincount(index, weights=differences).astype(np.float64), np.bincount(index).astype(np.float64)
