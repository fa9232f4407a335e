"""A trained run becomes files that compute what was trained, know where they come from, and answer to a name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trained_runs import host, make_adapter, make_full, settings

from r1chat.distill.errors import DistillError
from r1chat.distill.export.maker import Maker, Subject
from r1chat.distill.export.manifest import Manifest
from r1chat.distill.export.merge import merge
from r1chat.distill.export.provenance import provenance
from r1chat.distill.export.stage import run_stage
from r1chat.distill.export.steps import Steps
from r1chat.distill.hf.gguf import read_model
from r1chat.distill.run_folder import Event, RunFolder
from r1chat.serve.models import catalog
from r1chat.serve.models.gguf.info import read_info
from r1chat.serve.models.gguf.reader import read_header
from r1chat.serve.models.specs import LoadOptions, spec_of

pytest.importorskip("transformers")
pytest.importorskip("peft")


@pytest.fixture(autouse=True, scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R1CHAT_MODELS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A whole student in two quantisations. Tests leave it as it is."""
    folder = make_full(tmp_path_factory.mktemp("run"))
    run_stage(settings(folder, "Q8_0", "Q4_K_M"), folder, host())
    return folder


@pytest.fixture
def again(exported: RunFolder, tmp_path: Path) -> Iterator[RunFolder]:
    """A copy of it at its place, so that what was made still fits."""
    kept = tmp_path / "kept"
    shutil.copytree(exported.root, kept)
    yield exported
    shutil.rmtree(exported.root)
    kept.rename(exported.root)


def values(gguf: Path) -> dict[str, Any]:
    with gguf.open("rb") as file:
        return read_header(file, gguf.stat().st_size).values


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_file_says_where_it_comes_from_and_how_far_it_is_from_its_folder(exported: RunFolder) -> None:
    report = exported.read_json(exported.parity)
    assert set(report["files"]) == {"Q8_0", "Q4_K_M", "base-Q8_0"}
    assert names(exported.gguf) == ["Q4_K_M.gguf", "Q8_0.gguf", "base-Q8_0.gguf", "files.json"]
    for quant in ("Q8_0", "Q4_K_M"):
        record, found = report["files"][quant], values(exported.root / report["files"][quant]["path"])
        assert read_info(exported.root / record["path"]).file_type == quant
        assert found["general.license"] == "MIT" and found["r1chat.teacher"] == "sage"
        assert found["r1chat.base"] == "random/base" and len(found["r1chat.traces_sha256"]) == 64
        assert found["r1chat.run_id"] == report["run"] and found["general.name"] == "pupil"
        assert found["r1chat.parity.strings"] >= 1000 and found["r1chat.parity.tokenizer_mismatches"] == 0
        assert found["r1chat.parity.templates"] == 3 and found["r1chat.parity.template_mismatches"] == 0
        # without loss: next to nothing; the file's own: what its rounding does
        assert 0 < found["r1chat.parity.max_logit_diff"] < 1e-2 and found["r1chat.parity.top1_agreement"] == 1
        own = found["r1chat.parity.file.relative_error"]
        assert own == pytest.approx(record["parity"]["relative_error"], rel=1e-5) and own > 0.01
    assert values(exported.gguf / "Q4_K_M.gguf")["r1chat.parity.file.relative_error"] > own / 2


def test_base_speaks_as_the_student_does(exported: RunFolder) -> None:
    student, base = read_info(exported.gguf / "Q8_0.gguf"), read_info(exported.gguf / "base-Q8_0.gguf")
    assert base.chat_template == student.chat_template and base.eos_token == student.eos_token
    assert values(exported.gguf / "base-Q8_0.gguf").get("r1chat.teacher") is None


def test_student_is_in_the_list_with_a_card(exported: RunFolder, models: Path) -> None:
    [model] = [model for model in catalog.local_models() if model.id == "pupil"]
    assert (model.source, model.quant, model.entry.path) == ("student", "Q8_0", models / "pupil.gguf")
    assert model.entry.path.samefile(exported.gguf / "Q8_0.gguf"), "a second name, no second copy"
    card = catalog.read_card(model.entry.path)
    assert card is not None and card["source"] == str(exported.root) and card["teacher"] == "sage"
    assert card["sha256"] == exported.read_json(exported.parity)["files"]["Q8_0"]["sha256"]


def test_other_weights_are_written_anew_what_still_fits_is_kept_and_the_rest_is_gone(again: RunFolder) -> None:
    before = (again.gguf / "base-Q8_0.gguf").stat().st_ino
    good = (again.gguf / "Q8_0.gguf").read_bytes()
    (again.gguf / ".F16.1.part.gguf").write_bytes(b"of a killed run")
    weights = again.student / "model.safetensors"
    flipped = bytearray(weights.read_bytes())
    flipped[-1] ^= 0x80  # the sign of the last weight
    weights.write_bytes(flipped)
    run_stage(settings(again), again, host())
    assert names(again.gguf) == ["Q8_0.gguf", "base-Q8_0.gguf", "files.json"]
    assert (again.gguf / "base-Q8_0.gguf").stat().st_ino == before
    assert (again.gguf / "Q8_0.gguf").read_bytes() != good
    assert set(again.read_json(again.parity)["files"]) == {"Q8_0", "base-Q8_0"}


def test_damaged_files_and_notes_are_not_trusted(tmp_path: Path) -> None:
    made = tmp_path / ".part"
    made.write_bytes(b"GGUF and so on")
    Manifest(tmp_path).put(made, "Q8_0", "source", quant="Q8_0", parity={}, lossless={})
    assert Manifest(tmp_path).find("Q8_0", "source") and not Manifest(tmp_path).find("Q8_0", "other")
    (tmp_path / "Q8_0.gguf").write_bytes(b"GGUF and so 0n")
    assert Manifest(tmp_path).find("Q8_0", "source") is None
    (tmp_path / "files.json").write_text("{")
    assert Manifest(tmp_path).find("Q8_0", "source") is None


