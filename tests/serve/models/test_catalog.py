"""Names to files: what each form means, and what a person reads where there is nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from r1chat.serve.errors import ModelNotFoundError
from r1chat.serve.models import catalog


def test_demo_is_the_bundled_file() -> None:
    entry = catalog.resolve("demo")
    assert (entry.id, entry.owned_by) == ("demo", "r1chat")
    assert entry.path.read_bytes()[:4] == b"GGUF"


@pytest.mark.parametrize("name", ["model.gguf", "some/folder/model.gguf", "no-suffix"])
def test_a_file_that_exists_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(b"GGUF")
    entry = catalog.resolve(name)
    assert entry == catalog.ModelEntry(Path(name).stem, Path(name), owned_by="user")


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert catalog.resolve("~/model.gguf").path == tmp_path / "model.gguf"


def message(name: str) -> str:
    with pytest.raises(ModelNotFoundError) as caught:
        catalog.resolve(name)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_missing_file_is_never_taken_for_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert message("models/mine.gguf") == "There is no file models/mine.gguf. See what lies there: ls models"
    assert message("./models/mine") == "There is no file models/mine. See what lies there: ls models"


@pytest.mark.parametrize("name", ["nope", "", "a/b/c", "u/r:", "u/r:Q4:Q5", "u/r r", "ü/r", "a//b"])
def test_a_name_of_no_form_says_which_forms_there_are(name: str) -> None:
    text = message(name)
    assert repr(name) in text
    assert text.endswith("Try: r1chat run demo")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    assert message(str(tmp_path)).endswith(f"Choose one: ls {tmp_path}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_names_the_command_that_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    path.chmod(0)
    assert message(str(path)).endswith(f"Try: chmod u+r {path}")
