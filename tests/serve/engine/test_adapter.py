"""An adapter in the engine: what its child computes, refuses, and keeps apart from the base."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from adapters import WIDE, make_base, make_lora
from engine_tools import request

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.host_cache import cache_key
from r1chat.serve.engine.process import EngineProcess
from r1chat.serve.engine.request import TokenOutput
from r1chat.serve.errors import ModelLoadError

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("models") / "base.gguf", quant="Q8_0")


@pytest.fixture(scope="module")
def lora(base: Path) -> Path:
    return make_lora(base.with_name("lora.gguf"))


def config(base: Path, adapter: Path | None, **settings: object) -> EngineConfig:
    known = {"n_ctx": 512, "n_cells": 1024, "host_cache_bytes": 1 << 20, "n_threads": 1, **settings}
    return EngineConfig(model_path=base, adapter=adapter, **known)  # type: ignore[arg-type]


async def greedy(settings: EngineConfig, text: str = "hello", n: int = 12) -> str:
    engine = EngineProcess(settings)
    info = await engine.start()
    assert not (settings.adapter and info.deterministic)
    try:
        answer = request("r", text, temperature=0.0, max_tokens=n)
        return "".join([e.text async for e in engine.generate(answer) if isinstance(e, TokenOutput)])
    finally:
        await engine.stop()


@pytest.mark.slow
async def test_answers_are_not_the_base_s_and_neither_are_kept_conversations(
    base: Path, lora: Path, tmp_path: Path
) -> None:
    kept, text = tmp_path / "kept", "seventeen sheep " * 20
    fresh, alone = await asyncio.gather(
        greedy(config(base, lora, speculate=False), text), greedy(config(base, None, cache_folder=kept), text)
    )
    assert fresh and fresh != alone
    assert any(kept.rglob("*.prompt")), "the base's conversation was kept"
    assert cache_key(base) != cache_key(base, adapter=lora)
    assert await greedy(config(base, lora, cache_folder=kept), text) == fresh


async def test_child_refuses_an_adapter_of_another_model_in_a_line(base: Path, tmp_path: Path) -> None:
    other = make_lora(tmp_path / "other.gguf", WIDE)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(other.read_bytes()[:2000])
    for adapter in (other, broken, tmp_path / "none.gguf"):
        engine = EngineProcess(config(base, adapter))
        with pytest.raises(ModelLoadError, match=adapter.name) as error:
            await engine.start()
        assert "\n" not in str(error.value)
        await engine.stop()


async def test_child_refuses_an_adapter_of_values_that_are_no_numbers(base: Path, lora: Path, tmp_path: Path) -> None:
    poisoned = tmp_path / "nan.gguf"
    data = bytearray(lora.read_bytes())
    data[-2048:] = b"\xff\x7f" * 1024  # NaN in 16 bits
    poisoned.write_bytes(data)
    engine = EngineProcess(config(base, poisoned))
    with pytest.raises(ModelLoadError, match="non-finite"):
        await engine.start()
    await engine.stop()
