"""How a model on this machine is loaded: what is planned, what is taken as asked, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub

from r1chat.serve.engine.config import LLAMA_RUNNER, TRANSFORMERS_RUNNER, EngineConfig
from r1chat.serve.errors import ModelLoadError, NotEnoughMemoryError
from r1chat.serve.models import catalog
from r1chat.serve.models.catalog import BUNDLED, ModelEntry, folder_name
from r1chat.serve.models.random_folder import make_random_folder
from r1chat.serve.models.specs import LoadOptions, find_spec, spec_of

DEMO = ModelEntry("demo", BUNDLED)


@pytest.fixture
def folder(tmp_path: Path) -> ModelEntry:
    return catalog.resolve(str(make_random_folder("tiny-qwen2", tmp_path / "tiny")))


def test_what_nobody_asked_for_is_planned() -> None:
    spec, sentence = spec_of(DEMO, LoadOptions())
    config = spec.config
    assert (spec.id, config.model_path, config.runner) == ("demo", BUNDLED, LLAMA_RUNNER)
    assert config.n_ctx and config.n_cells and config.n_cells >= config.n_ctx
    assert config.n_gpu_layers is not None
    assert spec.estimate and spec.n_bytes == spec.estimate.total > BUNDLED.stat().st_size
    assert "free" in sentence and "context" in sentence


def test_what_was_asked_for_is_kept() -> None:
    asked = EngineConfig(n_ctx=512, n_cells=1024, n_gpu_layers=0, n_threads=1, speculate=False)
    config = spec_of(DEMO, LoadOptions(engine=asked, kv_type="q8_0"))[0].config
    assert config == replace(asked, model_path=BUNDLED, kv_type="q8_0")


def test_what_cannot_fit_is_refused_before_a_process_is_started() -> None:
    with pytest.raises(NotEnoughMemoryError, match="free"):
        spec_of(DEMO, LoadOptions(engine=EngineConfig(n_ctx=1 << 40)))


def test_a_folder_goes_to_the_transformers_engine(folder: ModelEntry) -> None:
    config = spec_of(folder, LoadOptions(quantization="nf4"))[0].config
    assert (config.runner, config.model_path) == (TRANSFORMERS_RUNNER, folder.path)
    assert config.runner_args == {"quantization": "nf4", "device": "auto"}


def test_options_of_the_other_engine_are_refused_with_a_way_out(folder: ModelEntry) -> None:
    with pytest.raises(ModelLoadError, match="r1chat quantize"):
        spec_of(DEMO, LoadOptions(quantization="int8"))
    with pytest.raises(ModelLoadError, match="r1chat import"):
        spec_of(folder, LoadOptions(kv_type="q8_0"))


def test_models_that_requests_name_keep_no_cache_on_disk(tmp_path: Path) -> None:
    """The folder is one model's: another would delete what is there."""
    options = LoadOptions(engine=EngineConfig(cache_folder=tmp_path))
    assert spec_of(DEMO, options)[0].config.cache_folder == tmp_path
    found = find_spec("demo", options)
    assert found and found.config.cache_folder is None
    assert find_spec("no-such-model", options) is None


def test_models_of_either_engine_are_found_whatever_was_asked_for_of_the_other(
    folder: ModelEntry, hub: LoopbackHub
) -> None:
    hub.repos["user/repo"] = {file.name: file.read_bytes() for file in folder.path.iterdir()}
    catalog.resolve("user/repo:safetensors", progress=False)
    options = LoadOptions(quantization="nf4", kv_type="q8_0")
    found = find_spec("demo", options)
    assert found and found.config.kv_type == "q8_0"
    found = find_spec("user/repo:safetensors", options)
    assert found and found.config.runner_args["quantization"] == "nf4" and found.config.kv_type == "f16"


@pytest.mark.parametrize(
    ("name", "folder_of_it"),
    [
        ("r1:7b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B:safetensors"),
        ("user/repo", "user/repo:safetensors"),
        ("user/repo@v2", "user/repo:safetensors@v2"),
        ("demo", "demo"),
        ("./folder", "./folder"),
    ],
)
def test_the_folder_of_a_name(name: str, folder_of_it: str) -> None:
    assert folder_name(name) == folder_of_it
