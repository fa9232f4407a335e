"""Whether somebody wrote into the files of a model that is being served."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from r1chat.serve.engine.model_file import ModelFile


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"model-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    for path in paths:
        path.write_bytes(b"weights")
    return paths


@pytest.mark.parametrize("number", range(3))
def test_what_is_written_into_any_file_of_a_model_in_several_is_seen(parts: list[Path], number: int) -> None:
    file = ModelFile(parts[0])
    assert not file.is_changed()
    with parts[number].open("ab") as stream:
        stream.write(b"more")
    assert file.is_changed()


def test_a_file_put_in_anothers_place_changes_nothing_that_is_served(parts: list[Path], tmp_path: Path) -> None:
    file = ModelFile(parts[0])
    aside = tmp_path / "aside"
    aside.write_bytes(b"other weights")
    os.replace(aside, parts[1])
    assert not file.is_changed()


def test_files_of_other_models_are_not_looked_at(tmp_path: Path) -> None:
    paths = [tmp_path / "model.gguf", tmp_path / "model-00002-of-00002.gguf"]
    for path in paths:
        path.write_bytes(b"weights")
    file = ModelFile(paths[0])
    paths[1].write_bytes(b"other weights")
    assert not file.is_changed()
