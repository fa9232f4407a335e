"""The r1chat command as a person runs it: its own process, its own streams."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from r1chat.serve.models.gguf.shapes import SHAPES, make_random_gguf

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def r1chat() -> Run:
    """Runs `r1chat ARGS...` to its end; stdin is empty unless `input` is given."""

    def run(*arguments: str, input: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "r1chat.app", *arguments],
            input=input,
            env={**os.environ, "COLUMNS": "110", **environment},
            capture_output=True,
            text=True,
            timeout=600,
        )

    return run


@pytest.fixture(scope="session")
def noise_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights: loads at once and hardly ever stops talking by itself."""
    return make_random_gguf("tiny-qwen2", tmp_path_factory.mktemp("models") / "noise.gguf")


@pytest.fixture(scope="session")
def endless_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with so many tokens that the one that ends a reply is not drawn while a test lasts."""
    shape = replace(SHAPES["tiny-qwen2"], n_vocab=20_000)
    return make_random_gguf(shape, tmp_path_factory.mktemp("models") / "endless.gguf")
