"""Penalties, bias and refusals of the sampler, against llama.cpp's own on the logits of a random model."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import llama_cpp
import numpy as np
import pytest

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.llama.chain import build_chain
from r1chat.serve.engine.llama.runner import LlamaModelRunner
from r1chat.serve.engine.request import SamplingParams
from r1chat.serve.engine.sampler import Changes, RowSampler, TokenCounts
from r1chat.serve.engine.sequence import Sequence
from r1chat.serve.errors import InvalidRequestError, NonFiniteLogitsError
from r1chat.serve.models.gguf.shapes import make_random_gguf

PROMPT = [5, 9, 9, 300]
WRITTEN = [7, 9, 7, 7, 21]
CHANGES = [
    {"repetition_penalty": 1.7},
    {"frequency_penalty": 0.4},
    {"presence_penalty": -1.5},
    {"logit_bias": {3: 2.0, 7: -5.0, 511: 0.25}},
    {"repetition_penalty": 0.8, "frequency_penalty": 0.3, "presence_penalty": 0.9, "logit_bias": {9: 4.0, 0: -100.0}},
]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModelRunner]:
    path = make_random_gguf("tiny-qwen2", tmp_path_factory.mktemp("models") / "tiny.gguf", "Q8_0")
    runner = LlamaModelRunner(EngineConfig(model_path=path, n_threads=1))
    sequence = Sequence(request_id="r", tokens=list(PROMPT), max_tokens=10, seq_id=0)
    batch = Batch()
    batch.add(sequence, len(PROMPT))
    runner.forward(batch)
    yield runner
    runner.close()


def logits(runner: LlamaModelRunner) -> np.ndarray:
    pointer = llama_cpp.llama_get_logits_ith(runner._context, len(PROMPT) - 1)
    return np.ctypeslib.as_array(pointer, (runner.info.n_vocab,))


def chains_choice(runner: LlamaModelRunner, params: SamplingParams, prompt: list[int], written: list[int]) -> list[int]:
    """llama.cpp's greedy choice after `written`, and after three more of its own."""
    chain = build_chain(params, n_vocab=runner.info.n_vocab, prompt=prompt)
    for token in written:
        llama_cpp.llama_sampler_accept(chain, token)
    tokens = [llama_cpp.llama_sampler_sample(chain, runner._context, len(PROMPT) - 1) for _ in range(4)]
    llama_cpp.llama_sampler_free(chain)
    return tokens


@pytest.mark.parametrize("changes", CHANGES)
def test_changed_logits_are_llama_cpps(changes: dict[str, float]) -> None:
    params = SamplingParams(temperature=0.0, **changes)  # type: ignore[arg-type]
    row = (np.random.default_rng(0).standard_normal(512) * 3).astype(np.float32)
    candidates = np.zeros(512, np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)]))
    candidates["id"], candidates["logit"] = np.arange(512), row
    pointer = ctypes.cast(candidates.ctypes.data, llama_cpp.llama_token_data_p)
    array = llama_cpp.llama_token_data_array(pointer, 512, -1, False)
    chain = build_chain(params, n_vocab=512, prompt=PROMPT)
    ours = Changes(params, PROMPT)
    for token in WRITTEN:
        llama_cpp.llama_sampler_accept(chain, token)
        ours.count(token)
    llama_cpp.llama_sampler_apply(chain, ctypes.byref(array))
    llama_cpp.llama_sampler_free(chain)
    before, into = row.copy(), np.empty_like(row)
    np.testing.assert_allclose(ours.apply(row, into), candidates["logit"], rtol=1e-6, atol=1e-6)
    # others may still read the row
    np.testing.assert_array_equal(row, before)


@pytest.mark.parametrize("changes", CHANGES)
def test_tokens_put_there_count_like_tokens_drawn(runner: LlamaModelRunner, changes: dict[str, float]) -> None:
    params = SamplingParams(temperature=0.0, **changes)  # type: ignore[arg-type]
    # what is likely has to be what the penalties are about
    best = [int(token) for token in np.argsort(-logits(runner))[:4]]
    sampler = RowSampler(runner._logits, runner.info.n_vocab, params, best[:2])
    for token in [best[2], *WRITTEN]:
        sampler.accept(token)
    tokens = [sampler.sample(len(PROMPT) - 1) for _ in range(4)]
    assert tokens == chains_choice(runner, params, best[:2], [best[2], *WRITTEN])


