"""Wires one server: model files -> engine processes -> API -> page, on a socket bound beforehand.

Runs on the event loop of the command that asks for it; the engine works in its own process.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
import time
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from threading import Thread

import uvicorn
from starlette.types import ASGIApp

from ..serve.api.models.local import LocalModels
from ..serve.api.security import check_bind, owners
from ..serve.api.served import ServedModels
from ..serve.api.server import ServerConfig, create_app
from ..serve.api.upstream.models import UpstreamModels
from ..serve.engine.link import GROUP_SIGNALS
from ..serve.models.catalog import DEMO, ModelEntry, local_models
from ..serve.models.gguf.info import read_info
from ..serve.models.residents.manager import Limits, ModelManager
from ..serve.models.specs import LoadOptions
from ..serve.upstream.pool import Pool
from .errors import UsageError
from .local_server import beside, managed
from .slow_clients import ImpatientProtocol
from .terminal import printable
from .ui.quick_import import quick_import
from .ui.services import PageServices, with_page

# How long open connections may take to end by themselves once the server is told to stop.
SHUTDOWN_GRACE_S = 1
_HURRY_S = 0.1
MAX_HEADER_BYTES = 64 * 1024
LOOPBACK = "127.0.0.1"
ANY_IPV6 = "::"  # and IPv4's, where the system can do both on one socket
_HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none


def bind(host: str, port: int, api_key: str | None) -> socket.socket:
    """A listening socket. Raises UsageError where the address is taken or foreign, InvalidRequestError
    where it is open to the network without a key.
    """
    check_bind(host, api_key)
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        both = host == ANY_IPV6 and socket.has_dualstack_ipv6()
        return socket.create_server(target[:2], family=family, backlog=512, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:  # no name of a host can be encoded so
        raise UsageError(_bind_failure(host, port, error)) from error


def _bind_failure(host: str, port: int, error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return f"{host!r} is no name of a host. Use: r1chat --host {LOOPBACK}"
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken. Use another: r1chat --port {port + 1 if port < 65535 else 0}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} is reserved for the system. Use another: r1chat --port 8000"
    reason = str(error.strerror).split(" (")[0]
    return f"{host} is no address of this machine ({reason}). Use: r1chat --host {LOOPBACK}"


class Server(uvicorn.Server):
    """A server that stops in order: `stop_first`, which ends the engine, then the connections.

    Every live request then ends with its error event at once, and no client is left with a stream that
    breaks off. What is still open after SHUTDOWN_GRACE_S, a shown page for one, is cut.
    `signals` are its own while it runs and are not raised anew afterwards.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        stop_first: Callable[[], Awaitable[None]],
        signals: Sequence[signal.Signals] = (),
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=ImpatientProtocol,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
                timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
                access_log=False,
                log_config=None,
                server_header=False,
            )
        )
        self.answers = asyncio.Event()
        self.stopped_by: int | None = None
        self._stop_first = stop_first
        self._signals = signals

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # nohup has it ignored
        own = [number for number in self._signals if number != _HANGUP or signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._on_signal) for number in own}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        # a terminal that closes tells it twice, itself and through its shell
        self.force_exit |= self.should_exit and number != _HANGUP
        self.should_exit = True
        self.stopped_by = number

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._stop_first_unless_hurried()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=SHUTDOWN_GRACE_S)
        await self._close_connections()
        self.force_exit = False  # it was heeded; uvicorn would break the app's own end off
        await super().shutdown(sockets)

    async def _stop_first_unless_hurried(self) -> None:
        """A second signal ends the wait: for a cache that is being written, say."""
        stopping = asyncio.ensure_future(self._stop_first())
        while not stopping.done():
            await asyncio.wait({stopping}, timeout=_HURRY_S)
            if self.force_exit:
                stopping.cancel()
        if not stopping.cancelled():
            stopping.result()

    async def _close_connections(self) -> None:
        """What was said is still sent, as far as it is read in time."""
        for connection in list(self.server_state.connections):
            connection.transport.close()
        ends = time.monotonic() + SHUTDOWN_GRACE_S
        while self.server_state.connections and time.monotonic() < ends and not self.force_exit:
            await asyncio.sleep(0.01)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def serve_forever(
    entry: ModelEntry,
    config: ServerConfig,
    sock: socket.socket,
    *,
    options: LoadOptions,
    limits: Limits,
    scope_by_key: bool,
    open_browser: bool,
    data: Path,
) -> int | None:
    """Serves API and page until a signal comes; its number. The model loads meanwhile. Raises ModelLoadError."""
    manager, sentence = managed(entry, options, limits)
    models = LocalModels(manager, shelf=local_models, scope_by_key=scope_by_key)
    _say(f"Loading {entry.id}: {sentence} ..." if sentence else f"Loading {entry.id} ...")
    return _serve_with_page(models, entry.id, _label(entry), config, sock, data, open_browser=open_browser)


