"""The cuts and the draw against llama.cpp's own samplers on the same logits."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import llama_cpp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from r1chat.serve.engine.draw import Draw, Scratch, first_reaching
from r1chat.serve.engine.llama.chain import build_chain
from r1chat.serve.engine.request import SamplingParams
from r1chat.serve.errors import InvalidRequestError

N_VOCAB = 20_000
MakeRow = Callable[[np.random.Generator], np.ndarray]
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def of_llama(row: np.ndarray, params: SamplingParams) -> tuple[np.ndarray, int]:
    """What llama.cpp's chain leaves of the row, with probabilities, and the token it draws."""
    candidates = np.zeros(len(row), _CANDIDATE)
    candidates["id"], candidates["logit"] = np.arange(len(row)), row
    pointer = ctypes.cast(candidates.ctypes.data, llama_cpp.llama_token_data_p)
    array = llama_cpp.llama_token_data_array(pointer, len(row), -1, False)
    chain = build_chain(params, n_vocab=len(row), prompt=[])
    llama_cpp.llama_sampler_apply(chain, ctypes.byref(array))
    llama_cpp.llama_sampler_free(chain)
    return candidates[: array.size], int(candidates["id"][array.selected])


def ours(row: np.ndarray, params: SamplingParams) -> np.ndarray:
    tokens = Draw(params, Scratch(len(row))).candidates(row, row.max())
    return np.arange(len(row)) if tokens is None else tokens


def normal(deviation: float) -> MakeRow:
    return lambda random: (random.standard_normal(N_VOCAB) * deviation).astype(np.float32)


def in_steps(random: np.random.Generator) -> np.ndarray:
    """Many equals at every border."""
    return np.round(random.standard_normal(N_VOCAB) * 2).astype(np.float32)


def mostly_impossible(random: np.random.Generator) -> np.ndarray:
    row = normal(3.0)(random)
    row[random.random(N_VOCAB) < 0.999] = -np.inf
    row[7] = 1.0
    return row


def head_and_tail(random: np.random.Generator) -> np.ndarray:
    """A few likely tokens, and half of the mass in a tail that a sample of the row knows better."""
    row = normal(0.5)(random)
    row[random.integers(N_VOCAB, size=20)] += 9
    return row


