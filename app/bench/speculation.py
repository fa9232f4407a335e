"""Scenario of speculation: the engine with drafts of scripted quality against itself without, in a child process."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from ..terminal import last_words
from .scenario import Scenario, Trial, Unmeasurable, Values

SHARES = (0.0, 0.5, 0.9)
_TOKENS = 192


async def _speculation(trial: Trial) -> Values:
    rates = await _child(trial.model, trial.round)
    plain = rates.pop("plain")
    return {"plain": plain} | {f"{float(share):.0%} right": rate / plain for share, rate in rates.items()}


async def _child(model: Path, round: int) -> dict[str, float]:
    """Tokens per second: "plain", and by the share of drafts that are right."""
    job = {"measure": "speculation", "model": str(model), "round": round, "shares": SHARES, "tokens": _TOKENS}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "r1chat.serve.engine.llama.bench_loop"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await child.communicate(json.dumps(job).encode())
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        last = last_words(err.decode(errors="replace").splitlines())
        raise Unmeasurable(f"the measuring process failed: {last or child.returncode}")
    return {m["loop"]: m["tokens_per_s"] for m in map(json.loads, out.splitlines()) if "loop" in m}


SCENARIOS = (
    Scenario(
        "speculation",
        "one stream whose drafts are right as often as scripted, against no drafts",
        {"plain": "tok/s"} | {f"{share:.0%} right": "x" for share in SHARES},
        _speculation,
        own_only=True,
    ),
)
