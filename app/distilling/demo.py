"""`r1chat distill --student demo`: the recipe of the bundled model, which has stages of its own."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..commands.accuracy import accuracy_table
from ..errors import UsageError
from ..folders import RUNS, data_folder
from ..terminal import printable
from .bars import Bars, Lines

if TYPE_CHECKING:
    from ...distill.demo.config import DemoConfig


def run_demo(args: argparse.Namespace) -> int:
    """Trains from nothing what is not trained yet; the result goes to stdout, progress to stderr."""
    from ...distill.demo.pipeline import run as run_stages
    from ...serve.models.catalog import ModelEntry
    from ..server import local_server

    config = _config(args)
    try:
        with Bars() if sys.stderr.isatty() else Lines() as display:
            result = run_stages(config, lambda gguf: local_server(ModelEntry("demo", gguf)), display.show)
    except KeyboardInterrupt:
        again = f"r1chat distill --student demo --run-dir {shlex.quote(str(config.run_dir))}"
        print(printable(f"Stopped; the training so far is saved. Go on with: {again}"), file=sys.stderr)
        raise
    if args.json:
        print(json.dumps({"gguf": str(result.gguf), "evaluation": result.evaluation}))
    else:
        print(accuracy_table(result.evaluation))
        print(f'{result.gguf}\nTry it: r1chat run {shlex.quote(str(result.gguf))} "What is 15% of 240?"')
    return 0


def _config(args: argparse.Namespace) -> DemoConfig:
    from ...distill.demo.config import DemoConfig
    from ...distill.errors import DistillError

    run_dir = Path(args.run_dir) if args.run_dir else data_folder(args) / RUNS / "demo"
    try:
        minutes = 100.0 if args.minutes is None else args.minutes
        return DemoConfig(run_dir, minutes=minutes, samples=getattr(args, "eval_samples", 4))
    except DistillError as error:
        raise UsageError(str(error)) from error
