"""Real models for the tests of the runner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_tools import bundled_model
from forward_tools import OpenModel
from recording_runner import RecordingRunner

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.models.shapes import make_random_gguf


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def open_model(model_folder: Path) -> Iterator[OpenModel]:
    """open_model(shape, quant, **EngineConfig): a random model of the shape, or the bundled one; closed afterwards."""
    runners: list[RecordingRunner] = []

    def opened(shape: str = "tiny-qwen2", quant: str = "Q8_0", **config: int) -> RecordingRunner:
        path = bundled_model() if shape == "bundled" else model_folder / f"{shape}-{quant}.gguf"
        if not path.exists():
            make_random_gguf(shape, path, quant)
        config = {"n_threads": 1, "n_cells": 1024, **config}
        runners.append(RecordingRunner(EngineConfig(model_path=path, **config)))  # type: ignore[arg-type]
        return runners[-1]

    yield opened
    for runner in runners:
        runner.close()
