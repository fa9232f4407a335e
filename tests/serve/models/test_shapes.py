"""Random-weight models: of the shape asked for, loadable by llama.cpp, and quick to make."""

from __future__ import annotations

import math
from pathlib import Path

import gguf
import numpy as np
import pytest

from r1chat.serve.models.gguf.info import read_info
from r1chat.serve.models.gguf.quantize import probe
from r1chat.serve.models.gguf.shapes import SHAPES, cached_random_gguf, make_random_gguf, synthetic_tokenizer
from r1chat.serve.models.templates import R1_DISTILL


@pytest.mark.parametrize("shape", ["tiny-qwen2", "tiny-llama"])
@pytest.mark.parametrize("quant", ["F32", "F16", "Q8_0"])
def test_tiny_model_loads_and_answers_with_finite_varied_logits(shape: str, quant: str, tmp_path: Path) -> None:
    path = make_random_gguf(shape, tmp_path / "m.gguf", quant)
    [logits] = probe(path, prompts=[[5, 300, 17, 480]]).logits
    assert logits.shape == (4, 512)
    assert np.isfinite(logits).all()
    assert logits.std() > 0.3
    assert path.stat().st_size < 700_000


def test_info_says_the_shape(tmp_path: Path) -> None:
    info = read_info(make_random_gguf("tiny-qwen2", tmp_path / "m.gguf", "Q8_0"))
    spec = SHAPES["tiny-qwen2"]
    assert (info.architecture, info.file_type, info.n_vocab) == ("qwen2", "Q8_0", 512)
    assert (info.block_count, info.embedding_length, info.head_count) == (2, 64, 4)
    assert info.n_params == sum(int(np.prod(shape)) for shape in spec.tensor_shapes().values())
    assert info.chat_template == R1_DISTILL
    assert (info.bos_token, info.eos_token) == ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")
    # two blocks, two KV heads of 16 numbers, key and value, two bytes each
    assert info.kv_bytes_per_token() == 2 * 2 * 16 * 2 * 2


@pytest.mark.parametrize(
    ("shape", "n_params"),
    [
        ("qwen2-0.5b", 494_032_768),
        ("qwen2-1.5b", 1_543_714_304),
        ("qwen2-7b", 7_615_616_512),
        ("llama-8b", 8_030_261_248),
    ],
)
def test_real_shapes_have_the_published_number_of_parameters(shape: str, n_params: int) -> None:
    assert sum(math.prod(tensor) for tensor in SHAPES[shape].tensor_shapes().values()) == n_params


def test_8b_shape_stretches_its_rope_as_llama_3_1_does() -> None:
    factors = SHAPES["llama-8b"].rope_factors
    assert len(factors) == 64
    # short waves stay, long ones are stretched by 8, between them it rises
    assert (factors[0], factors[-1]) == (1.0, 8.0)
    assert list(factors) == sorted(factors)


def test_same_seed_same_file_other_seed_another(tmp_path: Path) -> None:
    a, b, c = (make_random_gguf("tiny-qwen2", tmp_path / f"{i}.gguf", "F16", seed) for i, seed in enumerate((1, 1, 2)))
    assert a.read_bytes() == b.read_bytes() != c.read_bytes()


def test_k_quant_is_made_in_a_child_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = make_random_gguf("tiny-qwen2-256", tmp_path / "m.gguf", "Q4_K_M")
    types = {tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}
    assert {"Q4_K", "F32"} <= types
    assert read_info(path).file_type == "Q4_K_M"
    assert [p.name for p in tmp_path.iterdir()] == ["m.gguf"]


def test_cached_model_is_made_once(tmp_path: Path) -> None:
    first = cached_random_gguf("tiny-qwen2", tmp_path / "cache", "Q8_0")
    before = first.stat().st_mtime_ns
    assert cached_random_gguf("tiny-qwen2", tmp_path / "cache", "Q8_0") == first
    assert first.stat().st_mtime_ns == before


def test_vocabulary_cuts_tags_whole_and_words_by_merges(tmp_path: Path) -> None:
    path = make_random_gguf("tiny-qwen2", tmp_path / "m.gguf", "F32")
    vocabulary = synthetic_tokenizer(512).tokens
    [ids] = probe(path, texts=["<think>\nte ee</think>9"]).tokens
    assert [vocabulary[i] for i in ids] == ["<think>", "Ċ", "te", "Ġe", "e", "</think>", "9"]


@pytest.mark.parametrize("n_vocab", [300, 512, 151_936])
def test_vocabulary_is_exact_and_without_repeats(n_vocab: int) -> None:
    spec = synthetic_tokenizer(n_vocab)
    assert len(spec.tokens) == len(set(spec.tokens)) == len(spec.token_types) == n_vocab
