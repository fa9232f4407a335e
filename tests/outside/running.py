"""A running `r1chat serve` for a suite, and a suite run against it: pytest in its own environment, counted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PLUGINS = Path(__file__).parent / "plugin"
_SUITE_S = 900.0
_READY = re.compile(r"ready\. Page: (\S+)")


@dataclass
class Outcome:
    """What a suite's tests came to. `skipped` counts them by reason; `failed` has names and first lines;
    `states` says of each test function what its cases came to.
    """

    n_passed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str]] = field(default_factory=list)
    states: dict[str, set[str]] = field(default_factory=dict)

    @property
    def n_all(self) -> int:
        return self.n_passed + self.skipped.total() + len(self.failed)

    @property
    def n_functions_passed(self) -> int:
        """Functions of which a case passed and none failed."""
        return sum("passed" in states and "failed" not in states for states in self.states.values())

    def add(self, other: Outcome) -> None:
        self.n_passed += other.n_passed
        self.skipped += other.skipped
        self.failed += other.failed
        for name, states in other.states.items():
            self.states.setdefault(name, set()).update(states)


@contextmanager
def served(model: Path | str, *options: str) -> Iterator[str]:
    """The URL of a server on `model` ("demo", or a file), for as long as the block runs."""
    command = [sys.executable, "-m", "r1chat.app", "serve", "--model", str(model), "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    lines: list[str] = []
    try:
        yield _url(process, lines)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _url(process: subprocess.Popen[str], lines: list[str]) -> str:
    """Read until it is ready; what comes later is read, too, lest the pipe fill up."""
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if match := _READY.search(line):
            threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True).start()
            return match[1]
    raise SystemExit("r1chat does not serve:\n" + "".join(lines))


def run_pytest(
    python: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    skips: Mapping[str, str],
    environ: Mapping[str, str],
) -> Outcome:
    """pytest with `arguments` in `folder`; its own output goes to stderr."""
    with tempfile.TemporaryDirectory() as scratch:
        report, skip_file = Path(scratch, "report.xml"), Path(scratch, "skips.json")
        skip_file.write_text(json.dumps(dict(skips)))
        command = [python, "-m", "pytest", "-q", "--tb=short", "-p", "skips_by_name", "-p", "no:cacheprovider"]
        subprocess.run(
            [*command, f"--junit-xml={report}", *arguments],
            cwd=folder,
            env={**_bare(os.environ), "PYTHONPATH": str(PLUGINS), "SKIPS": str(skip_file), **environ},
            stdout=sys.stderr,
            timeout=_SUITE_S,
            check=False,
        )
        if not report.exists():
            return Outcome(failed=[(" ".join(arguments), "pytest ended without a report")])
        return _outcome(ElementTree.fromstring(report.read_text()))


def _bare(environ: Mapping[str, str]) -> dict[str, str]:
    """Without what would reach into the suite's environment, or the network."""
    return {name: value for name, value in environ.items() if not name.startswith(("PYTEST", "PYTHON", "OPENAI"))}


def _outcome(report: ElementTree.Element) -> Outcome:
    outcome = Outcome()
    for case in report.iter("testcase"):
        problem = next((part for part in case if part.tag in ("failure", "error")), None)
        skip = case.find("skipped")
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        if problem is not None:
            state = "failed"
            outcome.failed.append((name, (problem.get("message") or "").partition("\n")[0][:200]))
        elif skip is not None:
            state = "skipped"
            outcome.skipped[skip.get("message") or "no reason given"] += 1
        else:
            state = "passed"
            outcome.n_passed += 1
        outcome.states.setdefault(name.partition("[")[0], set()).add(state)
    return outcome
