"""Several models behind one live server: scripted ones, or files with real weights, each in a child of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
from live_server import QUESTION, LiveServer

from r1chat.serve.api.server import ServerConfig
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.models.catalog import BUNDLED, LocalModel, ModelEntry
from r1chat.serve.models.residents.manager import Limits, ModelManager, ModelSpec

BYTES_EACH = 100


class Roster:
    """What `find` knows, by id and by aliases; `asked` are the names that it was asked for."""

    def __init__(self, models: Mapping[str, dict[str, Any] | Path]) -> None:
        self.specs = {name: spec(name, model) for name, model in models.items()}
        self.aliases: dict[str, str] = {}
        self.asked: list[str] = []

    def find(self, name: str) -> ModelSpec | None:
        self.asked.append(name)
        return self.specs.get(self.aliases.get(name, name))

    def shelf(self) -> list[LocalModel]:
        """All of them; a scripted one lies there as a file that it does not read."""
        paths = {name: one.config.model_path or BUNDLED for name, one in self.specs.items()}
        return [
            LocalModel(ModelEntry(name, path), (path,), path.stat().st_size, "Q8_0", "file", path.stat().st_mtime)
            for name, path in paths.items()
        ]

    def manager(self, **limits: Any) -> ModelManager:
        """The first model is the default one."""
        return ModelManager(next(iter(self.specs.values())), self.find, Limits(**limits))

    def server(self, *, server: ServerConfig | None = None, **limits: Any) -> LiveServer:
        return LiveServer(self.manager(**limits), server or ServerConfig(), shelf=self.shelf)


def spec(name: str, model: dict[str, Any] | Path) -> ModelSpec:
    """A file, or the arguments of a scripted runner. What it is said to need is BYTES_EACH."""
    if isinstance(model, Path):
        config = EngineConfig(model_path=model, n_ctx=512, n_seq_max=4, n_threads=1, host_cache_bytes=0)
    else:
        config = EngineConfig(runner="scripted_runner:ScriptedRunner", runner_args=model)
    return ModelSpec(id=name, config=config, n_bytes=BYTES_EACH)


def ask(server: LiveServer, model: str | None = None, **fields: Any) -> httpx2.Response:
    body = {"messages": QUESTION, **({"model": model} if model else {}), **fields}
    return httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=300)


def post(server: LiveServer, path: str, **body: Any) -> httpx2.Response:
    return httpx2.post(f"{server.url}{path}", json=body, timeout=300)


def get(server: LiveServer, path: str) -> Any:
    answer = httpx2.get(f"{server.url}{path}", timeout=300)
    assert answer.status_code == 200, answer.text
    return answer.json()


def states(server: LiveServer) -> dict[str, str]:
    """Of every model that the server lists."""
    return {card["id"]: card["state"] for card in get(server, "/v1/models")["data"]}


def loaded(server: LiveServer) -> set[str]:
    return {model["id"] for model in get(server, "/v1/memory")["models"] if model["state"] == "loaded"}
