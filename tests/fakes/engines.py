"""The bundled model's weights behind each engine, as servers that tests ask over HTTP.

An engine more is one entry in ENGINES: how its server is started, its name in errors, and what it cannot do.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from engine_tools import bundled_model
from live_server import LiveServer, start_model
from llama_server_peer import llama_server
from upstream_server import over

from r1chat.serve.api.server import ServerConfig
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.models.residents.manager import ModelManager, ModelSpec

TRANSFORMERS = "r1chat.serve.engine.hf.runner:TransformersModelRunner"


@dataclass(frozen=True)
class Server:
    """`running` counts the replies that its engine still computes."""

    url: str
    running: Callable[[], int]


@dataclass(frozen=True)
class EngineKind:
    """`start` gets an empty folder. `name` is how errors call it; `cannot` names tests' features it refuses."""

    name: str
    start: Callable[[Path], AbstractContextManager[Server]]
    cannot: frozenset[str] = frozenset()


@contextmanager
def _live(server: LiveServer) -> Iterator[Server]:
    with server:
        yield Server(server.url, lambda: int(server.stats()["sequences"]))


def _llama(_: Path) -> AbstractContextManager[Server]:
    return _live(start_model(bundled_model()))


@contextmanager
def _transformers(folder: Path) -> Iterator[Server]:
    for package in ("torch", "transformers", "tokenizers", "safetensors"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the transformers engine needs {package}")
    from model_folders import bundled_folder

    args: dict[str, Any] = {"device": "cpu"}
    config = EngineConfig(
        model_path=bundled_folder(folder / "model"), n_ctx=2048, n_threads=1, runner=TRANSFORMERS, runner_args=args
    )
    with _live(LiveServer(ModelManager(ModelSpec(id="demo", config=config)), ServerConfig())) as server:
        yield server


@contextmanager
def _upstream(_: Path) -> Iterator[Server]:
    """Behind another r1chat."""
    with start_model(bundled_model()) as behind, over(behind.url) as front:
        yield Server(front.url, lambda: int(behind.stats()["sequences"]))


@contextmanager
def _llama_server(_: Path) -> Iterator[Server]:
    """Behind llama.cpp's own server, where there is one."""
    with llama_server(bundled_model()) as (url, _process), over(url) as front:

        def running() -> int:
            return sum(slot["is_processing"] for slot in httpx2.get(f"{url}/slots").json())

        yield Server(front.url, running)


ENGINES: dict[str, EngineKind] = {
    "llama.cpp": EngineKind("llama.cpp", _llama),
    "transformers": EngineKind("transformers", _transformers, frozenset({"deterministic"})),
    "upstream": EngineKind("upstream", _upstream, frozenset({"fork"})),
    "upstream llama-server": EngineKind("upstream", _llama_server, frozenset({"fork", "deterministic", "tools"})),
}
