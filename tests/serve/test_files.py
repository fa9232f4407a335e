"""A file or a folder is there whole under its name, or as it was before."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1chat.serve.files import put_in_place, replace_file, sha256_of


def test_a_file_whose_writing_fails_is_left_as_it_was_with_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_text("old")
    with pytest.raises(OSError, match="disk is full"), replace_file(path) as aside:
        aside.write_text("half of the n")
        raise OSError("disk is full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_text("old")
    with replace_file(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_its_name_with_all_that_is_in_it(tmp_path: Path) -> None:
    written, place = tmp_path / "writing", tmp_path / "step-1"
    (written / "adapter").mkdir(parents=True)
    (written / "adapter" / "weights").write_text("1 2 3")
    put_in_place(written, place)
    assert (place / "adapter" / "weights").read_text() == "1 2 3"
    assert not written.exists()


def test_a_file_that_is_not_there_has_no_hash(tmp_path: Path) -> None:
    assert sha256_of(tmp_path / "none") == ""
