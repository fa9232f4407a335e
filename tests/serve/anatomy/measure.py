"""How well the markers of r1chat.serve.anatomy agree with a person's labels; docs/anatomy.md says how to read it.

    python tests/serve/anatomy/measure.py LABELS.jsonl TRACES.jsonl [--half held-out]

LABELS: a line per labelled stretch of a thought, {"id": "...", "half": "held-out", "steps": [[start, end, kind], ...]},
the steps adjoining and in order, offsets in characters of the thought, kinds as in KINDS. TRACES: {"id": "...",
"reasoning": "..."} a line.
"""

from __future__ import annotations

import argparse
import json
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1chat.serve.anatomy.cues import KINDS
from r1chat.serve.anatomy.steps import steps

_N_RESAMPLES = 2000


@dataclass
class Agreement:
    """Of one labelled stretch. `confusion`: (labelled, marked) -> labelled steps, by the mark where each begins.

    `marked`: (marked, labelled) -> steps that the markers begin in the stretch, by the label there.
    """

    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    marked: Counter[tuple[str, str]] = field(default_factory=Counter)


def agreement(thought: str, labels: list[tuple[int, int, str]]) -> Agreement:
    """Compares the labels with the steps that the code finds in the whole thought."""
    found = steps(thought)
    starts = [step.start for step in found]
    result = Agreement()
    for start, _, label in labels:
        result.confusion[label, found[bisect_right(starts, start) - 1].kind] += 1
    begins = [start for start, _, _ in labels]
    for step in found:
        if begins[0] <= step.start < labels[-1][1]:
            result.marked[step.kind, labels[bisect_right(begins, step.start) - 1][2]] += 1
    return result


def recall(parts: list[Agreement], kind: str) -> tuple[int, int]:
    """Labelled steps of `kind` that are marked so, and all of them."""
    rows = [(pair, n) for part in parts for pair, n in part.confusion.items() if pair[0] == kind]
    return sum(n for (_, marked), n in rows if marked == kind), sum(n for _, n in rows)


def precision(parts: list[Agreement], kind: str) -> tuple[int, int]:
    """Steps marked `kind` that are labelled so where they begin, and all of them."""
    rows = [(pair, n) for part in parts for pair, n in part.marked.items() if pair[0] == kind]
    return sum(n for (_, label), n in rows if label == kind), sum(n for _, n in rows)


def interval(parts: list[Agreement], measure: Callable[[list[Agreement]], tuple[int, int]]) -> str:
    """95 % by resampling traces, as steps of one trace are alike."""
    rng = random.Random(7)
    values = []
    for _ in range(_N_RESAMPLES):
        hits, n = measure(rng.choices(parts, k=len(parts)))
        if n:
            values.append(hits / n)
    values.sort()
    return f"{values[len(values) // 40]:.0%} to {values[-1 - len(values) // 40]:.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("traces", type=Path)
    parser.add_argument("--half", help="only the labels of this half")
    args = parser.parse_args()
    traces = {row["id"]: row["reasoning"] for row in _rows(args.traces)}
    labelled = [row for row in _rows(args.labels) if args.half in (None, row["half"])]
    parts = [agreement(traces[row["id"]], [tuple(step) for step in row["steps"]]) for row in labelled]
    _print(parts)


def _print(parts: list[Agreement]) -> None:
    n_steps = sum(part.confusion.total() for part in parts)
    right = sum(n for part in parts for (label, marked), n in part.confusion.items() if label == marked)
    print(f"{len(parts)} traces, {n_steps} labelled steps, {right / n_steps:.0%} marked as labelled\n")
    print("| kind | precision | n | recall | n |\n|---|---|---|---|---|")
    for kind in KINDS:
        cells = []
        for measure in (precision, recall):
            hits, n = measure(parts, kind)

            def again(
                chosen: list[Agreement], of: Callable[..., tuple[int, int]] = measure, k: str = kind
            ) -> tuple[int, int]:
                return of(chosen, k)

            cells.append(f"{hits / n:.0%} ({interval(parts, again)}) | {n}" if n else "- | 0")
        print(f"| {kind} | {' | '.join(cells)} |")
    print(f"\n| labelled \\ marked | {' | '.join(KINDS)} |\n|---|{'---|' * len(KINDS)}")
    total: Counter[tuple[str, str]] = Counter()
    for part in parts:
        total += part.confusion
    for label in KINDS:
        print(f"| {label} | {' | '.join(str(total[label, marked]) for marked in KINDS)} |")


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    main()
