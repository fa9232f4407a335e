"""Real models for the tests of the runner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_tools import bundled_model
from forward_tools import OpenModel
from model_folders import KINDS, FolderOf, OpenFolder, random_folder
from recording_runner import RecordingRunner

from r1chat.serve.engine.config import TRANSFORMERS_RUNNER, EngineConfig
from r1chat.serve.engine.model_runner import load_runner
from r1chat.serve.models.gguf.shapes import make_random_gguf


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


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> FolderOf:
    """folders(kind): a random model of one of model_folders.KINDS."""
    root = tmp_path_factory.mktemp("folders")

    def folder_of(kind: str) -> Path:
        folder = root / kind.replace(" ", "-")
        return folder if folder.exists() else random_folder(folder, kind.split()[0], **KINDS[kind])

    return folder_of


@pytest.fixture
def open_folder(folders: FolderOf) -> Iterator[OpenFolder]:
    """open_folder(kind, runner_args, **EngineConfig): on the transformers engine; closed afterwards."""
    runners: list[Any] = []

    def opened(kind: str = "qwen2", runner_args: dict[str, str] | None = None, **config: Any) -> Any:
        config = {"n_threads": 1, "n_cells": 1024, **config}
        args = {"device": "cpu", **(runner_args or {})}
        path = folders(kind)
        runners.append(
            load_runner(EngineConfig(model_path=path, runner=TRANSFORMERS_RUNNER, runner_args=args, **config))
        )
        return runners[-1]

    yield opened
    for runner in runners:
        runner.close()
