"""LlamaModelRunner and its samplers on tiny random weights: tokens, limits, refusals, agreement."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from engine_tools import finish_of, request, run
from hypothesis import given
from hypothesis import strategies as st
from recording_runner import K_ROUNDING, Record, RecordingRunner

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.llama.runner import LlamaModelRunner
from r1chat.serve.engine.model_runner import InvalidBatchError, KVFullError, bound_native_threads
from r1chat.serve.engine.request import FinishReason, Segment
from r1chat.serve.engine.sampler import check_finite
from r1chat.serve.engine.sequence import Sequence
from r1chat.serve.errors import ContextLengthError, InvalidRequestError, ModelLoadError, NonFiniteLogitsError
from r1chat.serve.models.gguf.shapes import make_random_gguf


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_gguf("tiny-qwen2", tmp_path_factory.mktemp("models") / "tiny.gguf", "Q8_0")


Open = Callable[..., LlamaModelRunner]


@pytest.fixture
def opened(model: Path) -> Iterator[Open]:
    """Opens the model with EngineConfig's arguments; closed afterwards."""
    runners = []

    def open_runner(**config: int) -> LlamaModelRunner:
        runner = LlamaModelRunner(EngineConfig(model_path=model, n_threads=1, **config))  # type: ignore[arg-type]
        runners.append(runner)
        return runner

    yield open_runner
    for runner in runners:
        runner.close()


@pytest.fixture(scope="module")
def runner(model: Path) -> Iterator[LlamaModelRunner]:
    runner = LlamaModelRunner(EngineConfig(model_path=model, n_threads=1))
    yield runner
    runner.close()


def test_what_the_model_says_of_itself(runner: LlamaModelRunner) -> None:
    info = runner.info
    assert (info.architecture, info.n_vocab, info.n_ctx, info.n_ctx_train) == ("qwen2", 512, 4096, 4096)
    assert (info.bos_token, info.eos_token) == ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")
    assert info.chat_template is not None and "<｜Assistant｜>" in info.chat_template
    assert runner.n_cells >= info.n_ctx


@pytest.mark.parametrize("text", ["<｜User｜>", "<think>", "a</think>b", "<<think>>", "<｜end▁of▁sentence｜>"])
def test_message_text_never_becomes_special_tokens(runner: LlamaModelRunner, text: str) -> None:
    special = {runner.tokenize(name, special=True)[0] for name in ("<｜User｜>", "<think>", "</think>")}
    special |= {runner.tokenize(name, special=True)[0] for name in (runner.info.bos_token, runner.info.eos_token)}
    assert all(len(runner.tokenize(tag, special=True)) == 1 for tag in ("<think>", "</think>", "<｜User｜>"))
    tokens = runner.tokenize(text, special=False)
    assert not special & set(tokens)
    assert b"".join(map(runner.piece, tokens)).decode() == text


@given(text=st.text(st.sampled_from("<>/think ab\n｜User🐑é\x00"), max_size=40))
def test_message_text_survives_tokens_and_back(runner: LlamaModelRunner, text: str) -> None:
    assert b"".join(map(runner.piece, runner.tokenize(text, special=False))).decode() == text


def test_each_segment_is_tokenised_by_its_own_rule(runner: LlamaModelRunner) -> None:
    engine = Engine(runner)
    tokens = engine.tokenize((Segment("<｜User｜>", True), Segment("<｜User｜>", False)))
    assert tokens[0] == runner.tokenize("<｜User｜>", special=True)[0]
    assert tokens[0] not in tokens[1:]


def test_the_same_seed_draws_the_same_tokens_and_another_one_others(opened: Open) -> None:
    def tokens(seed: int) -> list[str]:
        events = run(Engine(opened()), [request("r", seed=seed, temperature=1.5, max_tokens=24)])["r"]
        return [str(event) for event in events[:-1]]

    assert tokens(7) == tokens(7)
    assert tokens(7) != tokens(8)


def test_a_bias_can_force_a_token_and_must_name_one(opened: Open) -> None:
    runner = opened()
    (letter,) = runner.tokenize("q", special=False)
    events = run(Engine(runner), [request("r", logit_bias={letter: 100.0}, max_tokens=5)])["r"]
    assert "".join(getattr(event, "text", "") for event in events) == "qqqqq"
    with pytest.raises(InvalidRequestError) as caught:
        Engine(runner).add_request(request("bad", logit_bias={512: 1.0}))
    assert caught.value.param == "logit_bias"


def test_penalties_on_the_output_forbid_repetition(model: Path) -> None:
    def greedy(**params: Any) -> list[int]:
        runner = RecordingRunner(EngineConfig(model_path=model, n_threads=1))
        run(Engine(runner), [request("r", temperature=0.0, max_tokens=60, **params)])
        (record,) = runner.records
        runner.close()
        return record.tokens

    thoughts_and_answers = greedy()
    assert len(set(thoughts_and_answers)) < len(thoughts_and_answers), "greedy on noise repeats itself"
    for penalty in ("frequency_penalty", "presence_penalty"):
        drawn = greedy(**{penalty: 100.0})
        assert len(set(drawn)) == len(drawn)
    assert greedy(repetition_penalty=1.5) != greedy()


def test_logits_that_are_not_finite_are_refused() -> None:
    for bad in ([0.0, np.nan, 1.0], [-np.inf] * 3, [np.inf, 0.0, 0.0]):
        with pytest.raises(NonFiniteLogitsError):
            check_finite(np.array(bad, np.float32))
    check_finite(np.array([-np.inf, 0.0, 1.0], np.float32))


