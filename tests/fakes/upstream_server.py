"""r1chat in front of other servers, on a loopback port and a thread of its own: what --upstream serves."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import threading
from typing import Any

from r1chat.app.server import Server
from r1chat.serve.api.server import ServerConfig, create_app
from r1chat.serve.api.upstream.models import UpstreamModels
from r1chat.serve.upstream.pool import Pool


class FrontServer:
    """Stands before the servers at `urls`."""

    def __init__(self, urls: list[str], key: str | None, *, scope_by_key: bool, **server: Any) -> None:
        self.pool = Pool(urls, key)
        self.models = UpstreamModels(self.pool, scope_by_key=scope_by_key)
        self._config = ServerConfig(**server)
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> FrontServer:
        self._thread.start()
        self._ready.result(timeout=30)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=30)
        assert not self._thread.is_alive(), "the server does not stop"

    async def _serve(self) -> None:
        try:
            await self.models.start()
            self._server = Server(create_app(self._config, self.models), stop_first=self.models.stop)
            serving = asyncio.create_task(self._server.serve(sockets=[self._sock]))
            await self._server.answers.wait()
            self._ready.set_result(None)
            await serving
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise


def over(*urls: str, key: str | None = None, scope_by_key: bool = False, **server: Any) -> FrontServer:
    """To be used in a with statement."""
    return FrontServer(list(urls), key, scope_by_key=scope_by_key, **server)
