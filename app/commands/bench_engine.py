"""r1chat bench engine: what our engine costs over a bare loop of llama_decode here.

The measuring runs in a child process (serve/engine/llama/bench_loop.py); here the figures are put together.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...serve.errors import ModelLoadError
from ..terminal import last_words, printable
from ..values import repeats
from .bench_model import add_model_options, resolve_model

STEPS = 64
TARGET = 0.95


def add_parser(subjects: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subjects.add_parser(
        "engine",
        help="decode tokens/s against a bare loop of llama_decode",
        description="Decodes with the engine and with a bare loop of llama_decode by turns: same file, same\n"
        "context, same samplers.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_model_options(parser)
    parser.add_argument("--streams", type=_streams, default=(1, 8), metavar="N,N", help="how many (default: 1,8)")
    parser.add_argument("--rounds", type=repeats, default=5, metavar="N", help="medians are taken over N (default: 5)")
    parser.add_argument("--json", action="store_true", help="print one object with every measurement")


def _streams(text: str) -> tuple[int, ...]:
    streams = tuple(repeats(part) for part in text.split(","))
    if max(streams) > 64:
        raise argparse.ArgumentTypeError("64 streams at most")
    return streams


def run(args: argparse.Namespace) -> int:
    from ...serve.models.gguf.info import read_info

    path = resolve_model(args)
    info = read_info(path)
    loaded, *measurements = _with_progress(_child_lines(path, args.rounds, args.streams), args.rounds)
    results = [_result(measurements, streams) for streams in sorted({m["streams"] for m in measurements})]
    if args.json:
        summary = {"model": str(path), "file_type": info.file_type, **loaded, "rounds": args.rounds, "steps": STEPS}
        print(json.dumps({**summary, "results": results, "measurements": measurements}))
    else:
        print(printable(f"{info.name}: {info.n_params / 1e6:,.1f} million parameters, {info.file_type}"))
        print(_table(loaded["threads"], args.rounds, results))
    return 0


def _child_lines(path: Path, rounds: int, streams: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """What the child prints, line by line. Raises ModelLoadError with its last words where it fails."""
    job = json.dumps({"measure": "engine", "model": str(path), "rounds": rounds, "steps": STEPS, "streams": streams})
    command = [sys.executable, "-m", "r1chat.serve.engine.llama.bench_loop"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)
        assert child.stdin is not None and child.stdout is not None
        with child:
            try:
                child.stdin.write(job)
                child.stdin.close()
                for line in child.stdout:
                    yield json.loads(line)
            except BaseException:
                child.kill()
                raise
        if child.returncode != 0:
            said.seek(0)
            raise ModelLoadError(last_words(list(said)) or f"the measuring process ended with {child.returncode}")


def _with_progress(lines: Iterator[dict[str, Any]], rounds: int) -> Iterator[dict[str, Any]]:
    shown = sys.stderr.isatty()
    for line in lines:
        if shown and "round" in line:
            print(f"\rround {line['round'] + 1} of {rounds} ", end="", file=sys.stderr, flush=True)
        yield line
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _result(measurements: list[dict[str, Any]], streams: int) -> dict[str, Any]:
    """Medians over the rounds; the ratio is the median of the rounds' own, so that drift cancels."""
    speeds: dict[str, list[float]] = {
        loop: [m["tokens_per_s"] for m in measurements if (m["loop"], m["streams"]) == (loop, streams)]
        for loop in ("engine", "bare")
    }
    ratios = [engine / bare for engine, bare in zip(speeds["engine"], speeds["bare"], strict=True)]
    return {
        "streams": streams,
        "engine_tokens_per_s": statistics.median(speeds["engine"]),
        "bare_tokens_per_s": statistics.median(speeds["bare"]),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def _table(threads: int, rounds: int, results: list[dict[str, Any]]) -> str:
    lines = [
        f"{threads} threads, {STEPS} steps, median of {rounds} rounds",
        "streams   engine tok/s   bare loop tok/s   ratio (min to max)",
    ]
    for result in results:
        lines.append(
            f"{result['streams']:>7}   {result['engine_tokens_per_s']:>12.1f}   {result['bare_tokens_per_s']:>15.1f}"
            f"   {result['ratio']:.3f} ({result['ratio_min']:.3f} to {result['ratio_max']:.3f})"
        )
    met = all(result["ratio"] >= TARGET for result in results)
    return "\n".join([*lines, f"target: a ratio of at least {TARGET} at each: {'met' if met else 'missed'}"])
