"""r1chat distill: train a student. The stages are r1chat.distill's; here they are only started."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "distill",
        help="train a student model; `tiny` retrains the bundled one",
        description="Trains a student model and exports it as GGUF. An interrupted run goes on where it stopped.",
        epilog="examples:\n"
        "  r1chat distill --student tiny                           retrain the bundled model\n"
        "  r1chat distill --student tiny --run-dir runs/a --minutes 5\n\n"
        'needs torch: pip install ".[distill]"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--student", required=True, metavar="NAME", help="tiny: the bundled model")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="folder of the run (default: runs/STUDENT)")
    parser.add_argument("--minutes", type=float, metavar="M", help="stop training after so many minutes")
    parser.add_argument("--json", action="store_true", help="print the result as one object")


def run(args: argparse.Namespace) -> int:
    """Runs the stages that are not done yet."""
    raise NotImplementedError
