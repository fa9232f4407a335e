"""Our own server as a benchmark sees it: `r1chat serve` in a process of its own, started and stopped here."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx2

from ...serve.errors import ModelLoadError
from ..terminal import last_words
from .load import Target, open_target
from .processes import cpu_seconds

NAME = "r1chat"
_START_S = 600.0
_STOP_S = 15.0
_SETTLE_S = 30.0
# What app/server.py says when the model is loaded.
_READY = re.compile(r" is ready\. Page: (\S+) ")


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
    """`r1chat serve` on a free port and beside the person's own files, for as long as the block runs.

    Raises ModelLoadError with its last words.
    """
    environment = {name: value for name, value in os.environ.items() if name != "R1CHAT_API_KEY"}
    with tempfile.TemporaryDirectory(prefix="r1chat-bench-") as folder:
        command = [sys.executable, "-m", "r1chat.app", "serve", "--model", str(model), "--port", "0", "--data", folder]
        said = Path(folder) / "said.txt"
        with said.open("wb") as out:
            process = subprocess.Popen([*command, *options], stdout=out, stderr=out, env=environment)
        try:
            async with open_target(NAME, await _ready(process, said), banned) as target:
                yield OwnServer(target, process.pid)
        finally:
            await asyncio.to_thread(_stop, process)


async def read_metrics(target: Target) -> dict[str, float]:
    """What GET /metrics counts, by name; what has labels is left out."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        response = (await client.get(f"{target.url}/metrics")).raise_for_status()
    lines = (line.split() for line in response.text.splitlines() if not line.startswith("#"))
    return {words[0]: float(words[1]) for words in lines if len(words) == 2 and "{" not in words[0]}


async def _ready(process: subprocess.Popen[bytes], said: Path) -> str:
    """Its address, once it has told it."""
    deadline = monotonic() + _START_S
    while monotonic() < deadline:
        has_ended = process.poll() is not None
        text = said.read_text(encoding="utf-8", errors="replace")
        if found := _READY.search(text):
            return found[1]
        if has_ended:
            raise ModelLoadError(last_words(text.splitlines()) or "the server ended without a word")
        await asyncio.sleep(0.1)
    raise ModelLoadError(f"the server was not ready after {_START_S:.0f} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
