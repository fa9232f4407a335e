"""The header reader takes sound files, and refuses damaged ones in one line and within bounds."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1chat.serve.errors import ModelLoadError
from r1chat.serve.models.gguf.info import GgufInfo, read_info
from r1chat.serve.models.gguf.shapes import make_random_gguf
from r1chat.serve.models.gguf.types import BLOCKS, FILE_TYPES

ARCH = "qwen2"


def string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def key(name: str, kind: int, value: bytes) -> bytes:
    return string(name.encode()) + struct.pack("<I", kind) + value


def start(n_tensors: int, n_keys: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_keys)


def header(keys: list[bytes], tensors: list[bytes]) -> bytes:
    return start(len(tensors), len(keys)) + b"".join(keys) + b"".join(tensors)


def tensor(name: bytes, dims: list[int], kind: int = 0, offset: int = 0) -> bytes:
    shape = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return string(name) + shape + struct.pack("<IQ", kind, offset)


def u32(name: str, value: int) -> bytes:
    return key(name, 4, struct.pack("<I", value))


def f32(name: str, value: float) -> bytes:
    return key(name, 6, struct.pack("<f", value))


def text(name: str, value: bytes) -> bytes:
    return key(name, 8, string(value))


def texts(name: str, values: list[bytes]) -> bytes:
    return key(name, 9, struct.pack("<IQ", 8, len(values)) + b"".join(map(string, values)))


def sound_keys(**changes: bytes) -> list[bytes]:
    keys = {
        "arch": text("general.architecture", ARCH.encode()),
        "blocks": u32(f"{ARCH}.block_count", 2),
        "width": u32(f"{ARCH}.embedding_length", 64),
        "heads": u32(f"{ARCH}.attention.head_count", 4),
        "ctx": u32(f"{ARCH}.context_length", 256),
        "tokens": texts("tokenizer.ggml.tokens", [b"a", b"b", b"c"]),
        "eos": u32("tokenizer.ggml.eos_token_id", 2),
    }
    return list((keys | changes).values())


def sound_file(**changes: bytes) -> bytes:
    head = header(sound_keys(**changes), [tensor(b"t", [8])])
    return head + bytes(-len(head) % 32) + bytes(32)


def read_bytes(data: bytes, folder: Path) -> GgufInfo:
    path = folder / "case.gguf"
    path.write_bytes(data)
    return read_info(path)


def test_hand_made_sound_file_is_read(tmp_path: Path) -> None:
    info = read_bytes(sound_file(), tmp_path)
    assert (info.block_count, info.head_count_kv, info.n_vocab, info.eos_token) == (2, (4, 4), 3, "c")
    assert (info.n_params, info.chat_template, info.file_type, info.name) == (8, None, "unknown", "case")


@pytest.mark.parametrize(
    "value", [key("general.file_type", 9, struct.pack("<IQ", 4, 0)), text("general.file_type", b"7")]
)
def test_file_type_of_another_kind_is_unknown(value: bytes, tmp_path: Path) -> None:
    assert read_bytes(sound_file(more=value), tmp_path).file_type == "unknown"


DAMAGED = {
    "empty": (b"", "ends within"),
    "magic only": (b"GGUF", "ends within"),
    "a web page": (b"<!DOCTYPE html><html>404</html>", "not a GGUF"),
    "big-endian version": (b"GGUF" + struct.pack(">I", 3) + bytes(16), "version 50331648"),
    "version 1": (b"GGUF" + struct.pack("<I", 1) + bytes(16), "version 1"),
    "too many tensors": (start(1 << 40, 0), "tensors"),
    "too many keys": (start(0, 1 << 60), "keys"),
    "key longer than any file": (start(0, 1) + struct.pack("<Q", 1 << 63), "bytes in a key"),
    "list longer than any file": (
        header([key("a", 9, struct.pack("<IQ", 4, 1 << 62))], []),
        "entries",
    ),
    "list within a list": (header([key("a", 9, struct.pack("<IQ", 9, 1))], []), "unknown type 9"),
    "unknown value type": (header([key("a", 99, b"")], []), "unknown type 99"),
    "key twice": (header(sound_keys(more=u32(f"{ARCH}.block_count", 2)), []), "twice"),
    "alignment 0": (sound_file(more=u32("general.alignment", 0)), "alignment"),
    "alignment 48": (sound_file(more=u32("general.alignment", 48)), "alignment"),
    "no tensors": (header(sound_keys(), []), "no weights"),
    "architecture is a number": (sound_file(arch=u32("general.architecture", 1)), "architecture"),
    "architecture is not UTF-8": (sound_file(arch=text("general.architecture", b"\xff")), "UTF-8"),
    "no block count": (sound_file(blocks=u32("other", 1)), "lacks qwen2.block_count"),
    "0 blocks": (sound_file(blocks=u32(f"{ARCH}.block_count", 0)), "block_count is 0"),
    "2^31 blocks": (sound_file(blocks=u32(f"{ARCH}.block_count", 1 << 31)), "block_count"),
    "0 heads": (sound_file(heads=u32(f"{ARCH}.attention.head_count", 0)), "head_count"),
    "a norm of NaN": (sound_file(more=f32(f"{ARCH}.attention.layer_norm_rms_epsilon", math.nan)), "rms_epsilon is nan"),
    "a rotation of infinity": (sound_file(more=f32(f"{ARCH}.rope.freq_base", math.inf)), "freq_base is inf"),
    "more rotated than a head has": (sound_file(more=u32(f"{ARCH}.rope.dimension_count", 18)), "a head has 16"),
    "an odd number rotated": (sound_file(more=u32(f"{ARCH}.rope.dimension_count", 7)), "dimension_count is 7"),
    "0 context": (sound_file(ctx=u32(f"{ARCH}.context_length", 0)), "context_length"),
    "first of parts that are not there": (
        sound_file(more=key("split.count", 2, struct.pack("<H", 2))),
        "must be named like model-00001-of-00002.gguf",
    ),
    "more parts than there can be": (sound_file(more=u32("split.count", 1 << 30)), "split.count"),
    "later part of a split": (sound_file(more=key("split.no", 2, struct.pack("<H", 1))), "first part"),
    "no vocabulary": (sound_file(tokens=u32("other", 1)), "no vocabulary"),
    "a token twice": (sound_file(tokens=texts("tokenizer.ggml.tokens", [b"a", b"b", b"a"])), "twice"),
    "a token twice up to its NUL": (sound_file(tokens=texts("tokenizer.ggml.tokens", [b"a", b"b", b"a\0"])), "twice"),
    "end token outside": (sound_file(eos=u32("tokenizer.ggml.eos_token_id", 3)), "eos_token_id 3"),
    "token types of another length": (
        sound_file(more=key("tokenizer.ggml.token_type", 9, struct.pack("<IQ2i", 5, 2, 1, 1))),
        "token_type",
    ),
    "token types as bytes": (
        sound_file(more=key("tokenizer.ggml.token_type", 9, struct.pack("<IQ3B", 0, 3, 1, 1, 1))),
        "token_type",
    ),
    "tensor of 9 dimensions": (header(sound_keys(), [tensor(b"t", [1] * 9)]), "dimensions"),
    "tensor without elements": (header(sound_keys(), [tensor(b"t", [0])]), "impossible shape"),
    "tensor size that overflows": (header(sound_keys(), [tensor(b"t", [1 << 42, 1 << 42])]), "impossible shape"),
    "tensor of negative length": (header(sound_keys(), [tensor(b"t", [1 << 63])]), "elements"),
    "tensor of unknown type": (header(sound_keys(), [tensor(b"t", [8], kind=999)]), "unknown type"),
    "row that is no whole block": (header(sound_keys(), [tensor(b"t", [33], kind=8)]), "impossible shape"),
    "tensor beyond the end": (header(sound_keys(), [tensor(b"t", [8], offset=1 << 40)]), "past the end"),
    "tensor askew": (header(sound_keys(), [tensor(b"t", [8], offset=4)]), "multiple of 32"),
    "tensor's data cut": (sound_file()[:-1], "past the end"),
    "name of 200 letters": (header(sound_keys(), [tensor(b"n" * 200, [8])]), "name"),
    "tensor twice": (header(sound_keys(), [tensor(b"t", [8]), tensor(b"t", [8])]), "same name"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_file_is_refused_in_one_clear_line(case: str, tmp_path: Path) -> None:
    data, reason = DAMAGED[case]
    with pytest.raises(ModelLoadError) as refused:
        read_bytes(data, tmp_path)
    assert reason in str(refused.value)
    assert str(refused.value).startswith("case.gguf: ")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_every_cut_of_a_real_model_is_refused(tmp_path: Path) -> None:
    whole = make_random_gguf("tiny-qwen2", tmp_path / "m.gguf", "Q8_0").read_bytes()
    assert read_bytes(whole, tmp_path).n_vocab == 512
    # the last tensor may be followed by padding
    for length in (*range(0, 400, 7), *range(400, len(whole) - 64, 4001), len(whole) - 64):
        with pytest.raises(ModelLoadError):
            read_bytes(whole[:length], tmp_path)


def test_a_model_in_parts_is_counted_whole_and_refused_where_one_is_missing_or_damaged(tmp_path: Path) -> None:
    def part(number: int) -> bytes:
        keys = [key("split.no", 2, struct.pack("<H", number)), key("split.count", 2, struct.pack("<H", 2))]
        head = header([*sound_keys(), *keys] if number == 0 else keys, [tensor(b"t%d" % number, [8])])
        return head + bytes(-len(head) % 32) + bytes(32)

    first, second = (tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2))
    first.write_bytes(part(0))
    with pytest.raises(ModelLoadError, match=r"part 2 of 2, m-00002-of-00002\.gguf, is missing"):
        read_info(first)
    second.write_bytes(part(1))
    info = read_info(first)
    assert (info.n_params, info.weights.total) == (16, 64)
    assert info.size_bytes == first.stat().st_size + second.stat().st_size
    second.write_bytes(part(1)[:-1])
    with pytest.raises(ModelLoadError, match="past the end"):
        read_info(first)


def test_weights_are_counted_where_they_lie(tmp_path: Path) -> None:
    path = make_random_gguf("tiny-qwen2", tmp_path / "m.gguf", "Q8_0")
    info = read_info(path)
    assert info.weights.embedding == 512 * 64 * 34 // 32
    assert len(info.weights.blocks) == 2 and info.weights.blocks[0] == info.weights.blocks[1] > 0
    assert not info.weights.tied and info.weights.rest > info.weights.embedding
    assert 0 <= info.size_bytes - info.weights.total < 64_000
    assert info.thought_tags == ("<think>", "</think>")


def test_missing_file_and_folder_are_load_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelLoadError, match=str(path)):
            read_info(path)


def test_lists_are_bounded_together_and_kept_compact(tmp_path: Path) -> None:
    n = 900_000
    data = header([key(f"k{i}", 9, struct.pack("<IQ", 4, n) + bytes(4 * n)) for i in range(3)], [])
    tracemalloc.start()
    with pytest.raises(ModelLoadError, match="entries"):
        read_bytes(data, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(data)


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_random_gguf("tiny-qwen2", tmp_path_factory.mktemp("tiny") / "m.gguf", "Q8_0").read_bytes()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, 1 << 32), st.integers(0, 255)), min_size=1, max_size=8))
def test_mutated_header_gives_an_answer_or_a_load_error(
    tiny_model: bytes, tmp_path: Path, edits: list[tuple[int, int]]
) -> None:
    data = bytearray(tiny_model)
    end_of_header = 24_000
    for place, value in edits:
        # half of the edits hit the first keys, where the numbers that size everything else are
        data[place % (1000 if place % 2 else end_of_header)] = value
    try:
        info = read_bytes(bytes(data), tmp_path)
    except ModelLoadError as error:
        assert "\n" not in str(error)
    else:
        assert 1 <= info.block_count <= 1024
        assert info.kv_bytes_per_token() >= 0


def test_tables_of_types_are_those_of_the_gguf_package() -> None:
    import gguf

    sizes = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
    # Q8_1 never lies in a file (the package counts it otherwise than ggml); Q2_0 is newer than the package
    assert {kind: size for kind, size in BLOCKS.items() if kind not in (9, 42)} == {
        kind: size for kind, size in sizes.items() if kind != 9
    }
    names = {int(kind): kind.name.split("_", 1)[1] for kind in gguf.LlamaFileType if kind.name != "GUESSED"}
    assert {kind: name for kind, name in FILE_TYPES.items() if kind != 41} == names


def test_reading_a_header_imports_nothing_heavy() -> None:
    code = (
        "import sys; import r1chat.serve.models.gguf.info;"
        "sys.exit(any(m in sys.modules for m in ('numpy', 'gguf', 'llama_cpp')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
