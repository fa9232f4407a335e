"""Damaged model files and the engine's child: refused in one line, soon, by a process that can be spared."""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from engine_tools import bundled_model, request

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.process import BackOff, EngineProcess
from r1chat.serve.engine.request import Event, Finished, Segment, TokenOutput
from r1chat.serve.errors import EngineStoppedError, ModelLoadError, NonFiniteLogitsError
from r1chat.serve.models.gguf.info import read_info
from r1chat.serve.models.gguf.reader import Header, read_header
from r1chat.serve.models.gguf.shapes import make_random_gguf

pytestmark = pytest.mark.anyio

# Alone a case takes a third of a second, and three are asked for; whatever runs beside takes its share.
SOON_S = 60.0

Damage = Callable[[bytearray, Header], None]


def config_of(path: Path, n_ctx: int = 512) -> EngineConfig:
    return EngineConfig(model_path=path, n_ctx=n_ctx, n_cells=4 * n_ctx, host_cache_bytes=0, n_seq_max=4)


@asynccontextmanager
async def served(path: Path, n_ctx: int = 512) -> AsyncIterator[EngineProcess]:
    engine = EngineProcess(config_of(path, n_ctx), BackOff(first_s=0.05, broken_s=0.3))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def number(key: str, value: int | float) -> Damage:
    """Writes a number of 32 bits over the one that the key has."""

    def damage(data: bytearray, _: Header) -> None:
        name = key.encode()
        place = data.index(struct.pack("<Q", len(name)) + name) + 8 + len(name) + 4
        struct.pack_into("<f" if isinstance(value, float) else "<I", data, place, value)

    return damage


def tensor_data(fill: bytes, *names: str) -> Damage:
    """Fills the data of tensors (all, where none is named) with the byte."""

    def damage(data: bytearray, header: Header) -> None:
        if not names:
            data[header.data_start :] = fill * (len(data) - header.data_start)
        for tensor in header.tensors:
            if tensor.name in names:
                start = header.data_start + tensor.offset
                data[start : start + 64] = fill * 64

    return damage


def cut_after_header(data: bytearray, header: Header) -> None:
    del data[header.data_start + 1000 :]


def swapped_types(data: bytearray, header: Header) -> None:
    """The output matrix claims to be of 4 bits: it reads within the file, and wrongly."""
    name = b"output.weight"
    place = data.index(struct.pack("<Q", len(name)) + name) + 8 + len(name)
    n_dims = struct.unpack_from("<I", data, place)[0]
    struct.pack_into("<I", data, place + 4 + 8 * n_dims, 2)


