"""Where the base comes from: made here, a folder, the hub; and that it is told apart by its bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from chat_folders import chat_folder
from huggingface_hub.errors import LocalEntryNotFoundError

from r1chat.distill.base.config import BaseConfig
from r1chat.distill.base.stage import _is_whole, folder_hash, run_stage
from r1chat.distill.config import DistillConfig
from r1chat.distill.errors import DistillError
from r1chat.distill.host import Host
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.students import STUDENTS, Student


def host(said: list[str]) -> Host:
    return Host(serve=lambda *_, **__: pytest.fail("no model is asked"), register=lambda *_: Path(), say=said.append)


def other(base: str) -> Student:
    return Student("other", base, None, None, "lora", 1e-4)


@pytest.mark.slow
def test_the_base_of_tiny_is_made_once_and_is_a_folder_that_training_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="needs the extra `distill`")
    from r1chat.distill.stream import making

    monkeypatch.setattr(making, "VOCABULARY_EXAMPLES", 3000)
    config = DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t", base=BaseConfig(minutes=0.01))
    folder = RunFolder(config.run_dir)
    run_stage(config, folder, host([]))
    record = folder.read_json(folder.base_record)
    assert json.loads((Path(record["path"]) / "config.json").read_text())["model_type"] == "qwen2"
    assert (folder.base / "tokenizer.json").is_file()
    assert not (folder.root / "base.part").exists()
    made = (folder.base / "model.safetensors").stat().st_mtime_ns
    run_stage(config, folder, host([]))
    assert (folder.base / "model.safetensors").stat().st_mtime_ns == made
    monkeypatch.setattr(making, "_tokenizer", lambda *_: pytest.fail("made anew"))
    with pytest.raises(pytest.fail.Exception, match="made anew"):
        run_stage(replace(config, base=BaseConfig(minutes=0.02)), folder, host([]))


def test_a_download_that_was_stopped_is_not_taken_for_the_model(tmp_path: Path) -> None:
    shards = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(shards))
    for name in ("config.json", "tokenizer.json", "model-1.safetensors", "model-2.safetensors"):
        assert not _is_whole(tmp_path)
        (tmp_path / name).write_text("{}")
    assert _is_whole(tmp_path)


def test_a_folder_is_taken_where_it_lies_and_changed_weights_are_another_base(tmp_path: Path) -> None:
    given = chat_folder(tmp_path / "given", "chatml")
    config = DistillConfig(other(str(given)), tmp_path / "run", "t")
    folder = RunFolder(config.run_dir)
    run_stage(config, folder, host([]))
    record = folder.read_json(folder.base_record)
    assert record["path"] == str(given)
    with (given / "model.safetensors").open("rb+") as weights:
        weights.seek(-8, 2)
        weights.write(b"others!!")
    assert folder_hash(given) != record["sha256"]


def test_a_licence_that_the_student_does_not_name_is_read_off_its_files(tmp_path: Path) -> None:
    given = chat_folder(tmp_path / "given", "chatml")
    (given / "LICENSE").write_text("\n   Apache License\n   Version 2.0, January 2004\n")
    config = DistillConfig(other(str(given)), tmp_path / "run", "t")
    folder = RunFolder(config.run_dir)
    run_stage(config, folder, host([]))
    assert folder.read_json(folder.base_record)["licence"] == "Apache-2.0"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    config = DistillConfig(other(str(tmp_path)), tmp_path / "run", "t")
    with pytest.raises(DistillError, match=r"no config\.json.*r1chat distill --help"):
        run_stage(config, RunFolder(config.run_dir), host([]))


def test_a_model_that_no_gguf_can_hold_is_refused_before_its_weights_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3"}))

    def nothing_here(*_: object, local_files_only: bool = False, **__: object) -> str:
        if not local_files_only:
            pytest.fail("the weights are fetched")
        raise LocalEntryNotFoundError("nothing")

    monkeypatch.setattr("huggingface_hub.snapshot_download", nothing_here)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda repo, name: str(tmp_path / name))
    config = DistillConfig(other("Qwen/Qwen3-0.6B"), tmp_path / "run", "t")
    with pytest.raises(DistillError, match=r"^Qwen/Qwen3-0.6B cannot be a student: .*'qwen3'.* Use: r1chat distill "):
        run_stage(config, RunFolder(config.run_dir), host([]))


def test_a_vocabulary_that_no_gguf_can_hold_is_refused_before_the_teacher_is_asked(tmp_path: Path) -> None:
    given = chat_folder(tmp_path / "given", "chatml")
    (given / "tokenizer.json").write_text(json.dumps({"model": {"type": "Unigram"}}))
    config = DistillConfig(other(str(given)), tmp_path / "run", "t")
    with pytest.raises(DistillError, match=r"cannot be a student: .* Use: r1chat distill "):
        run_stage(config, RunFolder(config.run_dir), host([]))


def test_without_the_hub_the_error_ends_with_the_command_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.is_offline_mode", lambda: True, raising=False)
    config = DistillConfig(other("nobody/nothing-here"), tmp_path / "run", "t")
    said: list[str] = []
    with pytest.raises(DistillError, match=r"When online: r1chat distill --student nobody/nothing-here$"):
        run_stage(config, RunFolder(config.run_dir), host(said))
