"""r1chat bench vote: the majority of several thoughts beside one of them, asked through /v1."""

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
from ..values import positive, whole
from .accuracy import Counter
from .bench_budget import add_problem_options, chosen_problems

if TYPE_CHECKING:
    from ...distill.problems import Problem
    from ..bench.vote import Trial

DESCRIPTION = """\
Asks a model held-out problems twice each: as a vote of several thoughts, which stops those that cannot
change the outcome any more, and for as many whole samples with the same seeds. Prints how many problems
one sample and the vote solve, the gain with its 95 % interval (paired, bootstrap over problems), what the
vote generated beside the whole samples, and how much of the prompt was computed. A vote helps where one
sample is right often but not always, so the default split is the one with wordings the bundled model never
saw. Ctrl-C ends it with what has been measured.
"""
EPILOG = """\
examples:
  r1chat bench vote --problems 5                                a first look, a minute
  r1chat bench vote --json > vote.json
  r1chat bench vote --thoughts 16 --temperature 1
"""
MOST_THOUGHTS = 64


def add_parser(subjects: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subjects.add_parser(
        "vote",
        help="what a vote over several thoughts gains, and what it costs",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_problem_options(parser, split="unseen_wording")
    thoughts = whole(2, MOST_THOUGHTS)
    parser.add_argument("--thoughts", type=thoughts, default=8, metavar="N", help="that vote (default: 8)")
    parser.add_argument("--temperature", type=positive(2), default=0.6, metavar="T", help="of each (default: 0.6)")
    parser.add_argument("--json", action="store_true", help="print one object, with every vote")


def run(args: argparse.Namespace) -> int:
    problems = chosen_problems(args.split, args.problems)
    trials: list[Trial] = []
    try:
        interrupted = asyncio.run(until_told(_measure(args, problems, trials)))
    finally:  # one request that fails does not take along what was measured before
        if trials:
            _report(args, trials)
    return Status.STOPPED if interrupted else Status.DONE


def _report(args: argparse.Namespace, trials: list[Trial]) -> None:
    from ..bench.vote import table, worth

    if args.json:
        about = {"model": args.model, "split": args.split, "temperature": args.temperature}
        print(json.dumps({**about, **asdict(worth(trials)), "trials": [_brief(trial) for trial in trials]}))
    else:
        print(printable(table(worth(trials))))


def _brief(trial: Trial) -> dict[str, object]:
    return {
        "family": trial.problem.family,
        "prompt": trial.problem.prompt,
        "gold": trial.problem.gold,
        "answered": trial.answered,
        "right": trial.right,
        "samples_right": sum(sample.right for sample in trial.samples),
        "n_stopped": trial.n_stopped,
        "tokens": trial.tokens,
    }


async def _measure(args: argparse.Namespace, problems: list[Problem], trials: list[Trial]) -> None:
    from ...serve.models.catalog import resolve
    from ..bench.own_server import own_server
    from ..bench.vote import measure_votes

    resolve(args.model)  # what is not here is told, or fetched, before anything starts
    print(f"{len(problems)} problems; the server is being started ...", file=sys.stderr)
    async with own_server(args.model, {}) as server:
        report = Counter("votes")
        await measure_votes(server.target.url, problems, args.thoughts, args.temperature, trials, report)
