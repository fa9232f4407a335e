"""r1chat bench accuracy: how many of the held-out problems a model solves, asked through /v1."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from ..values import repeats

if TYPE_CHECKING:
    from ...distill.problems import Problem
    from ...serve.models.catalog import ModelEntry


def add_parser(subjects: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subjects.add_parser(
        "accuracy",
        help="pass@1 on problems that the bundled model never saw",
        description="Asks a model every held-out problem several times (temperature 0.6, top-p 0.95) and prints\n"
        "pass@1 with its 95 % interval and the share of replies that were cut off. `strangers` are prompts\n"
        "outside its field: right is the answer that says so.\n"
        "Programs that the model writes are run, in a sandbox (Linux only); where it does not work, all of `code`\n"
        "counts as wrong.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--model", metavar="MODEL", default="demo", help="demo, a .gguf file, or user/repo:QUANT")
    parser.add_argument("--samples", type=repeats, default=4, metavar="K", help="draws per problem (default: 4)")
    parser.add_argument("--json", action="store_true", help="print one object")


def run(args: argparse.Namespace) -> int:
    from ...distill.problems.held_out import held_out, strangers
    from ...serve.models.catalog import resolve

    evaluation = asyncio.run(_measure(resolve(args.model), {**held_out(), "strangers": strangers()}, args.samples))
    print(json.dumps(evaluation) if args.json else accuracy_table(evaluation))
    return 0


async def _measure(entry: ModelEntry, splits: dict[str, tuple[Problem, ...]], k: int) -> dict[str, Any]:
    from ...distill.evaluate.accuracy import evaluate
    from ..local_server import local_server

    async with local_server(entry) as url:
        return {
            split: (await evaluate(url, problems, k=k, report=Counter(split))).as_dict()
            for split, problems in splits.items()
        }


class Counter:
    """How far a measurement is, on a terminal."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        if self._shown and (done % 20 == 0 or done == total):
            end = "\r\x1b[K" if done == total else ""
            print(f"\r{self._what}: {done} of {total} {end}", end="", file=sys.stderr, flush=True)


def accuracy_table(evaluation: dict[str, Any]) -> str:
    """pass@1 with its interval, by split of the held-out problems and by family."""
    lines = [f"{'held-out problems':<22} pass@1   95 % interval      n x k  cut off"]
    for split, result in evaluation.items():
        rows = {split: result["overall"]} | {f"  {name}": row for name, row in result["families"].items()}
        for name, row in rows.items():
            interval, draws = f"{row['low']:.1%} to {row['high']:.1%}", f"{row['n']:>4} x {row['k']}"
            lines.append(f"{name:<22} {row['pass_at_1']:6.1%}   {interval:<16} {draws}  {row['truncated']:6.1%}")
        lines.append(f"{'  refused wrongly':<22} {result['refused']:6.1%}")
    return "\n".join(lines)
