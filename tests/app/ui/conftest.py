"""The page on the real API and engine process, in front of a scripted runner, seen through a real browser."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from r1chat.app.ui.quick_import import quick_import
from r1chat.app.ui.services import PageServices, with_page
from r1chat.serve.api.models.local import LocalModels
from r1chat.serve.api.security import owners
from r1chat.serve.api.server import ServerConfig, create_app
from r1chat.serve.engine.process import EngineConfig
from r1chat.serve.models.residents.manager import ModelManager, ModelSpec

with quick_import():
    from r1chat.app.ui.page import mount_page

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
).split()
# A thought that is waited for, and one that lasts until it is steered, however busy the machine is.
LONG_WORDS, ENDLESS_WORDS = 240, 4000
TOKENS_PER_S = 150
# Context of the scripted model in tokens, and a question that does not fit into it: each word is one.
N_CTX = 8192
TOO_LONG = "sheep " * (N_CTX + 1000)
# A busy machine is slow, not wrong.
PATIENCE_S = 120.0
# What is expected has a limit of its own, which no tab's default touches.
expect.set_options(timeout=PATIENCE_S * 1000)
# Each tries to run `window.pwned = ...` or to reach evil.example.
HOSTILE = r"""
<img src=x onerror=window.pwned='img'> <script>window.pwned='script'</script>
<svg onload=window.pwned='svg'></svg> <iframe srcdoc="<script>parent.pwned='frame'</script>"></iframe>
${window.pwned='template'} {{constructor.constructor('window.pwned=1')()}} `${window.pwned=2}`
![picture](http://evil.example/pixel.png?secret) ![late][late] [click](javascript:window.pwned='link')
[click](JaVaScRiPt:window.pwned='case') [data](data:text/html;base64,PHNjcmlwdD4=) <http://evil.example/auto>
<link rel=stylesheet href=//evil.example/a.css> <style>body{background:url(//evil.example/b.png)}</style>
<form action=//evil.example><input name=q></form> <video src=//evil.example/v.mp4 autoplay></video>
\( \text{<img src=x onerror=window.pwned='tex'>} \href{javascript:window.pwned='href'}{x} \)
\( \style{background:url(http://evil.example/c.png)}{y} \class{turn}{z} \)
```html
</code></pre><img src=x onerror=window.pwned='fence'>
```
<details open ontoggle=window.pwned='toggle'> <math><mtext><img src=x onerror=window.pwned='math'></mtext></math>

[late]: http://evil.example/late.png
"""

# In the page: its tab is covered by another, or comes back.
HIDE = """(isAway) => {
    Object.defineProperty(document, 'hidden', { value: isAway, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
}"""


def _lines(n_words: int) -> str:
    words = "".join(f"step {n} goes on\n" if n % 5 == 0 else f"word{n} " for n in range(n_words))
    return f"{words}</think>\n\ndone"


SCRIPTS = {
    "LONG": _lines(LONG_WORDS),
    "ENDLESS": _lines(ENDLESS_WORDS),
    "PLAIN": "".join(f"word{n} " for n in range(60)) + "</think>\n\ndone",
    "EMOJI": "".join(f"word{n} 😀 " for n in range(60)) + "</think>\n\ndone",
    "LASTING": _lines(10 * TOKENS_PER_S),
    "SPEECH": "".join(f"word{n} " for n in range(LONG_WORDS // 2)) + "</think>\n\ndone",
    "MARKUP": "Let me write it down.\n</think>\n\nSo \\( \\frac{36}{240} < 1 \\) and **36** it is:\n\n"
    "```python\nif x < 2:\n\tprint(36)\n```\n\n\\[ \\boxed{36} \\]",
    "CUT": "I begin to think, and then CRASH never comes",
    "HOSTILE": f"{HOSTILE}\n</think>\n\n{HOSTILE}",
    "WIDE": f"{'w' * 300}\n</think>\n\n{'x' * 300}\n\n\\[ {'+ y ' * 60} \\]\n\n```\n{'z' * 300}\n```\n\n"
    f"| a | b |\n|---|---|\n| {'column ' * 40} | {'v' * 200} |\n\nAnd \\( {'x + ' * 60} y \\) is it."
    f"\n\n- and \\( {'z + ' * 60} y \\)\n- as well",
}


LABEL = "scripted model · <b>no</b> parameters"


def scripted(runner_args: dict[str, Any]) -> EngineConfig:
    """An engine that says what `runner_args` tell it to."""
    return EngineConfig(runner="scripted_runner:ScriptedRunner", runner_args=runner_args)


class PageServer:
    """API, engine and page on a loopback port, on a thread and event loop of their own."""

    def __init__(
        self,
        engine_config: EngineConfig,
        label: str,
        data: Path,
        *,
        api_keys: tuple[str, ...] = (),
        loaded: bool = True,
        more: Mapping[str, EngineConfig] | None = None,
    ) -> None:
        self._engine_config = engine_config
        self._more = {name: ModelSpec(id=name, config=config) for name, config in (more or {}).items()}
        self._label = label
        self._data = data
        self._api_keys = api_keys
        self._loaded = loaded
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> PageServer:
        self._thread.start()
        assert self._ready.wait(timeout=PATIENCE_S), "the server does not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=30)
        assert not self._thread.is_alive(), "the server does not stop"

    def cut(self) -> None:
        """Ends the server as if its machine had gone: connections break off without a last word."""
        self._server.force_exit = True
        self._server.should_exit = True
        self._loop.call_soon_threadsafe(self._abort_connections)

    def stats(self) -> dict[str, Any]:
        """What the engine is busy with."""
        return self._manager.stats()

    def count_wakes(self, for_s: float) -> int:
        """How often the event loop wakes in that time."""
        selector: Any = self._loop._selector  # type: ignore[attr-defined]
        select, wakes = selector.select, []

        def counted(timeout: float | None) -> Any:
            wakes.append(timeout)
            return select(timeout)

        selector.select = counted
        time.sleep(for_s)
        selector.select = select
        return len(wakes)

    def _abort_connections(self) -> None:
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._manager = ModelManager(ModelSpec(id="demo", config=self._engine_config), self._more.get)
        models = LocalModels(self._manager)
        if self._loaded:
            await models.start()
        first, others = (self._api_keys[0], self._api_keys[1:]) if self._api_keys else (None, ())
        keys = dict(zip(owners(self._api_keys), self._api_keys, strict=True))
        self.services = PageServices(self._data, lambda: self.url, label=self._label, key_of=keys.get)
        app = create_app(with_page(ServerConfig(api_key=first, more_keys=others)), models)
        mount_page(app, self.services)
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve(sockets=[self._sock]))
        while not self._server.started:
            await asyncio.sleep(0.01)
        self._ready.set()
        await serving
        await self.services.stop_jobs()
        await models.stop()


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """TOKENS_PER_S at most; the word in capitals in a question chooses the script."""
    runner_args = {"tokens_per_s": TOKENS_PER_S, "scripts": SCRIPTS, "n_ctx": N_CTX}
    with PageServer(scripted(runner_args), LABEL, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One per module: while it is open, no other test can run an event loop on this thread."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no browser here: install the Debian package `chromium`")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=FLAGS)


class Visit:
    """One tab on the page, with what it fetched and complained about."""

    def __init__(self, tab: Page, url: str) -> None:
        self.tab = tab
        self.url = url
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        tab.on("request", self._on_request)
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("console", self._on_console)
        tab.set_default_timeout(PATIENCE_S * 1000)
        tab.goto(url)
        tab.wait_for_selector("#question")

    def ask(self, question: str) -> None:
        """Types the question, sends it with Enter and waits until its turn is there."""
        n_turns = self.tab.locator(".turn").count()
        self.tab.wait_for_selector("#ask")
        self.tab.fill("#question", question)
        self.tab.press("#question", "Enter")
        self.tab.locator(".turn").nth(n_turns).wait_for()

    def wait(self, state: str, timeout_s: float = PATIENCE_S) -> None:
        """Waits until the newest turn is in `state`, with its thought, which may be over before the tab hears of it."""
        self.tab.wait_for_selector(f".turn:last-child[data-state={state}]", timeout=timeout_s * 1000)
        self.tab.wait_for_function(
            "!document.querySelector('.turn:last-child .trace .text')?.textContent.startsWith('Loading the thought')"
        )

    def until(self, is_so: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        """Waits for what only this side knows of, while the browser goes on."""
        deadline = time.monotonic() + within_s
        while not is_so():
            assert time.monotonic() < deadline, "it does not come about"
            self.tab.wait_for_timeout(10)

    def text(self, selector: str) -> str:
        """What the newest turn shows there."""
        return self.tab.inner_text(f".turn:last-child {selector}")

    def thought(self) -> str:
        """The newest turn's, also what is scrolled out of sight and so not laid out."""
        lines = self.tab.locator(".turn:last-child .trace .text p").all_text_contents()
        return "\n".join(lines)

    def take_complaints(self) -> list[str]:
        """What it complained about and fetched from elsewhere, once: the tests behind do not answer for it."""
        taken = [*self.complaints, *self.foreign]
        self.complaints.clear()
        self.foreign.clear()
        return taken

    def begin_anew(self) -> None:
        """A new chat, with what runs stopped and what the page remembers forgotten."""
        if self.tab.is_visible("#stop"):
            self.tab.keyboard.press("Escape")
            self.tab.wait_for_selector("#ask")
        self.tab.fill("#question", "")
        self.tab.evaluate("localStorage.clear()")
        self.new_chat()

    def new_chat(self) -> None:
        self.tab.keyboard.press("Control+Shift+O")
        self.tab.wait_for_selector(".welcome")

    def reload(self) -> None:
        """As a person does in the middle of something."""
        self.tab.reload()
        self.tab.wait_for_selector("#question")

    @property
    def conversation(self) -> str:
        """The id of the one that is shown."""
        return self.tab.url.partition("?c=")[2]

    def json(self, path: str) -> Any:
        """What the page's own routes say."""
        return self.tab.context.request.get(self.url + path).json()

    def _on_console(self, line: Any) -> None:
        if line.type == "error":
            self.complaints.append(f"{line.text} {line.location.get('url', '')}")

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(request.url)


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """Tabs share what the browser keeps of the page's files; what the page keeps in it ends with each test."""
    with browser.new_context(viewport={"width": 1280, "height": 860}) as context:
        yield context


@pytest.fixture(scope="module")
def chat_tab(browser: Browser, server: PageServer) -> Iterator[Visit]:
    """One tab for the tests of a module: a load of the page takes longer than most of them."""
    with browser.new_context(viewport={"width": 1280, "height": 860}) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield Visit(context.new_page(), server.url)


@pytest.fixture
def chat(chat_tab: Visit) -> Iterator[Visit]:
    """That tab on a new chat, with nothing remembered. It must never complain, and never fetch from elsewhere."""
    chat_tab.begin_anew()
    yield chat_tab
    assert chat_tab.take_complaints() == []


@pytest.fixture
def visit(window: BrowserContext, server: PageServer) -> Iterator[Visit]:
    """A fresh tab on the page. It must never complain, and never fetch anything from elsewhere."""
    visit = Visit(window.new_page(), server.url)
    yield visit
    if not visit.tab.is_closed():
        visit.tab.evaluate("localStorage.clear()")
    for tab in window.pages:
        tab.close()
    assert visit.take_complaints() == []
