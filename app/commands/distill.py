"""r1chat distill: train a student. The stages are r1chat.distill's; here they are started and told of."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..terminal import printable

if TYPE_CHECKING:
    from ...distill.config import DistillConfig, Event


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "distill",
        help="train a student model; `tiny` retrains the bundled one",
        description="Trains a student model and exports it as GGUF. An interrupted run goes on where it stopped.",
        epilog="examples:\n"
        "  r1chat distill --student tiny                           retrain the bundled model\n"
        "  r1chat distill --student tiny --run-dir runs/a --minutes 5\n\n"
        'needs torch: pip install "r1chat[distill]"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--student", required=True, metavar="NAME", help="tiny: the bundled model")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="folder of the run (default: runs/STUDENT)")
    parser.add_argument("--minutes", type=float, default=100.0, metavar="M", help="training time (default: 100)")
    parser.add_argument("--json", action="store_true", help="print the result as one object")


def run(args: argparse.Namespace) -> int:
    """Runs the stages that are not done yet; the result goes to stdout, progress to stderr."""
    from ...distill.pipeline import run as run_stages
    from ...serve.models.catalog import ModelEntry
    from ..server import local_server

    result = run_stages(
        _config(args), lambda gguf: local_server(ModelEntry(args.student, gguf), n_ctx=None), listener=_report
    )
    if args.json:
        print(json.dumps({"gguf": str(result.gguf), "evaluation": result.evaluation}))
    else:
        print(f'{result.gguf}\nTry it: r1chat run {shlex.quote(str(result.gguf))} "What is 15% of 240?"')
    return 0


def _config(args: argparse.Namespace) -> DistillConfig:
    from ...distill.config import DistillConfig, DistillError

    try:
        return DistillConfig(args.student, args.run_dir or Path("runs", args.student), minutes=args.minutes)
    except DistillError as error:
        raise UsageError(str(error)) from error


def _report(event: Event) -> None:
    print(printable(f"{event.stage} {event.step}: {event.metric} {event.value:.4g}"), file=sys.stderr, flush=True)
