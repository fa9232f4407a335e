"""Adapters among the models: found by name with their base, counted, refused where they do not fit, deleted alone."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
from pathlib import Path

import gguf
import pytest
from adapters import PARTS, SPEC, WIDE, make_base, make_lora

from r1chat.serve.errors import InvalidRequestError, ModelLoadError, ModelNotFoundError
from r1chat.serve.models import catalog
from r1chat.serve.models.catalog import ModelEntry
from r1chat.serve.models.gguf.adapter import read_adapter
from r1chat.serve.models.gguf.info import read_info
from r1chat.serve.models.gguf.stamp import stamp
from r1chat.serve.models.removal import remove
from r1chat.serve.models.specs import LoadOptions, info_of, spec_of
from r1chat.serve.models.students import register_student


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    monkeypatch.setenv("R1CHAT_MODELS", str(folder))
    return folder


@pytest.fixture
def pupil(models: Path, tmp_path: Path) -> ModelEntry:
    """An adapter on its base, both registered."""
    source = {"source": str(tmp_path), "quant": "F32"}
    register_student(make_base(tmp_path / "base.gguf"), "pupil-base", source)
    register_student(make_lora(tmp_path / "lora.gguf"), "pupil", {**source, "adapter_of": "pupil-base"})
    return catalog.resolve("pupil")


def test_name_of_an_adapter_means_its_base_with_it(pupil: ModelEntry, models: Path) -> None:
    assert (pupil.id, pupil.path, pupil.adapter) == ("pupil", models / "pupil-base.gguf", models / "pupil.gguf")
    listed = {model.id: model for model in catalog.local_models()}
    assert listed["pupil"].paths == (models / "pupil.gguf",) and listed["pupil"].source == "student"
    assert listed["pupil-base"].entry.adapter is None
    assert catalog.local_model("pupil-base") == listed["pupil-base"], "both share a file"
    assert catalog.local_model("pupil") == listed["pupil"]


def test_engine_is_told_of_it_and_its_bytes_are_counted(pupil: ModelEntry) -> None:
    assert pupil.adapter is not None
    spec, _ = spec_of(pupil, LoadOptions())
    alone, _ = spec_of(ModelEntry("base", pupil.path), LoadOptions())
    assert spec.config.adapter == pupil.adapter and alone.config.adapter is None
    assert spec.n_bytes - alone.n_bytes == pupil.adapter.stat().st_size
    assert info_of(pupil).weights.rest - read_info(pupil.path).weights.rest == pupil.adapter.stat().st_size


def test_deleting_one_leaves_the_other(pupil: ModelEntry, models: Path) -> None:
    assert remove("pupil")[0] == "pupil"
    assert sorted(path.name for path in models.iterdir()) == ["pupil-base.gguf", "pupil-base.json"]


def test_adapter_whose_base_is_gone_says_so_and_can_be_deleted(pupil: ModelEntry, models: Path) -> None:
    remove("pupil-base")
    with pytest.raises(ModelNotFoundError, match=r"pupil is an adapter of 'pupil-base'.*r1chat rm pupil"):
        catalog.resolve("pupil")
    assert [model.id for model in catalog.local_models()] == ["demo"]
    remove("pupil")
    assert list(models.iterdir()) == []


def test_adapters_of_each_other_end(pupil: ModelEntry, models: Path) -> None:
    (models / "pupil-base.json").write_text(json.dumps({"adapter_of": "pupil"}))
    for name in ("pupil", "pupil-base"):
        with pytest.raises(ModelNotFoundError, match="is an adapter of"):
            catalog.resolve(name)
    (models / "pupil.json").write_text(json.dumps({"adapter_of": "demo"}))
    assert catalog.resolve("pupil").path == catalog.BUNDLED


def test_adapter_alone_is_no_model(pupil: ModelEntry) -> None:
    assert pupil.adapter is not None
    with pytest.raises(ModelLoadError, match="an adapter, which is added to a model"):
        read_info(pupil.adapter)


def test_what_a_sound_adapter_says(tmp_path: Path) -> None:
    told = read_adapter(make_lora(tmp_path / "lora.gguf", rank=6), make_base(tmp_path / "base.gguf"))
    assert (told.architecture, told.rank, told.size_bytes) == ("qwen2", 6, (tmp_path / "lora.gguf").stat().st_size)


def patched(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert old in data and len(old) == len(new)
    path.write_bytes(data.replace(old, new))
    return path


def alpha(value: float) -> bytes:
    return b"adapter.lora.alpha" + struct.pack("<If", 6, value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b"GGUF", b"GOOF", "not a GGUF"),
        (b"qwen2", b"llama", "for 'llama' models"),
        (b"adapter.type", b"adapter.kind", "no LoRA adapter"),
        (b"lora_b", b"lora_c", "do not make pairs"),
        (b"ffn_up", b"ffn_ab", "which base.gguf has not"),
        (alpha(4.0), alpha(float("nan")), "adapter.lora.alpha"),
    ],
)
def test_damaged_adapters_are_refused_in_a_line(tmp_path: Path, old: bytes, new: bytes, told: str) -> None:
    lora, base = patched(make_lora(tmp_path / "lora.gguf"), old, new), make_base(tmp_path / "base.gguf")
    with pytest.raises(ModelLoadError, match=told) as error:
        read_adapter(lora, base)
    assert str(error.value).startswith("lora.gguf: ") and "\n" not in str(error.value)


def test_adapter_of_another_model_and_one_cut_short_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    base, lora = make_base(tmp_path / "base.gguf"), make_lora(tmp_path / "lora.gguf", WIDE)
    with pytest.raises(ModelLoadError, match=r"does not fit that of base\.gguf"):
        spec_of(ModelEntry("m", base, adapter=lora), LoadOptions())
    with pytest.raises(ModelLoadError, match="adapters are added to GGUFs"):
        spec_of(ModelEntry("m", tmp_path, engine="transformers", adapter=lora), LoadOptions())
    short = tmp_path / "short.gguf"
    for size in (0, 100, 3000):
        short.write_bytes(make_lora(tmp_path / "whole.gguf", parts=PARTS).read_bytes()[:size])
        with pytest.raises(ModelLoadError, match=r"short\.gguf"):
            spec_of(ModelEntry("m", base, adapter=short), LoadOptions())
    with pytest.raises(ModelLoadError, match="No such file"):
        spec_of(ModelEntry("m", base, adapter=tmp_path / "none.gguf"), LoadOptions())


def test_registered_model_outlives_its_folder_and_is_replaced_by_its_own_run_alone(
    models: Path, tmp_path: Path
) -> None:
    made = make_base(tmp_path / "run" / "m.gguf")
    place = register_student(made, "pupil", {"source": "a run", "quant": "F32"})
    assert place.samefile(made)
    shutil.rmtree(made.parent)
    assert read_info(place).architecture == "qwen2"
    later = make_base(tmp_path / "later.gguf", quant="F16")
    with pytest.raises(InvalidRequestError, match=r"called pupil already.*r1chat rm pupil"):
        register_student(later, "pupil", {"source": "another run"})
    (models / "by-hand.gguf").write_bytes(b"GGUF")
    for name in ("by-hand", "demo"):
        with pytest.raises(InvalidRequestError):
            register_student(later, name, {"source": "a run"})
    with pytest.raises(ModelNotFoundError):
        register_student(later, "../pupil", {"source": "a run"})
    register_student(later, "pupil", {"source": "a run"})
    assert place.samefile(later)
    assert sorted(path.name for path in models.iterdir()) == ["by-hand.gguf", "pupil.gguf", "pupil.json"]


def test_model_from_another_disk_is_copied(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    made = make_base(tmp_path / "m.gguf")
    place = register_student(made, "pupil", {"source": "a run"})
    assert place.read_bytes() == made.read_bytes() and not place.samefile(made)


def test_numbers_are_stamped_where_they_stand_and_nowhere_else(tmp_path: Path) -> None:
    path = make_base(tmp_path / "m.gguf")
    before = path.read_bytes()
    key = "qwen2.attention.layer_norm_rms_epsilon"
    with pytest.raises(ValueError, match=r"no number called general\.name"):
        stamp(path, {key: 0.5, "general.name": 1})
    assert path.read_bytes() == before
    stamp(path, {key: 0.5, "qwen2.context_length": 77})
    after = path.read_bytes()
    assert read_info(path).context_length == 77 and len(after) == len(before)
    assert sum(a != b for a, b in zip(before, after, strict=True)) <= 8
    assert SPEC.n_ctx != 77


def split_in_two(whole: Path) -> Path:
    """Its first part; the names, kinds and shapes of all weights, and no vocabulary."""
    tensors = gguf.GGUFReader(whole).tensors
    writer = gguf.GGUFWriter(whole.with_name("split.gguf"), "qwen2", split_max_tensors=-(-len(tensors) // 2))
    for tensor in tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return whole.with_name("split-00001-of-00002.gguf")


def test_an_adapter_may_change_weights_of_a_later_part_of_its_base(tmp_path: Path) -> None:
    whole, lora = make_base(tmp_path / "base.gguf"), make_lora(tmp_path / "lora.gguf")
    assert read_adapter(lora, split_in_two(whole)).rank == 4
