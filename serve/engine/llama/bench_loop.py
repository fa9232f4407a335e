"""Times Engine.step() on a real model. Runs as a child process, prints one JSON line per measurement.

"engine": against a bare loop of llama_decode on the same context, which decodes the same prompts and draws
under the same settings with llama.cpp's own samplers. "speculation": with drafts of scripted quality against
none. Both go by turns, so that what else the machine does falls on all alike.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ...errors import ModelLoadError
from ..config import EngineConfig
from ..model_runner import bound_native_threads
from ..request import GenerateRequest, SamplingParams

if TYPE_CHECKING:
    from .runner import LlamaModelRunner

_PROMPT_TOKENS = 4
# At least four prompt rows go into a step, so after these every stream is decoding.
_WARM_UP_STEPS = 12


@dataclass(frozen=True)
class Measurement:
    """Tokens per second of all streams together; `loop` says which of the loops that are compared."""

    loop: str
    streams: int
    round: int
    tokens_per_s: float


def load(job: dict[str, Any]) -> LlamaModelRunner:
    """The file as the server would load it, with room for the measured steps. Raises ModelLoadError."""
    if job["measure"] == "speculation":
        from .bench_drafts import ReplayRunner

        return ReplayRunner(EngineConfig(model_path=Path(job["model"]), n_ctx=1024))
    from .runner import LlamaModelRunner

    most = max(EngineConfig.n_seq_max, *job["streams"])
    return LlamaModelRunner(EngineConfig(model_path=Path(job["model"]), n_ctx=512, n_seq_max=most))


def measure(runner: LlamaModelRunner, *, rounds: int, steps: int, streams: list[int]) -> Iterator[Measurement]:
    """`rounds` times both loops at each number of streams, each over `steps` decode steps."""
    params = endless(runner)
    loops = {"engine": _engine_seconds, "bare": _bare_seconds}
    for index in range(rounds):
        for n in streams:
            # The first of a pair finds the machine as the pair before left it: take turns at that.
            for name in ("engine", "bare") if index % 2 else ("bare", "engine"):
                clear(runner)
                yield Measurement(name, n, index, n * steps / loops[name](runner, params, n, steps))


def endless(runner: LlamaModelRunner) -> SamplingParams:
    """R1's defaults, and no stream ends early: then all loops compute the same number of rows."""
    ends = [token for token in range(runner.info.n_vocab) if runner.is_end(token)]
    return SamplingParams(seed=1, logit_bias=dict.fromkeys(ends, -1000.0))


def clear(runner: LlamaModelRunner) -> None:
    for seq_id in range(runner.n_resident):
        runner.remove(seq_id, 0)


def _prompts(runner: LlamaModelRunner, streams: int) -> list[list[int]]:
    first = runner.info.n_vocab // 3
    return [[first + stream * _PROMPT_TOKENS + i for i in range(_PROMPT_TOKENS)] for stream in range(streams)]


def _engine_seconds(runner: LlamaModelRunner, params: SamplingParams, streams: int, steps: int) -> float:
    from ..engine import Engine

    engine = Engine(runner)
    names = [f"stream-{i}" for i in range(streams)]
    for name, tokens in zip(names, _prompts(runner, streams), strict=True):
        engine.add_request(GenerateRequest(request_id=name, prompt=(), params=params, reasoning_open=True), tokens)
    for _ in range(_WARM_UP_STEPS):
        engine.step()
    cells = engine.stats().kv_cells_used
    began = perf_counter()
    for _ in range(steps):
        engine.step()
    seconds = perf_counter() - began
    if engine.stats().kv_cells_used - cells != streams * steps:
        raise RuntimeError("a stream ended or waited while it was timed")
    for name in names:
        engine.abort(name)
    return seconds


def _bare_seconds(runner: LlamaModelRunner, params: SamplingParams, streams: int, steps: int) -> float:
    import llama_cpp

    from .chain import build_chain

    # The engine's own context: the same settings, the same memory, no second copy of the weights.
    context = runner._context
    prompts = _prompts(runner, streams)
    chains = [build_chain(params, n_vocab=runner.info.n_vocab, prompt=prompt) for prompt in prompts]
    batch = llama_cpp.llama_batch_init(streams * _PROMPT_TOKENS, 0, 1)

    def put(tokens: list[list[int]], position: int) -> list[list[int]]:
        rows = [(s, i, token) for s, run in enumerate(tokens) for i, token in enumerate(run)]
        for row, (stream, offset, token) in enumerate(rows):
            batch.token[row], batch.pos[row] = token, position + offset
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, stream
            batch.logits[row] = offset == len(tokens[stream]) - 1
        batch.n_tokens = len(rows)
        if code := llama_cpp.llama_decode(context, batch):
            raise RuntimeError(f"llama_decode returned {code}")
        ends = [row for row in range(len(rows)) if batch.logits[row]]
        return [[llama_cpp.llama_sampler_sample(chain, context, row)] for chain, row in zip(chains, ends, strict=True)]

    tokens, position, began = put(prompts, 0), _PROMPT_TOKENS, 0.0
    for step in range(_WARM_UP_STEPS + steps):
        if step == _WARM_UP_STEPS:
            began = perf_counter()
        tokens = put(tokens, position)
        position += 1
    seconds = perf_counter() - began
    for chain in chains:
        llama_cpp.llama_sampler_free(chain)
    llama_cpp.llama_batch_free(batch)
    return seconds


def _measurements(job: dict[str, Any], runner: LlamaModelRunner) -> Iterator[Measurement]:
    if job["measure"] == "speculation":
        from .bench_drafts import ReplayRunner, measure_drafts

        assert isinstance(runner, ReplayRunner)
        return measure_drafts(runner, shares=job["shares"], n_tokens=job["tokens"], turn=job["round"])
    return measure(runner, rounds=job["rounds"], steps=job["steps"], streams=job["streams"])


def _main() -> None:
    bound_native_threads()
    job = json.load(sys.stdin)
    try:
        runner = load(job)
    except ModelLoadError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps({"threads": runner.info.n_threads}), flush=True)
    for measurement in _measurements(job, runner):
        print(json.dumps(asdict(measurement)), flush=True)
    runner.close()


if __name__ == "__main__":
    _main()
