"""r1chat bench budget: accuracy over reasoning budgets, landed softly and cut hard, asked through /v1."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..bench.interrupt import until_told
from ..errors import Status
from ..terminal import printable
from ..values import new_file, repeats
from .accuracy import Counter
from .bench_model import write_chart

if TYPE_CHECKING:
    from ...distill.problems import Problem
    from ..bench.budget import Curves

DESCRIPTION = """\
Asks a model the held-out problems with ever larger budgets for its thought: once landed softly, where a
thought may go a quarter over its budget, 32 tokens at most, to end with a sentence, and once cut hard at the budget
(reasoning_grace_tokens 0), with the same seeds. A soft landing may spend more, so the chart's axis is what
the thoughts really came to. Prints pass@1 with 95 % intervals and the paired difference between the two.
Ctrl-C ends it with what has been measured.
"""
EPILOG = """\
examples:
  r1chat bench budget --problems 5 --samples 1                  a first look, a minute or two
  r1chat bench budget --samples 1 --chart budget.svg            all problems once, ten minutes on two cores
"""
BUDGETS = (0, 10, 20, 30, 40, 60, 80, 120)


def add_parser(subjects: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subjects.add_parser(
        "budget",
        help="accuracy over reasoning budgets, landed softly and cut hard",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_problem_options(parser, split="test")
    parser.add_argument("--samples", type=repeats, default=4, metavar="K", help="per problem and budget (default: 4)")
    parser.add_argument(
        "--budgets",
        type=_budgets,
        default=BUDGETS,
        metavar="N,N",
        help=f"tokens (default: {','.join(map(str, BUDGETS))})",
    )
    parser.add_argument("--json", action="store_true", help="print one object")
    parser.add_argument("--chart", type=new_file, metavar="FILE", help="write the curves as SVG")


def add_problem_options(parser: argparse.ArgumentParser, *, split: str) -> None:
    """Which model is asked which problems."""
    parser.add_argument("--model", metavar="MODEL", default="demo", help="demo, a .gguf file, or user/repo:QUANT")
    parser.add_argument(
        "--split",
        choices=("test", "unseen_words", "unseen_wording", "one_more", "larger"),
        default=split,
        help="of the held-out problems: test (the training's wordings), unseen_words, unseen_wording, one_more "
        f"(operation), larger (numbers) (default: {split})",
    )
    parser.add_argument(
        "--problems", type=repeats, default=40, metavar="N", help="of each family (default and most: 40)"
    )


def chosen_problems(split: str, per_family: int) -> list[Problem]:
    """The first `per_family` of each family whose answers are compared with a gold: on those one can vote."""
    from ...distill.problems.held_out import held_out

    taken: dict[str, list[Problem]] = {}
    for problem in held_out()[split]:
        if problem.verifier == "math":
            taken.setdefault(problem.family, []).append(problem)
    return [problem for family in taken.values() for problem in family[:per_family]]


def _budgets(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) <= 1_000_000 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers of tokens, such as 0,20,40")
    return tuple(sorted({int(part) for part in parts}))


def run(args: argparse.Namespace) -> int:
    from ..bench.budget import Curves

    problems = chosen_problems(args.split, args.problems)
    curves = Curves([], [])
    try:
        interrupted = asyncio.run(until_told(_measure(args, problems, curves)))
    finally:  # one request that fails does not take along what was measured before
        if curves.points:
            _report(args, len(problems), curves)
    return Status.STOPPED if interrupted else Status.DONE


def _report(args: argparse.Namespace, n_problems: int, curves: Curves) -> None:
    from ..bench.budget import SAMPLING, table
    from ..bench.curve import curve

    if args.json:
        about = {"model": args.model, "split": args.split, "n": n_problems, "k": args.samples, **SAMPLING}
        print(json.dumps({**about, **asdict(curves)}))
    else:
        print(printable(table(curves)))
    if args.chart:
        title = f"{args.model}: accuracy over thought, {n_problems} held-out problems ({args.split})"
        write_chart(args.chart, curve(curves, title))


async def _measure(args: argparse.Namespace, problems: list[Problem], curves: Curves) -> None:
    from ...serve.models.catalog import resolve
    from ..bench.budget import measure_budgets
    from ..bench.own_server import own_server

    resolve(args.model)  # what is not here is told, or fetched, before anything starts
    print(f"{len(problems)} problems; the server is being started ...", file=sys.stderr)
    async with own_server(args.model, {}) as server:
        await measure_budgets(server.target.url, problems, args.budgets, args.samples, curves, Counter)
