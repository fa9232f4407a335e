"""A checkpoint is used whole, by its own training, or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from r1chat.distill.run_folder import RunFolder
from r1chat.distill.sft import checkpoints
from r1chat.distill.sft.publishing import publish
from r1chat.distill.stream import stage as stream


def write(folder: Path, step: int, text: str = "weights", fingerprint: str = "mine") -> Path:
    written = checkpoints.aside(folder) / f"checkpoint-{step}"
    (written / "deep").mkdir(parents=True)
    (written / "model").write_text(text)
    (written / "deep" / "optimizer").write_text(text)
    return checkpoints.seal(written, folder, step, fingerprint)


def test_the_newest_is_found_and_older_ones_go(tmp_path: Path) -> None:
    assert checkpoints.newest_whole(tmp_path / "nowhere", "mine") is None
    first = write(tmp_path, 9)
    second = write(tmp_path, 100)
    assert checkpoints.newest_whole(tmp_path, "mine") == second
    assert not first.exists()
    assert json.loads((second / "manifest.json").read_text())["step"] == 100
    checkpoints.remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_a_crash_left_the_newer_is_taken_and_where_it_is_damaged_the_older(tmp_path: Path) -> None:
    older, newer = write(tmp_path / "a", 1), write(tmp_path / "b", 2)
    older = older.rename(tmp_path / "b" / older.name)
    assert checkpoints.newest_whole(tmp_path / "b", "mine") == newer
    (newer / "deep" / "optimizer").write_text("weightz")
    assert checkpoints.newest_whole(tmp_path / "b", "mine") == older


@pytest.mark.parametrize("damage", ["cut", "missing", "no manifest", "half a manifest", "a file more", "other"])
def test_what_is_not_as_it_was_written_is_not_used(tmp_path: Path, damage: str) -> None:
    place = write(tmp_path, 3)
    if damage == "cut":
        (place / "model").write_text("weigh")
    elif damage == "missing":
        (place / "model").unlink()
    elif damage == "no manifest":
        (place / "manifest.json").unlink()
    elif damage == "half a manifest":
        (place / "manifest.json").write_text((place / "manifest.json").read_text()[:40])
    elif damage == "a file more":
        (place / "rng_state.pth").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert checkpoints.newest_whole(tmp_path, "theirs" if damage == "other" else "mine") is None


def test_what_an_interrupted_writing_left_is_neither_used_nor_kept(tmp_path: Path) -> None:
    place = write(tmp_path, 3)
    half = checkpoints.aside(tmp_path) / "checkpoint-4"
    half.mkdir(parents=True)
    (half / "model").write_text("weights")
    assert checkpoints.newest_whole(tmp_path, "mine") == place
    half.joinpath("model").write_text("more")
    write(tmp_path, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


def _published(result: Path, folder: RunFolder) -> Path:
    publish("lora", result, result, folder)
    return folder.adapter


def _streamed(result: Path, folder: RunFolder) -> Path:
    stream._publish(result, folder)
    return folder.student


def _sealed(result: Path, folder: RunFolder) -> Path:
    return checkpoints.seal(result, folder.root, 1, "mine")


@pytest.mark.parametrize("finish", [_published, _streamed, _sealed])
def test_weights_are_on_the_disk_before_they_are_in_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finish: Callable[[Path, RunFolder], Path]
) -> None:
    """Else a crash of the machine leaves a student of no bytes, and the checkpoint is gone by then."""
    flushed: dict[int, bool] = {}
    result = tmp_path / "result"
    (result / "deep").mkdir(parents=True)
    (result / "deep" / "model.safetensors").write_text("weights")

    def fsync(descriptor: int) -> None:
        flushed.setdefault(os.fstat(descriptor).st_ino, result.exists())

    monkeypatch.setattr(os, "fsync", fsync)
    place = finish(result, RunFolder(tmp_path / "run"))
    moved = [place, *place.rglob("*")]
    assert len(moved) >= 3 and all(flushed.get(path.stat().st_ino) for path in moved)
    assert place.parent.stat().st_ino in flushed