def serve_upstreams(
    pool: Pool, config: ServerConfig, sock: socket.socket, *, scope_by_key: bool, open_browser: bool, data: Path
) -> int | None:
    """The same with the models of other servers, which need not be there yet."""
    names = ", ".join(endpoint.name for endpoint in pool.endpoints)
    _say(f"Asking {names} ...")
    models = UpstreamModels(pool, scope_by_key=scope_by_key)
    return _serve_with_page(
        models, f"The way to {names}", f"models of {names}", config, sock, data, open_browser=open_browser
    )


def _serve_with_page(
    models: ServedModels,
    name: str,
    label: str,
    config: ServerConfig,
    sock: socket.socket,
    data: Path,
    *,
    open_browser: bool,
) -> int | None:
    """`label` is how the page calls what is served, `name` how the line that says that it is ready does."""
    url = f"http://{_reachable(config.host)}:{config.port}"
    keys = dict(zip(owners(config.keys), config.keys, strict=True))
    page = PageServices(data, lambda: url, label=label, key_of=keys.get)
    # Before anything loads: what is wrong with the person's file is told in one line.
    _ = page.store

    def make_app() -> ASGIApp:
        with quick_import():
            from .ui.page import mount_page
        return mount_page(create_app(with_page(config), models), page)

    def announce() -> None:
        _say(f"{name} is ready. Page: {url}   API: {url}/v1   Stop: Ctrl-C")
        if open_browser:
            # A browser in the terminal is waited for, and it asks this very loop for the page.
            Thread(target=webbrowser.open, args=(url,), name="browser", daemon=True).start()

    return asyncio.run(_serve(make_app, models, page, sock, announce))


async def _serve(
    make_app: Callable[[], ASGIApp],
    models: ServedModels,
    page: PageServices,
    sock: socket.socket,
    on_ready: Callable[[], None],
) -> int | None:
    async def stop_models() -> None:
        loading.cancel()
        await asyncio.wait({loading})
        # Before the engine: replies that it breaks off have not failed.
        await page.stop_jobs()
        await models.stop()

    async def tell() -> None:
        await asyncio.wait({loading})
        if loading.cancelled() or loading.exception():
            server.should_exit = True
        else:
            await server.answers.wait()
            on_ready()

    # Before serve(): the app's lifespan starts the models itself if it finds them stopped.
    loading = asyncio.create_task(models.start())
    try:
        # gradio takes seconds to import, in which the engine loads: `run` does without it.
        server = Server(await beside(make_app), stop_first=stop_models, signals=GROUP_SIGNALS)
        telling = asyncio.create_task(tell())
        await server.serve(sockets=[sock])
        telling.cancel()
    finally:
        # Again, because a signal during the start ends serve() without its shutdown().
        await stop_models()
    if not loading.cancelled():
        loading.result()
    return server.stopped_by


@asynccontextmanager
async def serve_on_loopback(manager: ModelManager) -> AsyncIterator[str]:
    """The API without a page on a free loopback port for as long as the block runs; its URL. The models are started
    already, and end with it.
    """
    models = LocalModels(manager)
    with bind(LOOPBACK, 0, None) as sock:
        config = ServerConfig(LOOPBACK, sock.getsockname()[1])
        server = Server(create_app(config, models), stop_first=models.stop)
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            yield f"http://{LOOPBACK}:{config.port}"
        finally:
            server.should_exit = True
            await serving


def _label(entry: ModelEntry) -> str:
    """How the page names the model. Raises ModelLoadError."""
    if entry.engine == "transformers":
        return f"{entry.id} · transformers"
    millions = read_info(entry.path).n_params / 1e6
    size = f"{millions:.0f} M" if millions < 1000 else f"{millions / 1000:.1f} B"
    if entry.id == DEMO:
        return f"bundled demo model · {size} parameters · small sums and riddles"
    return f"{entry.id} · {size} parameters"


def _reachable(host: str) -> str:
    """The host part of an address that reaches a server bound to `host` from this machine."""
    if host == ANY_IPV6 and not socket.has_dualstack_ipv6():
        return "[::1]"
    if host in ("0.0.0.0", ANY_IPV6):
        return LOOPBACK
    return f"[{host}]" if ":" in host else host


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)
