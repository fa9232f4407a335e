"""The acceptance tests' server, browser and figures: what each measured is told in one table at the end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1chat.serve.engine.process import EngineConfig

from ..conftest import LABEL, PageServer
from .scripts import SCRIPTS

TOKENS_PER_S = 150


class Watched:
    """What the engine was given and when it began to speak, from the file of a WatchedRunner."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def prompts(self) -> list[str]:
        return self._all("prompt")

    @property
    def first_tokens(self) -> list[float]:
        """In seconds since 1970."""
        return self._all("first")

    def _all(self, kind: str) -> list[Any]:
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        return [value for line in lines for name, value in json.loads(line).items() if name == kind]


def watched(path: Path, scripts: dict[str, str], **args: Any) -> EngineConfig:
    """An engine that says `scripts` and writes down at `path` what it is given."""
    n_seq_max = args.pop("n_seq_max", 4)
    runner_args = {"scripts": scripts, "record": str(path), "n_seq_max": n_seq_max, **args}
    return EngineConfig(runner="watched_runner:WatchedRunner", runner_args=runner_args, n_seq_max=n_seq_max)


class Figures:
    """What one test measured, each with its limit; all of them are taken before any is judged."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.missed: list[str] = []

    def at_most(self, what: str, value: float, limit: float, unit: str = "") -> None:
        self._tell(what, value, f"<= {limit:g}", unit, value <= limit)

    def at_least(self, what: str, value: float, limit: float, unit: str = "") -> None:
        self._tell(what, value, f">= {limit:g}", unit, value >= limit)

    def note(self, what: str, value: float, unit: str = "") -> None:
        """One without a limit."""
        self.told.append(f"{what} {value:,.4g} {unit}".rstrip())

    def judge(self) -> None:
        assert not self.missed, "; ".join(self.missed)

    def _tell(self, what: str, value: float, limit: str, unit: str, is_met: bool) -> None:
        figure = f"{what} {value:,.4g} {unit}".rstrip() + f" ({limit})"
        self.told.append(figure)
        if not is_met:
            self.missed.append(figure)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """Printed as one line and kept for the table; judged at the end of the test."""
    taken = Figures()
    yield taken
    number = re.sub(r"test_t0?(\d+)_.*", r"T\1", request.node.name)
    line = f"{number} {', '.join(taken.told)}{' MISSED' if taken.missed else ''}"
    print(f"\n{line}")
    request.node.user_properties.append(("figures", line))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of figures."""
    reports = [report for all_of_a_kind in terminalreporter.stats.values() for report in all_of_a_kind]
    lines = {
        line: None
        for report in reports
        for name, line in getattr(report, "user_properties", [])
        if name == "figures" and report.when == "teardown"
    }
    if lines:
        terminalreporter.section("figures", sep="-")
        for line in sorted(lines, key=lambda line: int(re.sub(r"T(\d+).*", r"\1", line))):
            terminalreporter.line(line)


@pytest.fixture(scope="package")
def record(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Of `server`."""
    return Watched(tmp_path_factory.mktemp("record") / "engine.jsonl")


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory, record: Watched) -> Iterator[PageServer]:
    """TOKENS_PER_S at most; the word in capitals in a question chooses the script."""
    config = watched(record.path, SCRIPTS, tokens_per_s=TOKENS_PER_S, n_ctx=16384)
    with PageServer(config, LABEL, tmp_path_factory.mktemp("data")) as running:
        yield running
