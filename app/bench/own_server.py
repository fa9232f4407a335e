"""Our own server as a benchmark sees it: `r1chat serve` in a process of its own, started and stopped here."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO

import httpx2

from ...serve.client import LOOPBACK, Client, ServerUnreachableError
from ...serve.errors import ModelLoadError
from .load import Target, open_target
from .processes import cpu_seconds

NAME = "r1chat"
_START_S = 600.0
_STOP_S = 15.0
_SETTLE_S = 30.0


@dataclass(frozen=True)
class OwnServer:
    """The running server: its address, and its process with the engine's below it."""

    target: Target
    pid: int

    async def settle(self) -> None:
        """Waits for what it computes ahead after a reply, which must not fall on another server's time."""
        deadline, before = monotonic() + _SETTLE_S, cpu_seconds(self.pid)
        while monotonic() < deadline:
            await asyncio.sleep(0.4)
            now = cpu_seconds(self.pid)
            if now - before < 0.05:
                return
            before = now


@asynccontextmanager
async def own_server(model: Path | str, banned: dict[str, float], *options: str) -> AsyncIterator[OwnServer]:
    """`r1chat serve` on a free port for as long as the block runs. Raises ModelLoadError with its last words."""
    port = _free_port()
    command = [sys.executable, "-m", "r1chat.app", "serve", "--model", str(model), "--port", str(port), *options]
    environment = {name: value for name, value in os.environ.items() if name != "R1CHAT_API_KEY"}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
        try:
            url = f"http://{LOOPBACK[1]}:{port}"
            await _until_ready(process, url, said)
            async with open_target(NAME, url, banned) as target:
                yield OwnServer(target, process.pid)
        finally:
            await asyncio.to_thread(_stop, process)


async def read_metrics(target: Target) -> dict[str, float]:
    """What GET /metrics counts, by name; what has labels is left out."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        response = (await client.get(f"{target.url}/metrics")).raise_for_status()
    lines = (line.split() for line in response.text.splitlines() if not line.startswith("#"))
    return {words[0]: float(words[1]) for words in lines if len(words) == 2 and "{" not in words[0]}


async def _until_ready(process: subprocess.Popen[bytes], url: str, said: IO[str]) -> None:
    deadline = monotonic() + _START_S
    async with Client(url) as client:
        while monotonic() < deadline:
            if process.poll() is not None:
                raise ModelLoadError(_last_words(said))
            try:
                if (await client.health()).get("status") == "ok":
                    return
            except ServerUnreachableError:
                pass
            await asyncio.sleep(0.2)
    raise ModelLoadError(f"the server was not ready after {_START_S:.0f} s")


def _last_words(said: IO[str]) -> str:
    said.seek(0)
    lines = [line.strip() for line in said if line.strip()]
    return lines[-1] if lines else "the server ended without a word"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
