"""r1chat bench sft: our training beside plain trl, on the same rows."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..terminal import printable
from ..values import count, repeats

if TYPE_CHECKING:
    from ...distill.sft.measure import Speed
    from ...distill.students import Method

DESCRIPTION = """\
Trains a model of random weights on rows of random words, with the distillation's training and with plain
trl, each in a process of its own, by turns. Prints tokens a second (medians), the most memory, and the
ratios. Without a GPU the model is tiny and all of it is trained; with one it has the shape of Qwen2 1.5B and
is trained as QLoRA. Nothing is downloaded. Needs torch and trl: pip install "r1chat[distill]".
"""


def add_parser(subjects: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subjects.add_parser(
        "sft",
        help="how fast a student is trained, beside plain trl",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--shape", metavar="NAME", help="tiny, qwen2-1.5b ... (default: what suits the device)")
    parser.add_argument("--method", choices=["full", "lora", "qlora"], help="(default: full for tiny, else qlora)")
    parser.add_argument("--steps", type=repeats, default=12, metavar="N", help="of the optimizer (default: 12)")
    parser.add_argument("--batch-size", type=repeats, default=16, metavar="N", help="rows a step (default: 16)")
    parser.add_argument("--row-tokens", type=count, metavar="N", help="of the longest row (default: 512; GPU: 4096)")
    parser.add_argument("--rounds", type=repeats, default=1, metavar="N", help="turns of each (default: 1)")
    parser.add_argument("--json", action="store_true", help="print one object with every measurement")


def run(args: argparse.Namespace) -> int:
    from ...distill.failures import told_in_words

    with told_in_words("bench sft", "r1chat bench sft"):
        about, speeds = _measured(args)
    if args.json:
        print(json.dumps({**about, **ratios(speeds), "measured": [asdict(speed) for speed in speeds]}))
    else:
        print(printable(table(speeds)))
    return 0


def _measured(args: argparse.Namespace) -> tuple[dict[str, Any], list[Speed]]:
    from ...distill.errors import DistillError
    from ...distill.sft.measure import WARM_UP, has_gpu, make_job, measure, shape_of

    gpu = has_gpu()
    name = args.shape or ("qwen2-1.5b" if gpu else "tiny")
    method: Method = args.method or ("full" if name.startswith("tiny") else "qlora")
    longest = args.row_tokens or (4096 if gpu else 512)
    try:
        shape = shape_of(name)
    except DistillError as error:
        raise UsageError(str(error)) from error
    speeds: list[Speed] = []
    with tempfile.TemporaryDirectory(prefix="r1chat-bench-") as folder:
        job = make_job(
            Path(folder), shape, method, steps=args.steps + WARM_UP, batch_size=args.batch_size, longest=longest
        )
        for turn in range(args.rounds):
            for who in ("r1chat", "trl") if turn % 2 == 0 else ("trl", "r1chat"):
                print(f"{name}, {method}: training with {who} ...", file=sys.stderr)
                speeds.append(measure(who, job))
    about = {"shape": name, "method": method, "gpu": gpu, "steps": args.steps, "date": time.strftime("%Y-%m-%d")}
    return about, speeds


def ratios(speeds: list[Speed]) -> dict[str, float]:
    """Ours to trl's: of the median speeds, of the highest memory."""
    ours, theirs = (_of(speeds, who) for who in ("r1chat", "trl"))
    return {"speed_ratio": ours[0] / theirs[0], "memory_ratio": ours[1] / theirs[1]}


def table(speeds: list[Speed]) -> str:
    lines = [f"{'':<8}{'tokens/s':>12}{'peak memory':>14}"]
    for who in ("r1chat", "trl"):
        rate, memory = _of(speeds, who)
        lines.append(f"{who:<8}{rate:>12,.0f}{memory / 2**30:>10.2f} GiB")
    found = ratios(speeds)
    lines.append(f"{'ratio':<8}{found['speed_ratio']:>12.2f}{found['memory_ratio']:>14.2f}")
    return "\n".join(lines)


def _of(speeds: list[Speed], who: str) -> tuple[float, int]:
    from statistics import median

    chosen = [speed for speed in speeds if speed.who == who]
    return median(speed.tokens_per_second for speed in chosen), max(speed.peak_memory for speed in chosen)
