"""Wires one server: model file -> engine process -> API -> page, on a socket bound beforehand.

Runs on the event loop of the command that asks for it; the engine works in its own process.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import signal
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from ..serve.api.server import ServerConfig, create_app
from ..serve.engine.process import EngineConfig, EngineProcess
from ..serve.models.catalog import ModelEntry
from .errors import UsageError
from .terminal import printable

# A page keeps a stream open for as long as it is shown; stopping waits this long for such connections.
SHUTDOWN_S = 2


@dataclass(frozen=True)
class Address:
    """Where to listen, and the key that clients must send (none: loopback only)."""

    host: str = "127.0.0.1"
    port: int = 0
    api_key: str | None = None


def bind(address: Address) -> socket.socket:
    """A listening socket. Raises UsageError where the address is taken, foreign or open without a key."""
    host, port = address.host, address.port
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        if address.api_key is None and not ipaddress.ip_address(target[0]).is_loopback:
            raise UsageError(
                f"--host {host} lets other machines in, and they need a key. "
                f"Set one: R1CHAT_API_KEY=... r1chat serve --host {host}"
            )
        return socket.create_server(target[:2], family=family, backlog=512)
    except OSError as error:
        raise UsageError(_bind_failure(host, port, error)) from error


def _bind_failure(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken. Use another: r1chat --port {port + 1 if port < 65535 else 0}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} is reserved for the system. Use another: r1chat --port 8000"
    return f"{host} is no address of this machine ({error.strerror}). Use: r1chat --host 127.0.0.1"


class Server(uvicorn.Server):
    """A server that says when it answers and stops in order.

    The engine goes first: every live request then ends with its error event at once, and no client is left
    with a stream that breaks off. `signals` are its own while it runs and are not raised anew afterwards.
    """

    def __init__(
        self,
        app: Any,
        engine: EngineProcess,
        *,
        signals: tuple[signal.Signals, ...] = (),
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=SHUTDOWN_S,
            )
        )
        self.engine = engine
        self.signals = signals
        self.on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in self.signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.engine.stop()
        await super().shutdown(sockets)


async def serve_forever(
    entry: ModelEntry, address: Address, sock: socket.socket, *, n_ctx: int | None, open_browser: bool
) -> signal.Signals | None:
    """Serves API and page until a signal comes; that signal."""
    port = sock.getsockname()[1]
    url = f"http://{_reachable(address.host)}:{port}"
    _say(f"Loading {entry.id} ...")
    async with _engine(entry, n_ctx) as engine:
        app = create_app(_server_config(entry, address, port), engine)
        _add_page(app, url, entry, address.api_key)
        stopped_by = signal.SIGINT, signal.SIGTERM
        server = Server(app, engine, signals=stopped_by, on_ready=lambda: _announce(url, entry, open_browser))
        await server.serve(sockets=[sock])
        return next((number for number in stopped_by if number in server._captured_signals), None)


@asynccontextmanager
async def local_server(entry: ModelEntry, *, n_ctx: int | None) -> AsyncIterator[str]:
    """The API on a free loopback port for as long as the block runs; its URL. No page."""
    address = Address()
    with bind(address) as sock:
        port = sock.getsockname()[1]
        async with _engine(entry, n_ctx) as engine:
            server = Server(create_app(_server_config(entry, address, port), engine), engine)
            serving = asyncio.create_task(server.serve(sockets=[sock]))
            try:
                yield f"http://{address.host}:{port}"
            finally:
                server.should_exit = True
                await serving


@asynccontextmanager
async def _engine(entry: ModelEntry, n_ctx: int | None) -> AsyncIterator[EngineProcess]:
    engine = EngineProcess(EngineConfig(model_path=entry.path, n_ctx=n_ctx))
    try:
        await engine.start()
        yield engine
    finally:
        await engine.stop()


def _server_config(entry: ModelEntry, address: Address, port: int) -> ServerConfig:
    return ServerConfig(
        host=address.host, port=port, api_key=address.api_key, model_id=entry.id, owned_by=entry.owned_by
    )


def _add_page(app: Any, url: str, entry: ModelEntry, api_key: str | None) -> None:
    # gradio takes seconds to import, and `run` does without.
    from .ui.page import build_page, mount_page

    mount_page(app, build_page(url, entry.id, api_key))


def _reachable(host: str) -> str:
    """The host part of an address that reaches a server bound to `host` from this machine."""
    if host in ("", "0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _announce(url: str, entry: ModelEntry, open_browser: bool) -> None:
    _say(f"{entry.id} is ready. Page: {url}   API: {url}/v1   Stop: Ctrl-C")
    if open_browser:
        webbrowser.open(url)


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)
