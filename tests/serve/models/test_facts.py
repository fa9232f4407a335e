"""What is told of a model that was never loaded; whatever lies in its files, the list of all models can be shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1chat.serve.models.facts import FactsReader

CONFIG = {
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "max_position_embeddings": 128,
}


def write(folder: Path, **changes: Any) -> Path:
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    return folder


def test_a_folders_context_and_what_a_token_takes_in_its_cache(tmp_path: Path) -> None:
    facts = FactsReader().of(write(tmp_path))
    assert facts and (facts.context_length, facts.kv_bytes_per_token) == (128, 2 * 2 * 3 * 2 * 16)


@pytest.mark.parametrize("name", ["max_position_embeddings", "num_hidden_layers", "hidden_size", "num_attention_heads"])
@pytest.mark.parametrize("value", ["x", [1], -1, 0, 1e999, None, True])
def test_of_a_config_that_makes_no_sense_nothing_is_told(tmp_path: Path, name: str, value: Any) -> None:
    assert FactsReader().of(write(tmp_path, **{name: value})) is None


def test_a_config_without_end_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 100_000)
    assert FactsReader().of(tmp_path) is None
