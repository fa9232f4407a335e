"""A model in several files that was put beside the students is one model: listed once, deleted whole."""

from __future__ import annotations

from pathlib import Path

from r1chat.serve.models import catalog
from r1chat.serve.models.removal import remove


def test_files_of_a_split_model_are_one_model(cache: Path) -> None:
    folder = catalog.models_folder()
    folder.mkdir(parents=True)
    for number in range(1, 4):
        (folder / f"big-Q8_0-0000{number}-of-00003.gguf").write_bytes(b"GGUF")
    (folder / "big-Q8_0.gguf").write_bytes(b"GGUF")
    told = [(model.id, model.quant, model.size_bytes, len(model.paths)) for model in catalog.local_models()[1:]]
    assert told == [("big-Q8_0-00001-of-00003", "Q8_0", 12, 3), ("big-Q8_0", "Q8_0", 4, 1)]
    assert remove("big-Q8_0-00001-of-00003") == ("big-Q8_0-00001-of-00003", 12)
    assert [path.name for path in folder.iterdir()] == ["big-Q8_0.gguf"]