def misleading(random: np.random.Generator) -> np.ndarray:
    """Wherever a sample may look the logits are greater than elsewhere."""
    row = (random.random(N_VOCAB) * 0.5).astype(np.float32)
    row[:: N_VOCAB // 2048] += 1
    return row


ROWS: dict[str, MakeRow] = {
    "peaked": normal(8.0),
    "like random weights": normal(2.4),
    "flat": normal(0.3),
    "steps": in_steps,
    "mostly -inf": mostly_impossible,
    "head and tail": head_and_tail,
    "misleading": misleading,
    "all equal": lambda random: np.full(N_VOCAB, -3.25, np.float32),
    "one possible": lambda random: np.where(np.arange(N_VOCAB) == 77, 0.5, -np.inf).astype(np.float32),
}
CUTS: dict[str, dict[str, float]] = {
    "top_p": {"top_p": 0.95},
    "narrow top_p": {"top_p": 0.1},
    "wide top_p": {"top_p": 0.999},
    "no top_p": {"top_p": 0.0},
    "top_k": {"top_p": 1.0, "top_k": 40},
    "one": {"top_p": 1.0, "top_k": 1},
    "large top_k": {"top_p": 1.0, "top_k": 5000},
    "top_k beyond the vocabulary": {"top_p": 1.0, "top_k": N_VOCAB + 1},
    "top_k, top_p": {"top_k": 300, "top_p": 0.8},
    "min_p": {"top_p": 1.0, "min_p": 0.05},
    "min_p 1": {"top_p": 1.0, "min_p": 1.0},
    "all cuts": {"top_k": 1000, "top_p": 0.9, "min_p": 0.02},
}


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("make_row", ROWS.values(), ids=ROWS)
def test_the_cuts_leave_what_llama_cpp_leaves(make_row: MakeRow, cuts: dict[str, float]) -> None:
    params = SamplingParams(seed=1, temperature=1.0, **cuts)  # type: ignore[arg-type]
    for seed in range(3):
        row = make_row(np.random.default_rng(seed))
        expected, tokens = of_llama(row, params)[0], ours(row, params)
        assert list(tokens) == sorted(set(tokens))
        fewer, more = sorted([np.sort(row[tokens])[::-1], np.sort(expected["logit"])[::-1]], key=len)
        # of equals either may stay, so it is logits that are compared
        np.testing.assert_array_equal(fewer, more[: len(fewer)])
        mass = np.exp(row.astype(np.float64) - row.max())
        # llama.cpp adds up thousands of probabilities in float32
        assert np.exp(more[len(fewer) :].astype(np.float64) - row.max()).sum() <= 5e-4 * mass.sum()
        if len(tokens) < 200:
            assert len(fewer) == len(more)


@pytest.mark.parametrize("make_row", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("top_p", [0.0, 1e-9, 0.3, 0.95, 1 - 1e-7])
def test_the_nucleus_is_the_least_that_reaches_top_p(make_row: MakeRow, top_p: float) -> None:
    row = make_row(np.random.default_rng(5))
    tokens = ours(row, SamplingParams(top_p=top_p))
    mass = np.sort(np.exp(row[tokens].astype(np.float64) - row.max()))
    target = float(np.float32(top_p)) * np.exp(row.astype(np.float64) - row.max()).sum()
    assert mass.sum() >= target * (1 - 1e-6)
    assert len(mass) == 1 or mass[1:].sum() < target * (1 + 1e-6)
    assert row[tokens].min() >= np.delete(row, tokens).max(initial=-np.inf)


def _on_the_edge(row: np.ndarray, top_p: float, top_k: int) -> bool:
    """Whether some tokens' mass is `top_p` to the last digit (two of five equals at 0.4): rounding then decides."""
    kept = np.sort(row[row > -np.inf].astype(np.float64))[::-1][: top_k or None]
    mass = np.cumsum(np.exp(kept - kept[0])) / np.exp(kept - kept[0]).sum()
    return 0 < top_p < 1 and bool(np.abs(mass - top_p).min() < 1e-6)


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([-np.inf, -20.0, -1.5, -1.0, 0.0, 0.0, 0.5, 3.0]), min_size=1, max_size=30).filter(
        lambda logits: max(logits) > -np.inf
    ),
    st.sampled_from([0.0, 0.4, 0.9, 1.0]),
    st.sampled_from([0, 1, 3, 40]),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_small_rows_full_of_equals_are_cut_alike(logits: list[float], top_p: float, top_k: int, min_p: float) -> None:
    row = np.array(logits, np.float32)
    params = SamplingParams(seed=1, temperature=1.0, top_p=top_p, top_k=top_k, min_p=min_p)
    assume(not _on_the_edge(row, top_p, top_k))
    expected = np.sort(of_llama(row, params)[0]["logit"])
    possible = np.sort(row[ours(row, params)])
    np.testing.assert_array_equal(possible[possible > -np.inf], expected[expected > -np.inf])


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(seed=3, temperature=0.6, top_p=0.95),
        SamplingParams(seed=3, temperature=1.7, top_p=1.0),
        SamplingParams(seed=3, temperature=1.0, top_p=0.9, top_k=12, min_p=0.03),
        SamplingParams(seed=3, temperature=1.3, top_p=1.0, min_p=0.1),
    ],
)
def test_draws_have_the_distribution_of_llama_cpps_chain(params: SamplingParams) -> None:
    row = (np.random.default_rng(2).standard_normal(24) * 1.5).astype(np.float32)
    expected = of_llama(row, params)[0]
    draw, n = Draw(params, Scratch(24)), 20_000
    counts = np.bincount([draw(row) for _ in range(n)], minlength=24)
    assert set(np.flatnonzero(counts)) <= set(expected["id"])
    hoped = expected["p"] * n
    chi_square = float(((counts[expected["id"]] - hoped) ** 2 / hoped).sum())
    freedom = len(hoped) - 1
    # five standard deviations
    assert chi_square < freedom + 5 * (2 * freedom) ** 0.5


