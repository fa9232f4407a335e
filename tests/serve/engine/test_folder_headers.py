"""What a folder's file headers say is read by the server itself, so nothing in them may trip it: no torch needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1chat.serve.engine.hf.weights import planned_bytes
from r1chat.serve.errors import ModelLoadError

ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def write(folder: Path, header: bytes) -> Path:
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    return folder


def test_a_sound_header_is_read(tmp_path: Path) -> None:
    assert planned_bytes(write(tmp_path, json.dumps({"x": ENTRY}).encode()), "none") > 0


@pytest.mark.parametrize(
    "change",
    [
        {"shape": None},
        {"shape": 5},
        {"shape": ["a"]},
        {"shape": [-5]},
        {"shape": [1e300, 1e300]},
        {"shape": [10**300, 10**300]},
        {"dtype": None},
        {"dtype": []},
        {"data_offsets": "24"},
    ],
)
def test_an_entry_that_is_none_is_told_as_damage(tmp_path: Path, change: dict[str, object]) -> None:
    folder = write(tmp_path, json.dumps({"x": {**ENTRY, **change}}).encode())
    with pytest.raises(ModelLoadError, match="damaged"):
        planned_bytes(folder, "none")


@pytest.mark.parametrize("header", [b"{}", b"[]", b"{", b"\xff", b'{"x": {}}', b"[" * 100_000])
def test_a_header_that_is_none_is_told_as_damage(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(ModelLoadError, match="damaged"):
        planned_bytes(write(tmp_path, header), "none")


def test_an_index_without_end_is_told_as_damage(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text("[" * 100_000)
    with pytest.raises(ModelLoadError, match="cannot be read"):
        planned_bytes(tmp_path, "none")
