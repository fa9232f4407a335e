"""The writer stores every tensor under llama.cpp's name, type and layout, or nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import gguf
import numpy as np
import pytest

from r1chat.serve.models.gguf import writer
from r1chat.serve.models.gguf.shapes import synthetic_tokenizer
from r1chat.serve.models.gguf.spec import ModelSpec, TokenizerSpec
from r1chat.serve.models.gguf.writer import write_gguf

SPEC = ModelSpec(
    architecture="qwen2", n_vocab=320, n_embd=32, n_layer=1, n_ff=64, n_head=2, n_head_kv=1, n_ctx=128, tied=True
)
TOKENIZER = synthetic_tokenizer(300)


def random_tensors(spec: ModelSpec) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in spec.tensor_shapes().items()}


def write(
    path: Path, spec: ModelSpec = SPEC, tensors: Mapping[str, np.ndarray] | None = None, **kwargs: object
) -> Path:
    settings = {"tokenizer": TOKENIZER, "file_type": "F32"} | kwargs
    return write_gguf(path, spec=spec, tensors=random_tensors(spec) if tensors is None else tensors, **settings)  # type: ignore[arg-type]


def stored(path: Path) -> dict[str, gguf.ReaderTensor]:
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def value(path: Path, key: str) -> object:
    field = gguf.GGUFReader(path).get_field(key)
    assert field is not None, key
    return field.contents()


def test_tied_model_has_no_output_tensor_and_untied_has(tmp_path: Path) -> None:
    assert "output.weight" not in stored(write(tmp_path / "tied.gguf"))
    assert "output.weight" in stored(write(tmp_path / "untied.gguf", replace(SPEC, tied=False)))


def test_one_dimensional_tensors_stay_f32_and_others_take_the_type(tmp_path: Path) -> None:
    for file_type in ("F32", "F16", "Q8_0"):
        for tensor in stored(write(tmp_path / "m.gguf", file_type=file_type)).values():
            assert tensor.tensor_type.name == ("F32" if len(tensor.shape) == 1 else file_type), tensor.name


def test_rows_that_q8_cannot_hold_become_f16(tmp_path: Path) -> None:
    spec = replace(SPEC, n_ff=80)
    types = {name: t.tensor_type.name for name, t in stored(write(tmp_path / "m.gguf", spec, file_type="Q8_0")).items()}
    assert types["blk.0.ffn_down.weight"] == "F16"
    assert types["blk.0.ffn_up.weight"] == "Q8_0"


def test_q8_values_lie_within_half_a_step(tmp_path: Path) -> None:
    # and a little: the step itself is stored in half precision
    tensors = random_tensors(SPEC)
    tensor = stored(write(tmp_path / "m.gguf", tensors=tensors, file_type="Q8_0"))["blk.0.ffn_up.weight"]
    original = tensors["model.layers.0.mlp.up_proj.weight"]
    step = np.abs(original).max(axis=1, keepdims=True) / 127
    assert (np.abs(gguf.quants.dequantize(tensor.data, tensor.tensor_type) - original) <= 0.57 * step).all()


def test_llama_query_and_key_rows_are_interleaved_and_qwen2_rows_are_not(tmp_path: Path) -> None:
    llama = replace(SPEC, architecture="llama")
    tensors = random_tensors(llama)
    written = stored(write(tmp_path / "llama.gguf", llama, tensors))
    query = tensors["model.layers.0.self_attn.q_proj.weight"]
    # heads of 16: rows 0, 8, 1, 9, ... of the first, then of the second
    order = [head * 16 + half * 8 + i for head in (0, 1) for i in range(8) for half in (0, 1)]
    assert (written["blk.0.attn_q.weight"].data == query[order]).all()
    assert (written["blk.0.attn_v.weight"].data == tensors["model.layers.0.self_attn.v_proj.weight"]).all()
    plain = stored(write(tmp_path / "qwen2.gguf"))
    assert (plain["blk.0.attn_q.weight"].data == random_tensors(SPEC)["model.layers.0.self_attn.q_proj.weight"]).all()


def test_vocabulary_is_padded_to_the_rows_of_the_table_with_unused_tokens(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf")
    tokens, types = value(path, "tokenizer.ggml.tokens"), value(path, "tokenizer.ggml.token_type")
    assert isinstance(tokens, list) and isinstance(types, list)
    assert tokens[:300] == list(TOKENIZER.tokens)
    assert (tokens[300], tokens[-1], types[300:]) == ("[PAD300]", "[PAD319]", [5] * 20)


def test_metadata_keeps_its_type(tmp_path: Path) -> None:
    metadata = {"general.license": "mit", "r1chat.demo": True, "r1chat.accuracy": 0.875, "r1chat.steps": 12}
    path = write(tmp_path / "m.gguf", metadata=metadata)
    for key, wanted in metadata.items():
        found = value(path, key)
        assert (found, type(found)) == (wanted, type(wanted))


def test_a_lazy_mapping_is_asked_for_one_tensor_after_the_other(tmp_path: Path) -> None:
    asked = []

    class Lazy(dict[str, np.ndarray]):
        def __getitem__(self, name: str) -> np.ndarray:
            asked.append(name)
            return super().__getitem__(name)

    write(tmp_path / "m.gguf", tensors=Lazy(random_tensors(SPEC)))
    assert asked == list(SPEC.tensor_shapes())


def without(tensors: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {key: array for key, array in tensors.items() if key != name}


def test_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"old")
    wrong_shape = random_tensors(SPEC) | {"model.norm.weight": np.zeros(31, np.float32)}
    with pytest.raises(ValueError, match=r"model.norm.weight has the shape \(31,\)"):
        write(path, tensors=wrong_shape)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (without(random_tensors(SPEC), "model.norm.weight"), "missing.*model.norm.weight"),
        (random_tensors(SPEC) | {"model.layers.0.extra.weight": np.zeros(1)}, "no place.*extra"),
    ],
)
def test_missing_and_unknown_tensors_are_named(tensors: dict[str, np.ndarray], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=reason):
        write(tmp_path / "m.gguf", tensors=tensors)


@pytest.mark.parametrize(
    ("tokenizer", "reason"),
    [
        (synthetic_tokenizer(321), "do not fit"),
        (replace(TOKENIZER, merges=[]), "without merges"),
        (replace(TOKENIZER, eos_id=300), "eos_id 300"),
        (replace(TOKENIZER, token_types=[1]), "token types"),
        (replace(TOKENIZER, tokens=[TOKENIZER.tokens[1], *TOKENIZER.tokens[1:]]), "twice"),
    ],
)
def test_tokenizer_that_llama_cpp_would_not_load_is_refused(
    tokenizer: TokenizerSpec, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=reason):
        write(tmp_path / "m.gguf", tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"n_head": 3}, "multiple"), ({"architecture": "gpt2"}, "gpt2"), ({"n_embd": 6, "n_head_kv": 2}, "odd")],
)
def test_impossible_shape_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        replace(SPEC, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_runs_of_rows_make_the_file_that_whole_tensors_make(
    architecture: Literal["qwen2", "llama"], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = replace(SPEC, architecture=architecture)
    whole = write(tmp_path / "whole.gguf", spec, file_type="Q8_0").read_bytes()
    for n_numbers in (1, 7 * 32, 100 * 32):
        monkeypatch.setattr(writer, "_RUN", n_numbers)
        assert write(tmp_path / "runs.gguf", spec, file_type="Q8_0").read_bytes() == whole


def test_bf16_is_rounded_to_the_nearest_and_exact_where_it_can_be(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = random_tensors(SPEC)
    up = tensors["model.layers.0.mlp.up_proj.weight"]
    up[0, :4] = [0.0, -0.0, 3.0e38, 1e-40]
    data = stored(write(tmp_path / "m.gguf", tensors=tensors, file_type="BF16"))["blk.0.ffn_up.weight"].data
    expected = torch.from_numpy(up).bfloat16().view(torch.uint16).numpy()
    assert np.array_equal(data.view(np.uint16).reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("file_type", "value", "reason"),
    [("F32", np.nan, "no numbers"), ("Q8_0", np.inf, "no numbers"), ("F16", 1e6, "too large for F16")],
)
def test_weights_the_file_cannot_hold_are_refused(file_type: str, value: float, reason: str, tmp_path: Path) -> None:
    tensors = random_tensors(SPEC)
    tensors["model.layers.0.mlp.up_proj.weight"][3, 5] = value
    with pytest.raises(ValueError, match=rf"model\.layers\.0\.mlp\.up_proj\.weight .*{reason}"):
        write(tmp_path / "m.gguf", tensors=tensors, file_type=file_type)
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_every_byte_of_the_weights(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = write(tmp_path / "m.gguf", on_progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1][0] == told[-1][1] == sum(int(tensor.n_bytes) for tensor in stored(path).values())


def test_frequencies_that_old_checkpoints_carry_are_passed_over(tmp_path: Path) -> None:
    tensors = random_tensors(SPEC) | {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(8, np.float32)}
    assert "blk.0.attn_q.weight" in stored(write(tmp_path / "m.gguf", tensors=tensors))
