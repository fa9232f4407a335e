"""The estimators against brute force: every subset, every sign, and intervals that are simulated."""

from __future__ import annotations

import random
from itertools import combinations, product
from math import comb

import pytest

from r1chat.distill.evaluate.estimators import cons_at_k, interval, pass_at_k
from r1chat.distill.evaluate.paired import compare, paired_difference, sign_flip_p

SIZES = [(n, n_right, k) for n in (1, 2, 5, 8) for n_right in range(n + 1) for k in range(1, n + 1)]


@pytest.mark.parametrize(("n", "n_right", "k"), SIZES)
def test_pass_at_k_is_the_share_of_all_subsets_that_hold_a_right_sample(n: int, n_right: int, k: int) -> None:
    samples = [i < n_right for i in range(n)]
    subsets = list(combinations(samples, k))
    assert pass_at_k(n_right, n, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_keeps_its_digits_where_binomials_overflow() -> None:
    n, n_right, k = 20_000, 3, 5_000
    exact = 1 - comb(n - n_right, k) / comb(n, k)  # whole numbers of any size
    assert pass_at_k(n_right, n, k) == pytest.approx(exact, rel=1e-9)


def test_pass_at_1_is_the_share_of_right_samples() -> None:
    assert pass_at_k(3, 8, 1) == pytest.approx(3 / 8)


@pytest.mark.parametrize("k", [0, 5])
def test_more_samples_than_were_drawn_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"pass@{k} cannot be told from 4 samples"):
        pass_at_k(2, 4, k)


def test_the_vote_counts_equal_answers_and_a_tie_by_its_share() -> None:
    assert cons_at_k(["right", "a", "right", "b"], "right") == 1
    assert cons_at_k(["right", "a", "a"], "right") == 0
    assert cons_at_k(["right", "a", "b"], "right") == pytest.approx(1 / 3)
    assert cons_at_k(["right", "right", "a", "a", None], "right") == 0.5


@pytest.mark.parametrize("turned", [False, True])
def test_an_interval_near_the_end_grows_with_the_first_wrong_answers(turned: bool) -> None:
    """Few that are not all right say next to nothing of those that were not met."""

    def bounds(shares: list[float]) -> tuple[float, float]:
        low, high = interval([1 - share if turned else share for share in shares])
        return (1 - high, 1 - low) if turned else (low, high)

    perfect, nearly, less = ([1.0] * 200, [1.0] * 199 + [0.75], [1.0] * 195 + [0.75] * 5)
    assert bounds(less)[0] < bounds(nearly)[0] <= bounds(perfect)[0] < 0.99


def test_an_interval_covers_a_share_of_problems_that_nothing_solves() -> None:
    rng = random.Random(1)
    missed = 0
    for _ in range(300):
        chances = [0.0 if rng.random() < 0.02 else 0.99 for _ in range(40)]
        low, high = interval([sum(rng.random() < p for _ in range(8)) / 8 for p in chances])
        missed += not low <= 0.98 * 0.99 <= high
    assert missed / 300 < 0.08


def test_of_few_problems_that_differ_the_difference_is_told_with_care() -> None:
    ours, theirs = [1.0] * 240, [1.0] * 239 + [0.0]
    found = paired_difference(ours, theirs)
    assert found.low < 0 < found.high


def test_no_answer_is_no_vote() -> None:
    assert cons_at_k([None, None, None, "right"], "right") == 1
    assert cons_at_k([None, None], "right") == 0


