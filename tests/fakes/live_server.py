"""A real server for tests: uvicorn on a loopback port, the real engine process, a scripted runner in the child."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from r1chat.serve.api.models.cards import Shelf
from r1chat.serve.api.models.local import LocalModels
from r1chat.serve.api.served import ServedModels
from r1chat.serve.api.server import ServerConfig, create_app
from r1chat.serve.engine.process import EngineConfig, EngineProcess
from r1chat.serve.models.residents.manager import ModelManager, ModelSpec

QUESTION = [{"role": "user", "content": "How many sheep are left?"}]


class LiveServer:
    """Runs on its own thread and event loop, so that blocking clients can be tested as well."""

    def __init__(
        self, manager: ModelManager, server_config: ServerConfig, *, shelf: Shelf = list, scope_by_key: bool = False
    ) -> None:
        self.manager = manager
        self._shelf = shelf
        self._server_config = server_config
        self._scope_by_key = scope_by_key
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> LiveServer:
        self._thread.start()
        self._ready.result(timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """As on SIGTERM, seen from the server's loop."""
        self._server.should_exit = True
        self._thread.join(timeout=30)
        assert not self._thread.is_alive(), "the server does not stop"

    @property
    def engine(self) -> EngineProcess:
        """The default model's."""
        return self.manager.default.engine

    @property
    def pid(self) -> int:
        """The engine child's; a test before may have ended one, and the next is being born."""
        assert eventually(lambda: self.engine.pid is not None)
        return self.engine.pid or 0

    def stats(self) -> dict[str, Any]:
        return self.engine.stats()

    def wait_until_prepared(self, beyond: int = 0) -> None:
        """Until more than `beyond` tokens in all have been computed ahead, and no more are to come."""
        deadline = time.monotonic() + 20
        while self.stats()["prepared_tokens_total"] <= beyond or self.stats()["preparing"]:
            assert time.monotonic() < deadline, f"nothing was prepared: {self.stats()}"
            time.sleep(0.01)

    async def _serve(self) -> None:
        try:
            models: ServedModels = LocalModels(self.manager, shelf=self._shelf, scope_by_key=self._scope_by_key)
            await models.start()
            app = create_app(self._server_config, models)
            config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
            self._server = uvicorn.Server(config)
            serving = asyncio.create_task(self._server.serve(sockets=[self._sock]))
            while not self._server.started:
                await asyncio.sleep(0.01)
            self._ready.set_result(None)
            await serving
            await models.stop()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise


StartServer = Callable[..., LiveServer]


def unstarted(engine: EngineConfig | None = None) -> LocalModels:
    """Models as an app wants them where nothing is to be loaded."""
    return LocalModels(ModelManager(ModelSpec(id="demo", config=engine or EngineConfig())))


def start(
    runner_args: dict[str, Any] | None = None, *, max_waiting: int = 256, scope_by_key: bool = False, **server: Any
) -> LiveServer:
    engine = EngineConfig(
        runner="scripted_runner:ScriptedRunner", runner_args=runner_args or {}, max_waiting=max_waiting
    )
    manager = ModelManager(ModelSpec(id="demo", config=engine))
    return LiveServer(manager, ServerConfig(**server), scope_by_key=scope_by_key)


def start_model(path: Path, **server: Any) -> LiveServer:
    """The same with llama.cpp and real weights in the child."""
    config = EngineConfig(model_path=path, n_ctx=2048, n_threads=1)
    return LiveServer(ModelManager(ModelSpec(id="demo", config=config)), ServerConfig(**server))


def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> bool:
    """Waits for what follows soon: the next turn is prepared behind a reply, and what a socket tells takes its time."""
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()
