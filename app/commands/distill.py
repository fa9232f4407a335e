"""r1chat distill: from traces to a measured student. Asks r1chat.distill for the stages, and shows them."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..distilling.agreement import agreed
from ..distilling.options import add_options, build_config, check_jail, combined, default_name
from ..distilling.progress import STAGES
from ..distilling.recipes import is_recipe, run_recipe
from ..distilling.run_folders import alone, store_options, stored_options
from ..errors import Status, UsageError
from ..folders import RUNS, data_folder
from ..terminal import printable
from ..values import whole

if TYPE_CHECKING:
    from ...distill.config import DistillConfig
    from ...distill.run_folder import RunFolder

NOT_SETTINGS = {"command", "stage", "stages", "run_dir", "yes", "json", "color", "data"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "distill",
        help="teach a small model on R1's traces: generate, verify, filter, train, export, measure, report",
        description="Makes a student: traces of a teacher, or ready ones, are verified and filtered, the student is\n"
        "trained on what is left, exported as GGUF, measured beside its teacher and its base, and put\n"
        "into the model list. Shows its plan and asks before it begins. An interrupted run goes on where\n"
        "it stopped; a stage is done again only where its settings or what it reads have changed. A number\n"
        "or a FILE of an earlier command is taken back by the word none: --max-steps none.",
        epilog="examples:\n"
        "  r1chat distill --student tiny                    the whole way in under an hour, without a download\n"
        "  r1chat distill --student qwen-1.5b               R1 traces from the hub, LoRA, a report with intervals\n"
        "  r1chat distill --student qwen-0.5b --teacher r1:7b --problems openai/gsm8k:main --samples 4\n"
        "  r1chat distill --student ./my-folder --traces traces.jsonl --eval test.jsonl\n"
        "  r1chat distill filter --run-dir RUN --max-row-tokens 4096    one stage of a run that is there\n"
        "  r1chat distill report --run-dir RUN\n"
        "  r1chat distill --recipe r1-zero                  reinforcement learning alone, on a base made here\n"
        "  r1chat distill --recipe r1                       the whole recipe in small: cold start, RL, SFT, RL\n"
        "  r1chat distill --recipe mine.yaml --student tiny --seed 1\n\n"
        "students: tiny, small, demo, qwen-0.5b, qwen-1.5b, qwen-7b, llama-1b, llama-8b, a hub id, or a folder\n"
        "recipes: r1-zero, r1, distill-vs-rl; for a GPU r1-zero-1.5b, r1-1.5b, distill-vs-rl-1.5b; or a file\n"
        "R1CHAT_TEACHER_KEY is the API key for a teacher that is a URL.\n"
        'needs torch: pip install "r1chat[distill]"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "stage", nargs="?", choices=STAGES, metavar="STAGE", help=f"one stage alone: {', '.join(STAGES)}"
    )
    parser.add_argument("--student", metavar="NAME", default=argparse.SUPPRESS, help="which model is taught (below)")
    parser.add_argument(
        "--recipe", metavar="NAME|FILE", default=argparse.SUPPRESS, help="several trainings one after another (below)"
    )
    parser.add_argument(
        "--run-dir",
        metavar="DIR",
        help="folder of the run (default: runs/NAME in $R1CHAT_DATA, or in your "
        "data folder, where the page looks for runs)",
    )
    parser.add_argument("--stages", metavar="LIST", help="some of the stages, with commas between")
    parser.add_argument(
        "--seed", type=whole(0), default=argparse.SUPPRESS, metavar="N", help="of every draw (default: 0)"
    )
    parser.add_argument("--yes", action="store_true", help="begin without asking")
    parser.add_argument("--json", action="store_true", help="print the result as one object")
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the stages, or a recipe's steps, that are not done yet; the result goes to stdout, progress to stderr."""
    return run_recipe(args, _given(args)) if is_recipe(args) else _run_stages(args)


