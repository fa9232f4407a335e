"""What k samples of each of n problems say of a model. Samples of one problem are not independent, so a problem
counts as one observation: every interval is over problems, or over groups of problems that share a template.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import prod, sqrt

Z_95 = 1.959964
FEW = 10  # problems
# Student's t in its place, where the variance is told from 2, 3, ... 31 observations; of more it is as good as known
_T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def pass_at_k(n_right: int, n: int, k: int) -> float:
    """The chance that of k of these n samples, drawn without replacement, one at least is right.

    1 - C(n - n_right, k) / C(n, k), as a product so that nothing overflows; unbiased for what k fresh samples
    would solve (Chen et al. 2021, "Evaluating Large Language Models Trained on Code"). Needs 1 <= k <= n.
    """
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} cannot be told from {n} samples")
    if n - n_right < k:
        return 1.0
    return 1.0 - prod(1.0 - k / i for i in range(n - n_right + 1, n + 1))


def cons_at_k(classes: Sequence[Hashable | None], right: Hashable) -> float:
    """Whether the commonest answer of a problem's samples is right: 1 or 0, and among equals the right one's share.

    `classes` has for each sample the class of equivalent answers it fell into, None where it gave no answer, which
    is no vote; `right` is the class of the right answers.
    """
    votes = Counter(found for found in classes if found is not None)
    most = max(votes.values(), default=0)
    winners = [found for found, n in votes.items() if n == most]
    return 1 / len(winners) if right in winners else 0.0


def interval(shares: Sequence[float], groups: Sequence[Hashable] | None = None) -> tuple[float, float]:
    """The 95 % interval of the mean of one share (0..1) per problem.

    Wilson's (1927), with n scaled so that it has the variance that the problems, or the sums of `groups` of
    problems that are not independent, show; few of them tell it badly, and then it is wider by Student's t. Where
    all agree (no variance) plain n, or the number of groups, is used, so it never shrinks to a point; and where fewer
    than FEW (and than half) are not all right, or not all wrong, n is never taken for more than that, because so few
    tell nothing of those that were not met.
    """
    n = len(shares)
    mean = sum(shares) / n
    deviations: dict[Hashable, float] = {}
    for i, share in enumerate(shares):
        key = i if groups is None else groups[i]
        deviations[key] = deviations.get(key, 0.0) + share - mean
    m = len(deviations)
    # of the mean: the sum of squared group totals, with the correction for few groups
    variance = sum(total**2 for total in deviations.values()) / n**2 * m / max(1, m - 1)
    spread = mean * (1 - mean)
    wider = _T_95[m - 2] / Z_95 if 2 <= m <= len(_T_95) + 1 else 1.0
    effective = spread / variance / wider**2 if variance > 1e-12 and spread > 0 else float(m)
    keys = range(n) if groups is None else groups
    not_right, not_wrong = ({key for key, share in zip(keys, shares, strict=True) if share != end} for end in (1, 0))
    if min(len(not_right), len(not_wrong)) < min(FEW, m / 2):
        effective = min(effective, float(m))
    return _wilson(mean, effective)


def _wilson(mean: float, n: float) -> tuple[float, float]:
    z2 = Z_95**2
    centre = (mean + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 * sqrt(mean * (1 - mean) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)
