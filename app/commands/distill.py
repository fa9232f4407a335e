"""r1chat distill: train a student. The stages are r1chat.distill's; here they are started and shown."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ...distill.config import Event

STAGES = {
    "vocabulary": "learning the vocabulary",
    "train": "training",
    "export": "writing the GGUF and comparing it with what was trained",
    "evaluate": "solving held-out problems",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "distill",
        help="train a student model; `tiny` retrains the bundled one",
        description="Trains a student model, exports it as GGUF and measures it on held-out problems.\n"
        "An interrupted run goes on where it stopped; a finished stage is not done again.",
        epilog="examples:\n"
        "  r1chat distill --student tiny                           retrain the bundled model\n"
        "  r1chat distill --student tiny --run-dir /data/a --minutes 5\n\n"
        'needs torch: pip install "r1chat[distill]"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--student", required=True, metavar="NAME", help="tiny: the bundled model")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="folder of the run (default: in your data folder)")
    parser.add_argument("--minutes", type=float, metavar="M", default=100.0, help="training time (default: 100)")
    parser.add_argument("--samples", type=int, metavar="K", default=4, help="draws per held-out problem (default: 4)")
    parser.add_argument("--no-compile", action="store_true", help="train without torch.compile: slower, starts at once")
    parser.add_argument("--json", action="store_true", help="print the result as one object")


def run(args: argparse.Namespace) -> int:
    """Runs the stages that are not done yet."""
    import platformdirs

    from ...distill.config import DistillConfig
    from ...distill.pipeline import run as run_pipeline

    run_dir = args.run_dir or platformdirs.user_data_path("r1chat") / "runs" / args.student
    config = DistillConfig(args.student, run_dir, args.minutes, args.samples, not args.no_compile)
    try:
        with Display(quiet=args.json) as display:
            result = run_pipeline(config, _serve, display.show)
    except KeyboardInterrupt:
        print(f"Stopped; what was trained is saved. Go on with: r1chat distill --student {args.student}", file=sys.stderr)
        raise
    if args.json:
        print(json.dumps({"gguf": str(result.gguf), "evaluation": result.evaluation}))
    else:
        print(_summary(result.evaluation))
        print(f"The student is {result.gguf}\nChat with it: r1chat --model {result.gguf}")
    return 0


def _serve(gguf: Path) -> AbstractAsyncContextManager[str]:
    from ...serve.models.catalog import resolve
    from ..server import local_server

    return local_server(resolve(str(gguf)), n_ctx=None)


class Display:
    """Progress on stderr, one bar for the stage that runs."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Display:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        self._bars = Progress(*columns, console=Console(stderr=True), disable=self._quiet)
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, event: Event) -> None:
        """Shares (0..1) move the bar, every other number is noted beside it."""
        if self._bars is None:
            return
        if event.stage not in self._tasks:
            self._tasks[event.stage] = self._bars.add_task(STAGES[event.stage], total=1.0, note="")
        task = self._tasks[event.stage]
        if event.metric.endswith("share"):
            self._bars.update(task, completed=event.value)
        else:
            self._bars.update(task, note=f"{event.metric.replace('_', ' ')} {event.value:.4g}")


def _summary(evaluation: dict[str, Any]) -> str:
    lines = ["held-out problems     pass@1   95 % interval     n x k   truncated"]
    for split, result in evaluation.items():
        rows = {split: result["overall"]} | {f"  {name}": row for name, row in result["families"].items()}
        for name, row in rows.items():
            lines.append(
                f"{name:<20} {row['pass_at_1']:7.1%}   {row['low']:.1%} to {row['high']:.1%}   "
                f"{row['n']:>4} x {row['k']}   {row['truncated']:.1%}"
            )
    return "\n".join(lines)