@pytest.mark.slow
def test_interrupted_export_keeps_what_is_whole_and_goes_on_there(tmp_path: Path) -> None:
    class Stopped(BaseException):
        pass

    def stop(event: Event) -> None:
        if event.metric == "share" and event.value > 0.6:
            raise Stopped

    made = make_full(tmp_path / "run")
    with pytest.raises(Stopped):
        run_stage(settings(made, "Q8_0", "F32", name="halted"), RunFolder(made.root, stop), host())
    whole = [name for name in names(made.gguf) if name.endswith(".gguf")]
    assert whole and set(whole) < {"Q8_0.gguf", "F32.gguf", "base-Q8_0.gguf"}
    assert not made.parity.exists() and catalog.find_local("halted") is None
    inodes = {name: (made.gguf / name).stat().st_ino for name in whole}
    run_stage(settings(made, "Q8_0", "F32", name="halted"), made, host())
    assert {name: (made.gguf / name).stat().st_ino for name in whole} == inodes
    assert catalog.find_local("halted") is not None
    shares = [event["value"] for event in made.read_events("export") if event["metric"] == "share"]
    assert shares[-1] == 1


def test_file_that_computes_something_else_is_named_and_not_kept(exported: RunFolder, tmp_path: Path) -> None:
    model = read_model(exported.student, "pupil")
    (tmp_path / "gguf").mkdir()
    maker = Maker(tmp_path / "gguf", Manifest(tmp_path / "gguf"), Steps(RunFolder(tmp_path), 3))
    wrong = Subject(replace(model, folder=exported.base), "source", exported.student, {})
    with pytest.raises(DistillError, match=r"relative error 1.*nothing was registered") as error:
        maker.make(wrong, {"Q8_0": "Q8_0"})
    assert str(exported.base) in str(error.value) and "\n" not in str(error.value)
    assert names(tmp_path / "gguf") == []


def test_traces_that_were_sifted_anew_are_not_told_of_a_student_that_never_saw_them(tmp_path: Path) -> None:
    folder = make_full(tmp_path / "run")
    trained = folder.read_json(folder.trained)
    folder.write_json(folder.trained, trained | {"kept_sha256": "of then", "teachers": ["b", "a", "d", "c"]})
    found = provenance(settings(folder), folder)
    assert (found.traces_sha256, found.teacher) == ("of then", "b, a, d")


def test_settings_that_cannot_be_are_refused_before_any_work(exported: RunFolder) -> None:
    for config, told in (
        (settings(exported, "Q9"), "no quantisation Q9"),
        (settings(exported, adapter=True), "no adapter to keep"),
    ):
        with pytest.raises(DistillError, match=f"{told}.*r1chat distill export"):
            run_stage(config, exported, host())


def test_a_student_that_was_deleted_is_told_with_what_makes_it_again(again: RunFolder) -> None:
    """Its sft.json says that it is trained, so that the stage alone would do nothing."""
    shutil.rmtree(again.student)
    with pytest.raises(DistillError, match=r"student is gone.*: rm \S+sft\.json && r1chat distill sft --run-dir"):
        run_stage(settings(again), again, host())


@pytest.mark.slow
def test_merged_student_of_sixteen_bits_is_the_folder_that_is_served(tmp_path: Path) -> None:
    made = make_adapter(tmp_path / "run")
    run_stage(settings(made, "Q8_0", name="merged"), made, host())
    report = made.read_json(made.parity)
    assert report["kind"] == "merged" and report["files"]["Q8_0"]["lossless"]["max_logit_diff"] < 1e-2
    assert read_model(made.student).tensors.widest == "BF16"
    settings_of = json.loads((made.student / "generation_config.json").read_text())
    assert settings_of["temperature"] == 0.6 and settings_of["eos_token_id"]
    before = os.stat(made.student).st_ino
    assert os.stat(merge(made)).st_ino == before, "merged once"


@pytest.mark.slow
def test_kept_adapter_is_served_on_its_base_and_knows_where_it_comes_from(tmp_path: Path, models: Path) -> None:
    made = make_adapter(tmp_path / "run", "tiny-llama")
    run_stage(settings(made, "Q8_0", name="added", adapter=True), made, host())
    report = made.read_json(made.parity)
    assert report["kind"] == "adapter" and set(report["files"]) == {"base-Q8_0", "adapter"}
    assert names(made.gguf) == ["adapter.gguf", "base-Q8_0.gguf", "files.json"]
    found = values(made.gguf / "adapter.gguf")
    assert found["general.type"] == "adapter" and found["r1chat.teacher"] == "sage" and found["general.name"] == "added"
    assert 0 < found["r1chat.parity.relative_error"] < 0.01 and found["r1chat.parity.top1_agreement"] == 1
    entry = catalog.resolve("added")
    assert (entry.path, entry.adapter) == (models / "added-base.gguf", models / "added.gguf")
    spec, _ = spec_of(entry, LoadOptions())
    assert spec.config.adapter == entry.adapter
    assert "<think>" in str(read_info(entry.path).chat_template)


def test_adapter_of_values_that_are_no_numbers_is_told_in_a_line(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    made = make_adapter(tmp_path / "run")
    weights = made.adapter / "adapter_model.safetensors"
    tensors = load_file(weights)
    next(iter(tensors.values())).fill_(float("nan"))
    save_file(tensors, weights)
    with pytest.raises(DistillError, match="no numbers") as error:
        run_stage(settings(made, name="nan"), made, host())
    assert "\n" not in str(error.value) and not made.student.exists()
    assert catalog.find_local("nan") is None
