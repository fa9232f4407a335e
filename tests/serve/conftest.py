"""One real server for the tests of the wire and of the client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from live_server import LiveServer, StartServer, start


@pytest.fixture(scope="session")
def live() -> Iterator[LiveServer]:
    """One server for the tests that leave it as they found it; about 200 tokens/s."""
    with start({"tokens_per_s": 200}) as server:
        yield server


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Starts servers of one's own: start_server(runner_args, **server_config)."""
    running: list[LiveServer] = []

    def started(*args: Any, **kwargs: Any) -> LiveServer:
        server = start(*args, **kwargs).__enter__()
        running.append(server)
        return server

    yield started
    for server in running:
        server.__exit__()
