"""r1chat bench: measurements. `engine`: what our engine costs over a bare loop of llama_decode here.

The measuring runs in a child process (serve/engine/bench_loop.py); here the figures are put together.
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
from ..terminal import printable
from . import accuracy

SHAPE, QUANT = "qwen2-0.5b", "Q4_K_M"
STEPS = 64
TARGET = 0.95


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "bench",
        help="measure the engine on this machine, or a model's accuracy",
        description="Measures the engine on this machine, or a model's accuracy.",
        allow_abbrev=False,
    )
    subjects = parser.add_subparsers(dest="subject", metavar="SUBJECT", required=True)
    accuracy.add_parser(subjects)
    engine = subjects.add_parser(
        "engine",
        help="decode tokens/s at 1 and 8 streams against a bare loop of llama_decode",
        description="Decodes with the engine and with a bare loop of llama_decode by turns: same file, same\n"
        f"context, same samplers. Without --model on random weights of the exact shape of {SHAPE}\n"
        f"{QUANT}, made on first use (0.4 GB, and 1 GB more while they are made).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    engine.add_argument("--model", metavar="MODEL", help="demo, a .gguf file, or user/repo:QUANT")
    engine.add_argument("--rounds", type=_rounds, default=5, metavar="N", help="medians are taken over N (default: 5)")
    engine.add_argument("--json", action="store_true", help="print one object with every measurement")


def _rounds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 to 1000")
    return int(text)


def run(args: argparse.Namespace) -> int:
    if args.subject == "accuracy":
        return accuracy.run(args)
    from ...serve.models.gguf_info import read_info

    path = _model(args.model)
    info = read_info(path)
    loaded, *measurements = _with_progress(_child_lines(path, args.rounds), args.rounds)
    results = [_result(measurements, streams) for streams in sorted({m["streams"] for m in measurements})]
    if args.json:
        summary = {"model": str(path), "file_type": info.file_type, **loaded, "rounds": args.rounds, "steps": STEPS}
        print(json.dumps({**summary, "results": results, "measurements": measurements}))
    else:
        print(printable(f"{info.name}: {info.n_params / 1e6:,.1f} million parameters, {info.file_type}"))
        print(_table(loaded["threads"], args.rounds, results))
    return 0


def _model(name: str | None) -> Path:
    if name is not None:
        from ...serve.models.catalog import resolve

        return resolve(name).path
    from huggingface_hub import cached_assets_path

    from ...serve.models.shapes import cached_random_gguf

    print(
        f"Random weights in the shape of {SHAPE} {QUANT}; the first time they take a minute to make.", file=sys.stderr
    )
    return cached_random_gguf(SHAPE, cached_assets_path("r1chat", namespace="bench"), QUANT)


def _child_lines(path: Path, rounds: int) -> Iterator[dict[str, Any]]:
    """What the child prints, line by line. Raises ModelLoadError with its last words where it fails."""
    job = json.dumps({"model": str(path), "rounds": rounds, "steps": STEPS})
    command = [sys.executable, "-m", "r1chat.serve.engine.bench_loop"]
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
            last = [line.strip() for line in said if line.strip()][-1:]
            raise ModelLoadError(last[0] if last else f"the measuring process ended with {child.returncode}")


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