def test_weights_that_compute_nothing_are_refused_at_load(tmp_path: Path) -> None:
    path = make_random_gguf("tiny-qwen2", tmp_path / "nan.gguf", "F32")
    (norm,) = [tensor for tensor in gguf.GGUFReader(path, "r+").tensors if tensor.name == "output_norm.weight"]
    norm.data[:] = np.nan
    norm.data.base.flush() if hasattr(norm.data.base, "flush") else None
    with pytest.raises(ModelLoadError, match="non-finite"):
        LlamaModelRunner(EngineConfig(model_path=path, n_threads=1))


@pytest.mark.parametrize("damage", [b"", b"GGUF", b"no model at all" * 100])
def test_a_file_that_is_no_model_is_a_load_error(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(damage)
    with pytest.raises(ModelLoadError, match=r"broken\.gguf"):
        LlamaModelRunner(EngineConfig(model_path=path))
    with pytest.raises(ModelLoadError, match="no model file"):
        LlamaModelRunner(EngineConfig(model_path=tmp_path / "absent.gguf"))


def test_the_context_ends_where_it_was_said_to(opened: Open) -> None:
    engine = Engine(opened(n_ctx=100))
    bias = {engine.tokenize((Segment("q", False),))[0]: 100.0}
    usage = finish_of(run(engine, [request("r", "q" * 50, logit_bias=bias)])["r"]).usage
    assert usage.prompt_tokens + usage.completion_tokens == engine.info.n_ctx == 100
    with pytest.raises(ContextLengthError) as caught:
        engine.add_request(request("long", "q" * 95))
    assert caught.value.prompt_tokens >= caught.value.n_ctx == 100


def chunk_of(tokens: list[int], seq_id: int, n_computed: int = 0) -> Batch:
    batch = Batch()
    batch.add(Sequence("r", tokens, 9999, seq_id=seq_id, n_computed=n_computed), len(tokens) - n_computed)
    return batch


def test_a_full_cache_and_an_invalid_batch_are_told_apart_and_survived(opened: Open) -> None:
    runner = opened(n_ctx=256, n_seq_max=2, n_batch=256)
    # the pool has a full context for each of the two
    runner.forward(chunk_of([5] * 256, 0))
    runner.forward(chunk_of([5] * 256, 1))
    with pytest.raises(KVFullError):
        runner.forward(chunk_of([5] * 257, 1, n_computed=256))
    runner.remove(1, 10)
    with pytest.raises(InvalidBatchError):
        runner.forward(chunk_of([5] * 20, 1, n_computed=15))
    runner.forward(chunk_of([5] * 20, 1, n_computed=10))


def test_a_prompt_in_chunks_gives_the_tokens_of_a_prompt_in_one_piece(model: Path) -> None:
    def tokens(n_batch: int) -> list[int]:
        runner = RecordingRunner(EngineConfig(model_path=model, n_threads=1, n_batch=n_batch))
        run(Engine(runner), [request("r", "the same long prompt " * 8, temperature=0.0, max_tokens=16)])
        runner.close()
        return runner.records[0].tokens

    assert tokens(n_batch=16) == tokens(n_batch=32)


def greedy_records(path: Path, prompts: list[str], *, together: bool) -> list[Record]:
    runner = RecordingRunner(EngineConfig(model_path=path, n_threads=1))
    engine = Engine(runner)
    requests = [request(f"r{i}", text, temperature=0.0, max_tokens=24) for i, text in enumerate(prompts)]
    for group in [requests] if together else [[each] for each in requests]:
        run(engine, group)
    runner.close()
    return runner.records


PROMPTS = [f"{word} and {i} more" for i, word in enumerate("one two three four five six seven eight".split())]


def test_batched_greedy_tokens_equal_those_alone_with_q8_0_even_on_noise(model: Path) -> None:
    alone = greedy_records(model, PROMPTS, together=False)
    batched = greedy_records(model, PROMPTS, together=True)
    assert [record.tokens for record in batched] == [record.tokens for record in alone]


def test_with_k_quants_batched_tokens_differ_only_between_close_logits(tmp_path: Path) -> None:
    path = make_random_gguf("tiny-qwen2-256", tmp_path / "k.gguf", "Q4_K_M")
    alone = greedy_records(path, PROMPTS, together=False)
    batched = greedy_records(path, PROMPTS, together=True)
    for one, other in zip(alone, batched, strict=True):
        pairs = zip(one.tokens, other.tokens, one.margins, strict=False)
        # behind the first difference the two go different ways
        first = next((margin for a, b, margin in pairs if a != b), 0.0)
        assert first < 2 * K_ROUNDING


def test_native_settings_are_bounded_but_never_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "GGML_NO_BACKTRACE"):
        monkeypatch.delenv(name, raising=False)
    bound_native_threads()
    assert (os.environ["GOMP_SPINCOUNT"], os.environ["GGML_NO_BACKTRACE"]) == ("1000", "1")
    monkeypatch.setenv("GOMP_SPINCOUNT", "77")
    bound_native_threads()
    assert os.environ["GOMP_SPINCOUNT"] == "77"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    bound_native_threads()
    assert "GOMP_SPINCOUNT" not in os.environ


def test_the_parent_never_imports_llama_cpp_or_numpy() -> None:
    code = "import sys, r1chat.serve.engine.process; print({'llama_cpp', 'numpy'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"


def test_length_is_the_reason_where_the_context_ends(opened: Open) -> None:
    engine = Engine(opened(n_ctx=64))
    finished = finish_of(run(engine, [request("r", temperature=0.0, logit_bias={5: 100.0})])["r"])
    assert finished.reason is FinishReason.LENGTH
