"""r1chat bench: our server under load, beside other servers where they are named; its subjects measure the rest.

The load is in app/bench; here is what a person types and reads.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from ..bench.interrupt import until_told
from ..errors import Status, UsageError
from ..terminal import printable
from ..values import new_file, repeats
from . import accuracy, bench_budget, bench_engine, bench_grpo, bench_sft, bench_vote
from .bench_model import add_model_options, resolve_model, write_chart

if TYPE_CHECKING:
    from ..bench.rounds import Outcome
    from ..bench.scenario import Scenario

DESCRIPTION = """\
Starts our server on a model, puts it under load over HTTP, and prints medians. Other OpenAI-compatible
servers named by --against, on the same file if it is to mean anything, get the same load by turns, and the
ratios to them are printed. Ctrl-C ends it with what has been measured.
"""
EPILOG = """\
examples:
  r1chat bench --only single,streams
  r1chat bench --against llama-server=http://127.0.0.1:8080 --rounds 5 --json > measured.json
  r1chat bench --against slow=http://127.0.0.1:8081#short       this server takes part in one scenario
"""


class _Subject(argparse._SubParsersAction):  # type: ignore[type-arg]  # takes none when it runs
    """A subject has options of its own: those before its name are not meant for it, and it would hide them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        for action in parser._actions:
            if action.option_strings and getattr(namespace, action.dest, action.default) != action.default:
                option = action.option_strings[-1]
                parser.error(f"{option} stands before the subject. See what it takes: r1chat bench {values[0]} --help")
        super().__call__(parser, namespace, values, option_string)


@dataclass(frozen=True)
class Peer:
    """Another server, and the scenarios it takes part in: all where `only` is empty."""

    name: str
    url: str
    only: frozenset[str]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "bench",
        help="measure this server, alone or beside others; the engine; accuracy, budgets and votes; training",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_model_options(parser)
    parser.add_argument(
        "--against", type=_peer, action="append", default=[], metavar="[NAME=]URL", help="another server; repeatable"
    )
    parser.add_argument("--rounds", type=repeats, default=5, metavar="N", help="medians are taken over N (default: 5)")
    parser.add_argument(
        "--only",
        type=_names,
        default=[],
        metavar="A,B",
        help="these scenarios instead of all but soak: single, "
        "streams (or streams-2, -3, -4, -8, -16), short, prefill, intruder, neighbour, turn (or turn-pause, "
        "turn-at-once), shared, return, speculation, soak",
    )
    parser.add_argument("--json", action="store_true", help="print one object with every measurement")
    parser.add_argument("--chart", type=new_file, metavar="FILE", help="write the ratios to the first peer as SVG")
    subjects = parser.add_subparsers(
        action=_Subject, dest="subject", metavar="[SUBJECT]", title="subjects instead of the server"
    )
    bench_engine.add_parser(subjects)
    accuracy.add_parser(subjects)
    bench_budget.add_parser(subjects)
    bench_vote.add_parser(subjects)
    bench_sft.add_parser(subjects)
    bench_grpo.add_parser(subjects)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no scenario; for example: single,streams")
    return names


def _peer(text: str) -> Peer:
    name, separator, url = text.partition("=")
    if not separator or "/" in name:
        name, url = "", text
    if (parts := _address(url)) is None:
        raise argparse.ArgumentTypeError(f"{text!r} names no server; write http://HOST:PORT or NAME=http://HOST:PORT")
    only = _names(parts.fragment) if parts.fragment else ()
    return Peer(name or parts.netloc, parts._replace(fragment="").geturl(), frozenset(only))


def _address(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.netloc) and parts.port != 0
    except ValueError:  # brackets without an address between them, a port that is none
        return None
    return parts if is_whole else None


def run(args: argparse.Namespace) -> int:
    subjects = {
        "accuracy": accuracy.run,
        "budget": bench_budget.run,
        "engine": bench_engine.run,
        "grpo": bench_grpo.run,
        "sft": bench_sft.run,
        "vote": bench_vote.run,
    }
    return subjects.get(args.subject, _run_server_bench)(args)


def _run_server_bench(args: argparse.Namespace) -> int:
    from ..bench.own_server import NAME
    from ..bench.rounds import chosen

    if args.chart and not args.against:
        raise UsageError("A chart sets this server beside another. Name one: r1chat bench --against URL --chart FILE")
    scenarios = chosen(args.only)
    for peer in args.against:
        chosen(sorted(peer.only))
    _check_names([NAME, *(peer.name for peer in args.against)])
    path = resolve_model(args)
    seed = time.time_ns() % 2**31
    outcomes: list[Outcome] = []
    interrupted = asyncio.run(until_told(_measure(path, scenarios, args.against, seed, args.rounds, outcomes)))
    _report(args, path, seed, scenarios, outcomes)
    if interrupted:
        return Status.STOPPED
    return Status.FAILED if any(outcome.error for outcome in outcomes) else Status.DONE


def _check_names(names: list[str]) -> None:
    """Raises UsageError: figures of two servers of one name could not be told apart."""
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"Two servers are called {twice}. Name them apart: r1chat bench --against OTHER=URL")


async def _measure(
    path: Path, scenarios: list[Scenario], against: list[Peer], seed: int, rounds: int, outcomes: list[Outcome]
) -> None:
    from ..bench.load import Reply, ask, end_bans, open_target, user, words
    from ..bench.own_server import own_server
    from ..bench.rounds import run_rounds

    banned = end_bans(path)
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(open_target(peer.name, peer.url, banned, peer.only)) for peer in against
        ]
        own = await stack.enter_async_context(own_server(path, banned))
        for target in (own.target, *peers):
            await ask(target, [user(words(16, seed, "warm-up"))], Reply(), max_tokens=8)
        await run_rounds(scenarios, own, peers, model=path, seed=seed, rounds=rounds, outcomes=outcomes)


def _report(
    args: argparse.Namespace, path: Path, seed: int, scenarios: list[Scenario], outcomes: list[Outcome]
) -> None:
    from ..bench.chart import chart
    from ..bench.own_server import NAME
    from ..bench.report import failures, rows, table

    found = rows(scenarios, NAME, outcomes)
    targets = [NAME, *(peer.name for peer in args.against)]
    if args.json:
        results = {"results": [asdict(row) for row in found], "trials": [asdict(outcome) for outcome in outcomes]}
        print(json.dumps({**_circumstances(path), "seed": seed, "rounds": args.rounds, "targets": targets, **results}))
    else:
        about = _circumstances(path)
        print(printable(f"{about['name']}, {about['file_type']}; {about['cores']} cores of {about['processor']}"))
        print(printable("\n".join([f"{s.name:<13} {s.what}" for s in scenarios] + ["", table(found, targets)])))
        for line in failures(outcomes):
            print(printable(line), file=sys.stderr)
    if args.chart:
        write_chart(args.chart, chart(found, NAME, targets[1]))


def _circumstances(path: Path) -> dict[str, Any]:
    """What the figures are true of."""
    from ...serve.models.gguf.info import read_info

    info = read_info(path)
    return {
        "model": str(path),
        "name": info.name,
        "file_type": info.file_type,
        "n_params": info.n_params,
        "cores": os.cpu_count(),
        "processor": _processor(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
