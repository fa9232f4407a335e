"""Datasets of the Hub: streamed, so that a limit spares the rest, and with errors that say what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dataset_hub import COMMIT, dataset_hub

pytest.importorskip("datasets", reason="needs the extra `distill`")

CARD = b"""---
license: apache-2.0
configs:
- config_name: default
  data_files: [{split: train, path: data/train-*}]
- config_name: extended
  data_files: [{split: train, path: more/train-*}, {split: test, path: more/test-*}]
---
"""
# datasets reads HF_ENDPOINT once, when it is imported: hence a process of its own, and one for all
PROGRAM = """
import json, sys
from itertools import islice
from msgspec import to_builtins
from r1chat.distill.errors import DistillError
from r1chat.distill.sources.problems import load_problems
from r1chat.distill.sources.provenance import provenance
from r1chat.distill.sources.traces import load_traces
for kind, spec, limit in json.loads(sys.argv[1]):
    try:
        if kind == "provenance":
            print(json.dumps(provenance(spec)), flush=True)
            continue
        rows = list(load_problems(spec, limit=limit) if kind == "problems" else load_traces(spec, limit=limit))
        print(json.dumps(to_builtins(rows)), flush=True)
    except DistillError as error:
        print(json.dumps(str(error)), flush=True)
"""


def load(url: str, home: Path, *asked: tuple[str, str, int | None]) -> list[Any]:
    """Rows as dicts, or an error's text, of each (kind, spec, limit)."""
    environment = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    arguments = [sys.executable, "-c", PROGRAM, json.dumps(asked)]
    done = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, env=environment, text=True, timeout=120)
    return [json.loads(line) for line in done.stdout.splitlines()]


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.slow
def test_rows_stream_with_licence_configuration_and_split(tmp_path: Path) -> None:
    marks = {"is_reasoning_complete": [True, True, False], "correctness_math_verify": [True, False, True]}
    texts = ["<think>\nOne.\n</think>\n\nIt is \\boxed{2}.", "<think>\nBad.\n</think>\n\n3", "<think>\nUncut"]
    openr1 = [{"problem": f"p{i}", "answer": "2", "uuid": f"u{i}", "generations": texts, **marks} for i in range(4)]
    shards = [[{"question": f"q{n}{i}", "answer": f"x\n#### {i}"} for i in range(9)] for n in range(2)]
    with dataset_hub(
        {
            "u/d": {
                "README.md": CARD,
                "data/train-0.jsonl": lines(shards[0]),
                "data/train-1.jsonl": lines(shards[1]),
                "more/train-0.jsonl": lines([{"problem": "a", "answer": "1"}]),
                "more/test-0.jsonl": lines([{"problem": "b", "answer": "2"}]),
            },
            "open-r1/OpenR1-Math-220k": {"README.md": CARD, "data/train-0.jsonl": lines(openr1)},
        }
    ) as hub:
        first, extended, test, no_split, traces, no_dataset, commit = load(
            hub.url,
            tmp_path,
            ("problems", "u/d", 3),
            ("problems", "u/d:extended", None),
            ("problems", "u/d:extended:test", None),
            ("problems", "u/d:extended:dev", None),
            ("traces", "openr1-math", 3),
            ("problems", "u/other", None),
            ("provenance", "u/d:extended", None),
        )
    assert [(row["prompt"], row["gold"]) for row in first] == [("q00", "0"), ("q01", "1"), ("q02", "2")]
    assert {(row["source"], row["licence"]) for row in first} == {("u/d", "apache-2.0")}
    assert "data/train-1.jsonl" not in hub.sent, "a limit spares the rest"
    assert [row["prompt"] for row in extended] == ["a"] and [row["prompt"] for row in test] == ["b"]
    assert no_split.endswith("r1chat distill generate --problems u/d:extended:train") and "no split 'dev'" in no_split

    assert [(row["reasoning"], row["answer"], row["sample"]) for row in traces] == [
        ("One.", "It is \\boxed{2}.", 0)
    ] * 3
    assert {row["teacher"]["name"] for row in traces} == {"deepseek-r1"}
    assert [row["problem"]["prompt"] for row in traces] == ["p0", "p1", "p2"]
    assert len({row["id"] for row in traces}) == 3
    assert "shows no dataset u/other" in no_dataset
    assert commit == f"commit:{COMMIT}"


def test_without_a_hub_the_error_ends_with_the_command_to_run(tmp_path: Path) -> None:
    (error,) = load("http://127.0.0.1:9", tmp_path, ("traces", "openr1-math", 1))
    assert "cannot be read from http://127.0.0.1:9" in error
    assert error.endswith("Once that is in reach, run: r1chat distill generate --traces open-r1/OpenR1-Math-220k")
