"""What every test shares: one async backend, a user's settings kept out, and a guard on double imports."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import HealthCheck, settings

from r1chat.serve.engine.model_runner import bound_native_threads

# A busy machine is slow, not wrong: neither an example nor a request that names no other timeout (5 s) fails by that.
# Examples are the same in each run, so that a change answers for itself alone; R1CHAT_TEST_SEARCH=1 looks for new ones.
settings.register_profile(
    "r1chat",
    deadline=None,
    derandomize=not os.environ.get("R1CHAT_TEST_SEARCH"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("r1chat")
for asks in (httpx2.Client.__init__, httpx2.AsyncClient.__init__, httpx2.get, httpx2.post):
    assert asks.__kwdefaults__
    asks.__kwdefaults__["timeout"] = httpx2.Timeout(60)


@pytest.fixture
def anyio_backend() -> str:
    """asyncio only: uvicorn and the engine's pipe live on it."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key or colour setting in the shell that runs the tests must not change what they see."""
    for name in ("R1CHAT_API_KEY", "NO_COLOR", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _each_module_once() -> Iterator[None]:
    """`import serve` beside `import r1chat.serve` gives every class twice, and isinstance lies."""
    yield
    stray = sorted({name.split(".")[0] for name in sys.modules} & {"app", "serve", "distill"})
    assert not stray, f"imported outside the r1chat package: {', '.join(stray)}"


def pytest_configure(config: pytest.Config) -> None:
    """Models that run here are bounded like those in the engine's child: spinning beside another process costs
    a factor of 40. A shell starts background jobs with Ctrl-C ignored, and commands under test would inherit that.
    """
    bound_native_threads()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
