"""r1chat bench grpo: a step of reinforcement learning, its completions drawn in memory and by a server."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..terminal import printable
from ..values import count, repeats

if TYPE_CHECKING:
    from ...distill.grpo.measure import StepTime, Way
    from ...distill.students import Method

DESCRIPTION = """\
Trains a model of random weights with GRPO, as a recipe would, and prints the seconds of a step: those for
its completions, drawn by the model in memory or by a server that is given the weights anew, and those for
the updates; tokens a second, and the most memory. Each is a process of its own, by turns. Without a GPU the
model is small and all of it is trained; with one it has the shape of Qwen2 1.5B and gets an adapter.
Nothing is downloaded. Needs torch and trl: pip install "r1chat[distill]".
"""
WAYS: tuple[Way, ...] = ("generate", "server")


def add_parser(subjects: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subjects.add_parser(
        "grpo",
        help="how long a step of reinforcement learning takes, by part",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--shape", metavar="NAME", help="tiny, small, qwen2-1.5b ... (default: what suits the device)")
    parser.add_argument("--method", choices=["full", "lora", "qlora"], help="(default: full without a GPU, else lora)")
    parser.add_argument("--rollouts", choices=WAYS, help="one of the two ways alone")
    parser.add_argument("--steps", type=repeats, default=4, metavar="N", help="that are counted (default: 4)")
    parser.add_argument("--prompts", type=repeats, default=8, metavar="N", help="a step (default: 8)")
    parser.add_argument("--generations", type=repeats, default=4, metavar="N", help="of each prompt (default: 4)")
    parser.add_argument("--tokens", type=count, metavar="N", help="of a completion (default: 160; GPU: 1000)")
    parser.add_argument("--sync-every", type=repeats, default=1, metavar="N", help="new weights (default: each step)")
    parser.add_argument("--rounds", type=repeats, default=1, metavar="N", help="turns of each (default: 1)")
    parser.add_argument("--json", action="store_true", help="print one object with every measurement")


def run(args: argparse.Namespace) -> int:
    from ...distill.failures import told_in_words

    with told_in_words("bench grpo", "r1chat bench grpo"):
        about, times = _measured(args)
    if args.json:
        print(json.dumps({**about, "measured": [asdict(one) for one in times]}))
    else:
        print(printable(table(times)))
    return 0


def _measured(args: argparse.Namespace) -> tuple[dict[str, Any], list[StepTime]]:
    from ...distill.errors import DistillError
    from ...distill.grpo.config import GrpoConfig
    from ...distill.grpo.measure import WARM_UP, make_job, measure, shape_of
    from ...distill.sft.measure import has_gpu
    from ..distilling.host import make_host

    gpu = has_gpu()
    name = args.shape or ("qwen2-1.5b" if gpu else "small")
    method: Method = args.method or ("lora" if gpu else "full")
    ways = (args.rollouts,) if args.rollouts else WAYS
    settings = GrpoConfig(
        steps=args.steps + WARM_UP, prompts_per_step=args.prompts, num_generations=args.generations,
        max_completion_tokens=args.tokens or (1000 if gpu else 160), sync_every=args.sync_every,
    )  # fmt: skip
    try:
        shape = shape_of(name)
    except DistillError as error:
        raise UsageError(str(error)) from error
    times: list[StepTime] = []
    with tempfile.TemporaryDirectory(prefix="r1chat-bench-") as folder:
        job = make_job(Path(folder), shape, method, settings)
        for turn in range(args.rounds):
            for way in ways if turn % 2 == 0 else ways[::-1]:
                print(f"{name}, {method}: completions by {way} ...", file=sys.stderr)
                times.append(measure(way, job, make_host(None)))
    about = {
        "shape": name, "method": method, "gpu": gpu, "completions": job.batch_size,
        "max_tokens": settings.max_completion_tokens, "sync_every": settings.sync_every, "steps": args.steps,
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip
    return about, times


def table(times: list[StepTime]) -> str:
    """Medians over the turns, and the most memory."""
    lines = [f"{'':<10}{'step':>10}{'rollout':>10}{'update':>10}{'tokens/s':>11}{'memory':>12}{'server':>12}"]
    for way in dict.fromkeys(one.way for one in times):
        chosen = [one for one in times if one.way == way]
        each = [(one.seconds, one.rollout_seconds, one.update_seconds) for one in chosen]
        seconds = "".join(f"{median(column):>8.2f} s" for column in zip(*each, strict=True))
        rate = median(one.tokens / one.seconds for one in chosen)
        memory = [max(column) for column in zip(*((one.peak_memory, one.server_memory) for one in chosen), strict=True)]
        shown = "".join(f"{n_bytes / 2**30:>8.2f} GiB" if n_bytes else "" for n_bytes in memory)
        lines.append(f"{way:<10}{seconds}{rate:>11,.0f}{shown}")
    return "\n".join(lines)
