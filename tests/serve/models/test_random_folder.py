"""A random folder is a model to transformers: exact shape, every tensor taken, its text tokens and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from r1chat.serve.engine.config import TRANSFORMERS_RUNNER, EngineConfig
from r1chat.serve.engine.hf import weights
from r1chat.serve.engine.hf.weights import planned_bytes, read_weights
from r1chat.serve.engine.model_runner import load_runner
from r1chat.serve.models.gguf.shapes import SHAPES
from r1chat.serve.models.gguf.spec import stretched_rope
from r1chat.serve.models.random_folder import make_random_folder


def test_its_headers_say_what_the_shape_says(tmp_path: Path) -> None:
    folder = make_random_folder("tiny-qwen2", tmp_path / "model")
    spec = SHAPES["tiny-qwen2"]
    weights = read_weights(folder)
    table = spec.n_vocab * spec.n_embd
    assert 2 * table < weights.n_plain < 2 * table + 10_000 < weights.n_params
    assert (folder / "model.safetensors").stat().st_size > 2 * weights.n_params
    assert json.loads((folder / "config.json").read_text())["hidden_size"] == spec.n_embd
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
    }  # fmt: skip


@pytest.mark.parametrize("fast", [False, True])
def test_bfloat16_stays_where_it_is_fast_and_is_widened_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    pytest.importorskip("torch", reason="the transformers engine needs torch")
    pytest.importorskip("transformers", reason="the transformers engine needs transformers")
    monkeypatch.setattr(weights, "multiplies_bfloat16", lambda: fast)
    folder = make_random_folder("tiny-qwen2", tmp_path / "model")
    config = EngineConfig(model_path=folder, runner=TRANSFORMERS_RUNNER, n_threads=1, n_cells=256)
    runner = load_runner(config)
    assert runner.info.description.endswith("bfloat16" if fast else "float32")
    n_params = runner.info.n_params
    assert planned_bytes(folder, "none") == pytest.approx((2 if fast else 4) * n_params, rel=0.1)
    runner.close()


@pytest.mark.parametrize("stretched", [False, True])
def test_the_transformers_engine_runs_it(tmp_path: Path, stretched: bool) -> None:
    pytest.importorskip("torch", reason="the transformers engine needs torch")
    pytest.importorskip("transformers", reason="the transformers engine needs transformers")
    factors = stretched_rope(500_000.0, 16, factor=8.0, low=1.0, high=4.0, trained=8192) if stretched else ()
    spec = replace(SHAPES["tiny-llama" if stretched else "tiny-qwen2"], rope_factors=factors)
    folder = make_random_folder(spec, tmp_path / "model")
    runner = load_runner(EngineConfig(model_path=folder, runner=TRANSFORMERS_RUNNER, n_threads=1, n_cells=256))
    text = "the tea is 15% hot, é 🐑\n"
    assert b"".join(map(runner.piece, runner.tokenize(text, special=False))).decode() == text
    assert len(runner.tokenize("<think>", special=True)) == 1
    assert runner.info.n_params == read_weights(folder).n_params
    runner.close()