REFUSED: dict[str, tuple[Damage, str]] = {
    "1000 blocks of which two are there": (number("qwen2.block_count", 1000), "signal|blk.2"),
    "one block less than there is": (number("qwen2.block_count", 1), "number of tensors"),
    "another width": (number("qwen2.embedding_length", 1000), "wrong shape"),
    "other heads": (number("qwen2.attention.head_count_kv", 1), "wrong shape"),
    "rows for rotation that no head has": (number("qwen2.rope.dimension_count", 4097), "rope.dimension_count|gave up"),
    "a norm of NaN": (number("qwen2.attention.layer_norm_rms_epsilon", float("nan")), "rms_epsilon|gave up"),
    "a rotation of NaN": (number("qwen2.rope.freq_base", float("nan")), "freq_base|non-finite"),
    "weights of NaN": (tensor_data(b"\xff", "blk.0.attn_output.weight"), "non-finite"),
    "weights that were never written": (tensor_data(b"\0"), "never written"),
    "weights cut off": (cut_after_header, "not within the file"),
    "a tensor of another type": (swapped_types, "cannot load|signal|non-finite"),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_random_gguf("tiny-qwen2", tmp_path_factory.mktemp("sound") / "m.gguf", "Q8_0").read_bytes()


@pytest.fixture
def damaged(sound: bytes, tmp_path: Path) -> Callable[[Damage], Path]:
    def made(damage: Damage) -> Path:
        path = tmp_path / "m.gguf"
        path.write_bytes(sound)
        with path.open("rb") as file:
            header = read_header(file, len(sound))
        data = bytearray(sound)
        damage(data, header)
        path.write_bytes(data)
        return path

    return made


@pytest.mark.parametrize("case", REFUSED)
async def test_a_damaged_model_is_refused_by_the_child_in_one_line_and_soon(
    case: str, damaged: Callable[[Damage], Path]
) -> None:
    damage, reason = REFUSED[case]
    engine = EngineProcess(config_of(damaged(damage)))
    began = time.monotonic()
    with pytest.raises(ModelLoadError, match=reason) as refused:
        await engine.start()
    assert time.monotonic() - began < SOON_S
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300
    assert engine.state == "stopped" and engine.pid is None


async def test_flipped_bits_in_weights_harm_nobody(damaged: Callable[[Damage], Path]) -> None:
    def flip(data: bytearray, header: Header) -> None:
        start = header.data_start
        for i in range(40):
            data[start + i * (len(data) - start) // 40] ^= 1 << i % 8

    path = damaged(flip)
    assert read_info(path).n_vocab == 512, "the header is sound, so only running the model can tell"
    try:
        async with served(path) as engine:
            events = await collect(engine, "r", max_tokens=8)
            assert isinstance(events[-1], Finished)
    except (ModelLoadError, NonFiniteLogitsError) as error:
        assert "\n" not in str(error)


async def collect(engine: EngineProcess, request_id: str, max_tokens: int) -> list[Event]:
    return [event async for event in engine.generate(request(request_id, temperature=0.0, max_tokens=max_tokens))]


@pytest.mark.slow
async def test_a_file_cut_short_while_served_ends_the_child_alone_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "served.gguf"
    shutil.copy(bundled_model(), path)
    async with served(path, n_ctx=4096) as engine:
        before, old_pid = await collect(engine, "before", max_tokens=16), engine.pid
        ends = await engine.tokenize((Segment("</think><｜end▁of▁sentence｜>", True),))
        on_and_on = request("running", "What is 17 + 25?", seed=1, logit_bias=dict.fromkeys(ends.tokens, -100.0))
        running = engine.generate(on_and_on)
        while not isinstance(await anext(running), TokenOutput):
            pass
        os.truncate(path, 40_000)
        with pytest.raises(EngineStoppedError, match=r"file was (cut short|changed)"):
            async for _ in running:
                pass
        with pytest.raises(EngineStoppedError, match="not within the file bounds"):
            while True:
                await collect(engine, f"cut {time.monotonic()}", max_tokens=16)
        shutil.copy(bundled_model(), tmp_path / "new.gguf")
        os.replace(tmp_path / "new.gguf", path)
        assert _text(await _answered(engine)) == _text(before)
        assert engine.pid != old_pid


async def _answered(engine: EngineProcess) -> list[Event]:
    deadline = time.monotonic() + 60
    while True:
        try:
            return await collect(engine, f"again {time.monotonic()}", max_tokens=16)
        except EngineStoppedError:
            assert time.monotonic() < deadline, "it did not come back"
            await asyncio.sleep(0.1)


def _text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TokenOutput))


@pytest.mark.slow
async def test_a_file_replaced_by_another_changes_nothing_and_one_written_over_is_loaded_anew(tmp_path: Path) -> None:
    path = tmp_path / "served.gguf"
    shutil.copy(bundled_model(), path)
    async with served(path) as engine:
        before, pid = await collect(engine, "before", max_tokens=16), engine.pid
        (tmp_path / "other").write_bytes(b"GGUF")
        os.replace(tmp_path / "other", path)
        assert _text(await collect(engine, "replaced", max_tokens=16)) == _text(before)
        assert engine.pid == pid
    shutil.copy(bundled_model(), path)
    async with served(path) as engine:
        pid = engine.pid
        with path.open("r+b") as file:
            file.write(bundled_model().read_bytes())
        # whoever notices waits for the model instead of being told what the written file would say
        assert _text(await collect(engine, "written over", max_tokens=16)) == _text(before)
        assert engine.pid != pid
        assert engine.restarts == 1