@pytest.mark.slow
def test_large_rows_are_drawn_from_without_a_bias_by_place() -> None:
    row = np.zeros(N_VOCAB, np.float32)
    draw, n = Draw(SamplingParams(seed=8, temperature=1.0, top_p=1.0), Scratch(N_VOCAB)), 10_000
    counts = np.bincount([draw(row) * 10 // N_VOCAB for _ in range(n)], minlength=10)
    assert np.abs(counts - n / 10).max() < 5 * (n / 10) ** 0.5


@pytest.mark.parametrize("temperature", [0.0, 1e-50, 1e-45, 1e-20, 1e-4])
@pytest.mark.parametrize("top_p", [1.0, 0.95])
def test_at_tiny_temperatures_the_best_is_drawn(temperature: float, top_p: float) -> None:
    row = ROWS["mostly -inf"](np.random.default_rng(1))
    row[4321] = row.max() + 0.125
    draw = Draw(SamplingParams(seed=1, temperature=temperature, top_p=top_p), Scratch(N_VOCAB))
    assert {draw(row) for _ in range(20)} == {4321}


def test_of_equals_at_the_border_the_first_stay() -> None:
    row = np.zeros(100, np.float32)
    row[90] = 1.0
    assert ours(row, SamplingParams(top_p=1.0, top_k=4)).tolist() == [0, 1, 2, 90]
    # 2.718 of 101.718
    assert ours(row, SamplingParams(top_p=0.05)).tolist() == [0, 1, 2, 90]


def test_greedy_takes_the_first_of_equals_as_llama_cpp_does() -> None:
    row, params = in_steps(np.random.default_rng(3)), SamplingParams(temperature=0.0)
    assert Draw(params, Scratch(N_VOCAB))(row) == of_llama(row, params)[1]


def test_what_is_impossible_is_never_drawn() -> None:
    row = np.full(5000, -np.inf, np.float32)
    row[[0, 2048, 4999]] = 1.0
    draw = Draw(SamplingParams(seed=1, temperature=2.0, top_p=1.0), Scratch(5000))
    assert {draw(row) for _ in range(200)} == {0, 2048, 4999}


def test_a_seed_repeats_its_draws_whatever_was_drawn_from() -> None:
    flat, sure = np.zeros(600, np.float32), np.zeros(600, np.float32)
    sure[5] = 100.0
    one, other = (Draw(SamplingParams(seed=42, temperature=1.0), Scratch(600)) for _ in range(2))
    drawn = [one(flat) for _ in range(10)]
    # a row that leaves no choice takes a number too
    assert [other(sure if i % 2 else flat) for i in range(10)] == [5 if i % 2 else t for i, t in enumerate(drawn)]
    unseeded = [Draw(SamplingParams(temperature=1.0), Scratch(600)) for _ in range(2)]
    assert [unseeded[0](flat) for _ in range(9)] != [unseeded[1](flat) for _ in range(9)]


@pytest.mark.parametrize("n", [1, 511, 512, 4095, 4096, 4097, 10_000])
def test_a_running_sum_is_found_at_its_place(n: int) -> None:
    weights = np.random.default_rng(n).random(n).astype(np.float32)
    weights[n // 2 + 1 :: 7] = 0
    sums = weights.cumsum(dtype=np.float64)
    for share in (1e-9, 0.1, 0.5, 0.999, 1.0):
        at = first_reaching(weights, share * sums[-1])
        assert weights[at] > 0
        assert sums[at] >= share * sums[-1] * (1 - 1e-12)
        assert at == 0 or sums[at - 1] < share * sums[-1] * (1 + 1e-12)
    # beyond what rounding lets the sum reach
    assert first_reaching(weights, sums[-1] * 1.0001) == np.flatnonzero(weights)[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "cuts",
    [
        {"top_p": 1.0},
        {"top_p": 0.8},
        {"top_p": 1.0, "top_k": 4},
        {"top_p": 1.0, "min_p": 0.2},
        {"top_p": 0.9, "top_k": 6, "min_p": 0.05},
    ],
    ids=str,
)
def test_draws_among_some_tokens_are_as_if_there_were_no_others(cuts: dict[str, float]) -> None:
    """Cuts and temperature see what the mask leaves: the likeliest tokens of the row may not be among it."""
    random = np.random.default_rng(4)
    row = (random.standard_normal(400) * 2).astype(np.float32)
    allowed = np.sort(np.argsort(row)[random.choice(350, 12, replace=False)])
    masked = np.full_like(row, -np.inf)
    masked[allowed] = row[allowed]
    params = SamplingParams(seed=5, temperature=0.7, **cuts)  # type: ignore[arg-type]
    expected = of_llama(masked, params)[0]
    expected = expected[expected["p"] > 0]
    draw, n = Draw(params, Scratch(400)), 20_000
    counts = np.bincount([draw.among(allowed, row) for _ in range(n)], minlength=400)
    assert set(np.flatnonzero(counts)) <= set(expected["id"]) <= set(allowed)
    hoped = expected["p"] * n
    chi_square = float(((counts[expected["id"]] - hoped) ** 2 / hoped).sum())
    assert chi_square < len(hoped) - 1 + 5 * (2 * len(hoped)) ** 0.5


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
def test_the_likeliest_of_many_allowed_tokens_is_drawn_when_greedy(cuts: dict[str, float]) -> None:
    row = normal(3.0)(np.random.default_rng(6))
    allowed = np.flatnonzero(np.random.default_rng(7).random(N_VOCAB) < 0.4)
    draw = Draw(SamplingParams(temperature=0.0, **cuts), Scratch(N_VOCAB))  # type: ignore[arg-type]
    assert draw.among(allowed, row) == allowed[row[allowed].argmax()]
    warm = Draw(SamplingParams(seed=1, temperature=1.0, **cuts), Scratch(N_VOCAB))  # type: ignore[arg-type]
    assert {warm.among(allowed, row) for _ in range(50)} <= set(allowed.tolist())


def test_what_is_allowed_alone_takes_no_number() -> None:
    """So that it may be put there without a draw, and what is drawn later stays the same."""
    row = normal(1.0)(np.random.default_rng(8))
    one, other = (Draw(SamplingParams(seed=9, temperature=1.0), Scratch(N_VOCAB)) for _ in range(2))
    assert one.among(np.array([17]), row) == 17
    assert [one(row) for _ in range(5)] == [other(row) for _ in range(5)]


def test_where_all_that_is_allowed_is_forbidden_the_request_is_refused() -> None:
    row = np.zeros(10, np.float32)
    row[[2, 3]] = -np.inf
    draw = Draw(SamplingParams(seed=1), Scratch(10))
    for allowed in ([2, 3], []):
        with pytest.raises(InvalidRequestError, match="no token"):
            draw.among(np.array(allowed, np.intp), row)
    assert draw.among(np.array([2, 4]), row) == 4