def _run_stages(args: argparse.Namespace) -> int:
    from ...distill.errors import DistillError, with_options
    from ...distill.pipeline import run as run_stages
    from ...distill.run_folder import RunFolder
    from ...serve.errors import InvalidRequestError
    from ...serve.models.students import check_is_free
    from ..distilling.bars import Bars, Lines
    from ..distilling.host import make_host

    try:
        root = _run_dir(args)
    except DistillError as error:
        raise UsageError(str(error)) from error
    stored = stored_options(root)
    if "recipe" in stored:  # which its own name led to
        raise UsageError(f"{root} is a run of a recipe. Choose another: r1chat distill --run-dir DIR")
    try:
        stages = _stages(args)
        options = combined(stored, _given(args))
        config = build_config(options, root, stages)
        check_jail(config, stages)
        if "export" in stages:
            # Now, and not after hours of training.
            check_is_free(config.name, str(root.resolve()))
    except (DistillError, InvalidRequestError, UsageError) as error:  # asked for what cannot be
        raise UsageError(with_options(str(error), _which(args, stored, root))) from error
    again = f"r1chat distill --run-dir {shlex.quote(str(root))}"
    if not _agreed(config, args):
        return Status.DONE if sys.stdin.isatty() else Status.WRONG_USAGE
    try:
        with alone(root), Bars() if sys.stderr.isatty() else Lines() as display:
            folder = RunFolder(root, display.show)
            store_options(folder, options)
            done = run_stages(config, folder, make_host(os.environ.get("R1CHAT_TEACHER_KEY")), stages)
    except KeyboardInterrupt:
        print(printable(f"Stopped; what is done is kept. Go on with: {again}"), file=sys.stderr)
        raise
    _show_result(config, folder, done, args)
    return 0


def _which(args: argparse.Namespace, stored: dict[str, Any], root: Path) -> str:
    """The options that name this run; one that is not there yet is begun by its student."""
    begins = [] if stored or "student" not in args else ["--student", args.student]
    return shlex.join([*begins, *(["--run-dir", str(root)] if args.run_dir or not begins else [])])


def _stages(args: argparse.Namespace) -> tuple[str, ...]:
    if args.stage and args.stages:
        raise UsageError(f"Either one stage or --stages. Use: r1chat distill --stages {args.stages}")
    wanted = (args.stage,) if args.stage else _split(args.stages) if args.stages is not None else STAGES
    if not wanted or (unknown := [name for name in wanted if name not in STAGES]):
        wrong = repr(unknown[0]) if wanted else "without a name"
        raise UsageError(f"There is no stage {wrong}. Use: r1chat distill --stages {','.join(STAGES)}")
    return wanted


def _split(listed: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in listed.split(",") if name.strip())


def _run_dir(args: argparse.Namespace) -> Path:
    if args.run_dir:
        return Path(os.path.expanduser(args.run_dir))  # which leaves a user that is none as it is
    if "student" not in args:
        raise UsageError("Which student, or which run? Use: r1chat distill --student tiny")
    from ...distill.students import find_student

    name = getattr(args, "name", None) or default_name(find_student(args.student))
    return data_folder(args) / RUNS / name


def _given(args: argparse.Namespace) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(args).items()
        if name not in NOT_SETTINGS
    }


def _agreed(config: DistillConfig, args: argparse.Namespace) -> bool:
    """Shows the plan of a run that is new; whether it is to begin."""
    if args.yes or args.stage or os.path.isfile(config.run_dir / "run.json"):
        return True
    from ...distill.plan import make_plan
    from ..distilling.pace import teacher_pace

    teacher = config.generate.teacher
    return agreed(make_plan(config, teacher_pace(teacher) if teacher else None).lines())


def _show_result(config: DistillConfig, folder: RunFolder, done: dict[str, Any], args: argparse.Namespace) -> None:
    from ...distill.evaluate.table import evaluation_table
    from ...distill.filter.funnel import funnel_table

    evaluation, funnel = folder.read_json(folder.evaluation), folder.read_json(folder.funnel)
    if args.json:
        print(json.dumps({"run_dir": str(folder.root), "name": config.name, "stages": done, "funnel": funnel,
                          "evaluation": evaluation}))  # fmt: skip
        return
    if funnel and (args.stage in (None, "filter")):
        print(funnel_table(funnel))
    if evaluation and (args.stage in (None, "evaluate")):
        print(evaluation_table(evaluation))
    if (folder.report / "index.html").is_file():
        print(f"Report: {folder.report / 'index.html'}")
    if "export" in done:
        print(f'Try it: r1chat run {config.name} "What is 15% of 240?"')
