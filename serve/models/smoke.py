"""Starts a model once, has it write a few tokens, and says how that went and what it took."""

from __future__ import annotations

import asyncio
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..engine.config import EngineConfig
from ..engine.process import EngineProcess
from ..engine.request import Finished, GenerateRequest, ModelInfo, SamplingParams, Segment, TokenOutput


@dataclass(frozen=True)
class Smoke:
    """`resident_bytes` of the child after it worked, weights mapped from the file among them; None: cannot be told."""

    info: ModelInfo
    text: str
    n_tokens: int
    seconds: float
    resident_bytes: int | None


async def smoke(config: EngineConfig, *, n_tokens: int = 16, n_requests: int = 1, n_words: int = 8) -> Smoke:
    """`n_requests` at once, with prompts of `n_words`; text and time are the first one's. Raises R1ChatError."""
    engine = EngineProcess(config)
    try:
        info = await engine.start()
        began = asyncio.get_running_loop().time()
        texts = await asyncio.gather(
            *(_write(engine, _request(number, n_tokens, n_words)) for number in range(n_requests))
        )
        seconds = asyncio.get_running_loop().time() - began
        text, n_written = texts[0]
        return Smoke(info, text, n_written, seconds, resident_bytes(engine.pid) if engine.pid else None)
    finally:
        await engine.stop()


def resident_bytes(pid: int) -> int | None:
    """What a process has in memory, its share of what it has in common with others counted; None: cannot be told."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    except OSError:
        pass
    try:
        said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
        return int(said) * 1024
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def _request(number: int, n_tokens: int, n_words: int) -> GenerateRequest:
    # every prompt has words of its own, so that none shares another's cells
    words = " ".join(f"{number * 7919 + i * 104_729:x}" for i in range(n_words))
    return GenerateRequest(
        request_id=f"smoke {number}",
        prompt=(Segment(words, False),),
        params=SamplingParams(temperature=0.0, max_tokens=n_tokens),
    )


async def _write(engine: EngineProcess, request: GenerateRequest) -> tuple[str, int]:
    text, n_tokens = "", 0
    async for event in engine.generate(request):
        if isinstance(event, TokenOutput):
            text += event.text
        elif isinstance(event, Finished):
            n_tokens = event.usage.completion_tokens
    return text, n_tokens
