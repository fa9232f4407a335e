"""What a model is said to take: the parts of it by hand, and the whole against a loaded and busy engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from model_shapes import info_of

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.host_memory import kv_bytes
from r1chat.serve.engine.request import ModelInfo, Segment
from r1chat.serve.models.catalog import BUNDLED
from r1chat.serve.models.fit.measured import TOLERANCE, measure
from r1chat.serve.models.fit.memory import cache_bytes, default_cells, estimate
from r1chat.serve.models.fit.smoke import smoke
from r1chat.serve.models.gguf.info import read_info
from r1chat.serve.models.gguf.shapes import SHAPES, make_random_gguf

MB = 1e6


def test_a_token_takes_what_its_keys_and_values_take() -> None:
    # 28 blocks, 4 heads of 128 numbers, keys and values: 28,672 numbers
    info = info_of("qwen2-7b")
    assert cache_bytes(info, 1) == 28_672 * 2 == info.kv_bytes_per_token()
    assert cache_bytes(info, 1, "q8_0") == 28_672 * 34 // 32
    assert cache_bytes(info, 1, "q4_0") == 28_672 * 18 // 32
    assert cache_bytes(info, 32_768) == 32_768 * 57_344
    assert cache_bytes(info, 1000) == cache_bytes(info, 1024), "cells come in blocks of 256"


def test_the_pool_is_a_context_for_everybody_within_a_gigabyte_and_a_quarter_of_memory() -> None:
    info = info_of("qwen2-0.5b")
    row = cache_bytes(info, 1)
    assert default_cells(info, n_ctx=4096, n_seq_max=4, kv_type="f16") == 16_384
    assert default_cells(info, n_ctx=32_768, n_seq_max=16, kv_type="f16") * row <= (1 << 30) + 256 * row
    assert default_cells(info, n_ctx=4096, n_seq_max=16, kv_type="f16", available=4 * row * 8000) == 8192
    assert default_cells(info, n_ctx=4096, n_seq_max=16, kv_type="f16", available=0) == 4096


def test_layers_on_the_graphics_card_leave_host_memory() -> None:
    info = info_of("qwen2-7b")
    whole = estimate(info, n_ctx=8192, n_seq_max=16, n_cells=8192, n_gpu_layers=99)
    half = estimate(info, n_ctx=8192, n_seq_max=16, n_cells=8192, n_gpu_layers=15)
    none = estimate(info, n_ctx=8192, n_seq_max=16, n_cells=8192)
    assert none.device == 0
    assert 0 < half.device < whole.device
    assert none.host > half.host > whole.host
    assert whole.device > sum(info.weights.blocks) + none.kv
    assert estimate(info, n_ctx=8192, n_seq_max=16, n_cells=8192, n_gpu_layers=-1) == whole


def test_a_tied_embedding_lies_on_both_sides_when_layers_are_offloaded() -> None:
    info = info_of("qwen2-1.5b")
    on_card = estimate(info, n_ctx=4096, n_seq_max=16, n_cells=4096, n_gpu_layers=99)
    on_host = estimate(info, n_ctx=4096, n_seq_max=16, n_cells=4096)
    assert on_card.weights - on_host.weights == info.weights.embedding


def test_quantised_values_are_counted_in_whole_blocks() -> None:
    assert [kv_bytes(64, kind) for kind in ("f16", "q8_0", "q4_0")] == [128, 68, 36]


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.model
@pytest.mark.parametrize(("n_ctx", "kv_type"), [(4096, "f16"), (65_536, "f16"), (65_536, "q8_0")])
async def test_the_estimate_is_near_what_the_engine_has_in_memory(n_ctx: int, kv_type: str) -> None:
    seen = await measure(BUNDLED, n_ctx=n_ctx, kv_type=kv_type)  # type: ignore[arg-type]
    if seen.resident is None:
        pytest.skip("this system does not tell what a process has in memory")
    # of a model so small the process is the most, and it differs by libraries: a few megabytes are allowed for it
    allowed = TOLERANCE * seen.resident + 12 * MB
    assert abs(seen.estimate.total - seen.resident) < allowed, f"{seen.estimate} against {seen.resident / MB:.0f} MB"


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.model
async def test_weights_that_llama_cpp_rearranges_do_not_stay_in_memory_twice(tmp_path: Path) -> None:
    shape = replace(SHAPES["tiny-qwen2-256"], n_layer=4, n_ff=3072, n_embd=768, n_head=12, n_head_kv=2)
    path = make_random_gguf(shape, tmp_path / "m.gguf", "Q4_0")
    info = read_info(path)
    seen = await smoke(EngineConfig(model_path=path, n_ctx=256, n_cells=256, host_cache_bytes=0), _hello)
    empty = await smoke(EngineConfig(model_path=BUNDLED, n_ctx=256, n_cells=256, host_cache_bytes=0), _hello)
    assert seen.resident_bytes is not None and empty.resident_bytes is not None
    assert seen.resident_bytes - empty.resident_bytes < 1.4 * info.weights.total


def _hello(_: ModelInfo, __: int) -> tuple[Segment, ...]:
    return (Segment("hello", False),)
