"""Starts a model once, has it write a few tokens, and says how that went and what it took."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ...engine.config import EngineConfig
from ...engine.process import EngineProcess
from ...engine.request import Finished, GenerateRequest, ModelInfo, SamplingParams, Segment, TokenOutput
from .footprint import footprint

PromptMaker = Callable[[ModelInfo, int], tuple[Segment, ...]]


@dataclass(frozen=True)
class Smoke:
    """What the first request brought. `resident_bytes` of the child after all worked, weights mapped from the file
    among them; None: cannot be told. `host_cache_bytes` is what conversations may take besides.
    """

    info: ModelInfo
    text: str
    n_tokens: int
    seconds: float
    resident_bytes: int | None
    host_cache_bytes: int


async def smoke(config: EngineConfig, make_prompt: PromptMaker, *, n_tokens: int = 16, n_requests: int = 1) -> Smoke:
    """`n_requests` at once, each with the prompt of its number. Raises R1ChatError."""
    engine = EngineProcess(config)
    try:
        info = await engine.start()
        began = asyncio.get_running_loop().time()
        requests = [_request(number, make_prompt(info, number), n_tokens) for number in range(n_requests)]
        written = await asyncio.gather(*(_write(engine, request) for request in requests))
        seconds = asyncio.get_running_loop().time() - began
        return Smoke(info, *written[0], seconds, _resident_bytes(engine.pid), engine.stats()["host_max_bytes"])
    finally:
        await engine.stop()


def _request(number: int, prompt: tuple[Segment, ...], n_tokens: int) -> GenerateRequest:
    params = SamplingParams(temperature=0.0, max_tokens=n_tokens)
    return GenerateRequest(request_id=f"smoke {number}", prompt=prompt, params=params)


async def _write(engine: EngineProcess, request: GenerateRequest) -> tuple[str, int]:
    text, n_tokens = "", 0
    async for event in engine.generate(request):
        if isinstance(event, TokenOutput):
            text += event.text
        elif isinstance(event, Finished):
            n_tokens = event.usage.completion_tokens
    return text, n_tokens


def _resident_bytes(pid: int | None) -> int | None:
    found = footprint(pid) if pid is not None else None
    # not its share of what it has in common with others: that depends on who else runs
    return found.rss if found else None