@pytest.mark.parametrize("changes", [{}, *CHANGES])
def test_a_bias_for_one_draw_comes_on_top_and_goes_with_it(runner: LlamaModelRunner, changes: dict[str, float]) -> None:
    row = logits(runner)
    before = row.copy()
    sampler = runner.make_sampler(SamplingParams(temperature=0.0, **changes), PROMPT)  # type: ignore[arg-type]
    assert sampler.sample(len(PROMPT) - 1, {444: 1000.0}) == 444
    first = sampler.sample(len(PROMPT) - 1)
    assert first != 444
    assert sampler.sample(len(PROMPT) - 1, {first: -np.inf}) != first
    np.testing.assert_array_equal(row, before)


@pytest.mark.parametrize("changes", [{}, *CHANGES])
def test_a_mask_goes_together_with_penalties_and_a_bias(runner: LlamaModelRunner, changes: dict[str, float]) -> None:
    row = logits(runner)
    before = row.copy()
    allowed = np.sort(np.argsort(row)[:200:3])
    params = SamplingParams(temperature=0.0, **changes)  # type: ignore[arg-type]
    expected = Changes(params, PROMPT).apply(row, np.empty_like(row)).copy()
    best, second = (int(token) for token in allowed[np.argsort(-expected[allowed], kind="stable")][:2])
    assert runner.make_sampler(params, PROMPT).sample(len(PROMPT) - 1, allowed=allowed) == best
    assert runner.make_sampler(params, PROMPT).sample(len(PROMPT) - 1, {best: -np.inf}, allowed) == second
    assert runner.make_sampler(params, PROMPT).sample(len(PROMPT) - 1, {second: 50.0, 5: 99.0}, allowed) == second
    np.testing.assert_array_equal(row, before)


def test_without_changes_the_row_itself_is_used() -> None:
    row = np.zeros(8, np.float32)
    assert Changes(SamplingParams(), PROMPT).apply(row, np.empty(8, np.float32)) is row


@pytest.mark.parametrize("changes", CHANGES)
def test_tokens_taken_back_count_no_more(changes: dict[str, float]) -> None:
    params = SamplingParams(temperature=0.0, **changes)  # type: ignore[arg-type]
    row = (np.random.default_rng(0).standard_normal(512) * 3).astype(np.float32)
    ours, expected = Changes(params, PROMPT), Changes(params, PROMPT)
    for token in WRITTEN:
        ours.count(token)
        expected.count(token)
    for token in (WRITTEN[0], PROMPT[0], 400, 401, 400):  # known already and not, once and again
        ours.count(token)
    for token in (400, WRITTEN[0], 400, PROMPT[0], 401):
        ours.discount(token)
    np.testing.assert_array_equal(ours.apply(row, np.empty_like(row)), expected.apply(row, np.empty_like(row)))


def test_counts_of_a_prompt_are_those_of_its_tokens_one_by_one() -> None:
    tokens = np.random.default_rng(0).integers(0, 300, 2_000).tolist()
    at_once, singly = TokenCounts(tokens), TokenCounts()
    for token in tokens:
        singly.add(token)
    for counts in (at_once, singly):
        counts.add(7)
        counts.add(1_000)
    one, other = (sorted(zip(each.tokens, each.counts, strict=True)) for each in (at_once, singly))
    assert one == other


def test_counts_survive_their_growth() -> None:
    counts = TokenCounts(range(500))
    for token in (3, 499, 3):
        counts.add(token)
    expected = {token: 1 + (token == 499) + 2 * (token == 3) for token in range(500)}
    assert dict(zip(counts.tokens.tolist(), counts.counts.tolist(), strict=True)) == expected


def test_a_sampler_of_many_shares_its_scratch_and_not_its_draws(runner: LlamaModelRunner) -> None:
    def drawn(samplers: list[RowSampler]) -> list[list[int]]:
        return [[sampler.sample(len(PROMPT) - 1) for sampler in samplers] for _ in range(8)]

    params = [SamplingParams(seed=i, temperature=2.0, frequency_penalty=i) for i in range(3)]
    together = drawn([runner.make_sampler(each, PROMPT) for each in params])
    alone = [drawn([RowSampler(runner._logits, runner.info.n_vocab, each, PROMPT)]) for each in params]
    assert together == [[column[step][0] for column in alone] for step in range(8)]


def test_a_row_that_is_no_number_is_refused(runner: LlamaModelRunner) -> None:
    row = logits(runner)
    kept = row.copy()
    for value in (np.nan, np.inf):
        row[100] = value
        for temperature in (0.0, 1.0):
            with pytest.raises(NonFiniteLogitsError):
                runner.make_sampler(SamplingParams(temperature=temperature), []).sample(len(PROMPT) - 1)
    row[:] = kept


def test_a_bias_must_name_a_token(runner: LlamaModelRunner) -> None:
    for token in (-1, runner.info.n_vocab):
        with pytest.raises(InvalidRequestError, match="no token"):
            runner.make_sampler(SamplingParams(logit_bias={token: 1.0}), [])