def flipped(ours: list[float], theirs: list[float]) -> float:
    """The p-value by trying every way to give each problem's two results to the two models."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    observed = abs(sum(differences)) - 1e-9
    ways = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(way >= observed for way in ways) / len(ways)


@pytest.mark.parametrize("k", [1, 2, 4, 7])
def test_the_p_value_is_that_of_all_sign_flips(k: int) -> None:
    rng = random.Random(k)
    for _ in range(20):
        ours = [rng.randint(0, k) / k for _ in range(9)]
        theirs = [rng.randint(0, k) / k for _ in range(9)]
        assert sign_flip_p(ours, theirs) == pytest.approx(flipped(ours, theirs))


def test_the_p_value_of_models_with_different_numbers_of_samples_is_exact_too() -> None:
    rng = random.Random(9)
    ours = [rng.randint(0, 4) / 4 for _ in range(10)]
    theirs = [rng.randint(0, 3) / 3 for _ in range(10)]
    assert sign_flip_p(ours, theirs) == pytest.approx(flipped(ours, theirs))


def test_with_one_sample_each_the_p_value_is_mcnemars() -> None:
    won, lost, drawn = 10, 2, 30
    ours = [1.0] * won + [0.0] * lost + [1.0] * drawn
    theirs = [0.0] * won + [1.0] * lost + [1.0] * drawn
    assert sign_flip_p(ours, theirs) == pytest.approx(2 * (1 + 12 + 66) / 4096)


def test_groups_flip_together() -> None:
    ours, theirs = [1.0, 1.0, 0.0, 1.0, 0.5, 0.5], [0.0, 0.0, 1.0, 0.5, 0.0, 0.5]
    groups = ["a", "a", "a", "b", "b", "c"]
    totals = [1.0, 1.0, 0.0]  # of the differences, group by group
    assert sign_flip_p(ours, theirs, groups) == pytest.approx(flipped(totals, [0.0] * 3))


def test_a_verdict_needs_data() -> None:
    assert compare([1.0, 1.0], [0.0, 0.0]).verdict == "not enough data to tell"  # p = 1/2, however wide the gap
    assert compare([1.0] * 12, [0.0] * 12).verdict == "better"
    assert compare([0.0] * 12, [1.0] * 12).verdict == "worse"
    assert compare([0.5] * 50, [0.5] * 50).verdict == "not enough data to tell"
    assert compare([0.5] * 50, [0.5] * 50).p == 1


@pytest.mark.slow
def test_equal_models_are_told_apart_no_more_often_than_one_time_in_twenty() -> None:
    rng = random.Random(3)
    verdicts = []
    for _ in range(300):
        chances = [rng.betavariate(2, 2) for _ in range(40)]
        ours, theirs = ([sum(rng.random() < c for _ in range(4)) / 4 for c in chances] for _ in range(2))
        verdicts.append(compare(ours, theirs).verdict)
    assert sum(verdict != "not enough data to tell" for verdict in verdicts) / 300 <= 0.08


def cluster(rng: random.Random, size: int) -> list[float]:
    """Problems of one template: solved together or not at all, mostly."""
    easy = rng.random() < 0.7
    return [float(rng.random() < (0.95 if easy else 0.05)) for _ in range(size)]


def test_over_families_the_interval_covers_where_over_problems_it_does_not() -> None:
    rng = random.Random(4)
    truth = 0.7 * 0.95 + 0.3 * 0.05
    hits = {"problems": 0, "families": 0}
    for _ in range(300):
        shares = [(share, family) for family in range(30) for share in cluster(rng, 10)]
        values, groups = [share for share, _ in shares], [family for _, family in shares]
        for name, chosen in (("problems", None), ("families", groups)):
            low, high = interval(values, chosen)
            hits[name] += low <= truth <= high
    assert hits["families"] / 300 >= 0.91
    assert hits["problems"] / 300 <= 0.75


def test_the_interval_covers_where_families_are_few() -> None:
    rng = random.Random(8)
    groups = [family for family in range(4) for _ in range(50)]
    hits = 0
    for _ in range(400):
        chances = [min(0.95, max(0.05, rng.gauss(0.5, 0.15))) for _ in range(4)]
        low, high = interval([float(rng.random() < chances[family]) for family in groups], groups)
        hits += low <= 0.5 <= high
    assert 0.92 <= hits / 400 <= 0.99


def test_a_paired_interval_over_families_covers_the_truth() -> None:
    rng = random.Random(5)
    hits = 0
    for _ in range(150):
        gains = [(rng.gauss(0.1, 0.2), family) for family in range(30)]
        ours = [0.5 + gain + rng.gauss(0, 0.05) for gain, _ in gains for _ in range(5)]
        groups = [family for _, family in gains for _ in range(5)]
        found = paired_difference(ours, [0.5] * 150, n_resamples=500, groups=groups)
        hits += found.low <= 0.1 <= found.high
    assert 0.88 <= hits / 150 <= 0.99


def test_groups_of_one_change_nothing() -> None:
    rng = random.Random(6)
    shares = [rng.randint(0, 4) / 4 for _ in range(50)]
    assert interval(shares, list(range(50))) == interval(shares)
    assert paired_difference(shares, shares[::-1], groups=list(range(50))) == paired_difference(shares, shares[::-1])
