"""llama.cpp's own llama-server on the bundled model, run by xllamacpp in a venv of its own (tests/outside/peers.py).

Where $R1CHAT_PEERS names no such venv, what needs it is skipped.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

# Its one thread leaves the machine to the server under test.
PROGRAM = """
import sys, threading, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port = sys.argv[1], int(sys.argv[2])
params.model_alias = {"demo"}
params.n_parallel, params.kv_unified, params.n_ctx = 8, True, 2048
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
threading.Event().wait()
"""


@contextmanager
def llama_server(model: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its URL and its process, once it serves."""
    python = Path(os.environ.get("R1CHAT_PEERS", "/nowhere")) / "venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("set R1CHAT_PEERS to a folder with a venv that has xllamacpp")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    command = [str(python), "-c", PROGRAM, str(model), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, url)
        yield url, process
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"{url}/health", timeout=2).is_success:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("llama-server does not serve")
