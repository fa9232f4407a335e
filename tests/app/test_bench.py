"""`r1chat bench` as a person runs it: both servers measured, whatever ends it reported, nothing left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from live_server import start_model

from r1chat.app.bench.load import Target
from r1chat.app.bench.own_server import own_server
from r1chat.app.bench.scenario import Trial
from r1chat.app.bench.soak import soak
from r1chat.serve.client import Client

Run = Callable[..., subprocess.CompletedProcess[str]]


def servers_on(model: Path) -> list[str]:
    """Command lines of processes that serve this file."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            lines.append(path.read_bytes().decode(errors="replace").split("\0"))
    return [" ".join(words) for words in lines if "serve" in words and str(model) in words]


@pytest.mark.slow
def test_both_servers_are_measured_and_compared(r1chat: Run, noise_model: Path, tmp_path: Path) -> None:
    picture = tmp_path / "ratios.svg"
    with start_model(noise_model) as peer:
        options = ["--only", "single,streams-2", "--rounds", "2", "--chart", str(picture), "--json"]
        done = r1chat("bench", "--model", str(noise_model), "--against", f"peer={peer.url}#single", *options)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["targets"] == ["r1chat", "peer"]
    rates = {(row["scenario"], row["value"]): row for row in report["results"]}
    assert set(rates["single", "decode"]["medians"]) == {"r1chat", "peer"}
    assert rates["single", "decode"]["ratios"]["peer"]["median"] > 0
    assert set(rates["streams-2", "overall"]["medians"]) == {"r1chat"}
    assert "single: decode" in picture.read_text(encoding="utf-8")
    assert done.stderr.count("round 2/2") == 3
    assert servers_on(noise_model) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_with_what_it_has_and_without_its_server(number: signal.Signals, noise_model: Path) -> None:
    command = [sys.executable, "-m", "r1chat.app", "bench", "--model", str(noise_model)]
    bench = subprocess.Popen(
        [*command, "--only", "single", "--rounds", "1000", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert bench.stderr is not None
    line = next(line for line in bench.stderr if "round 2/" in line)
    bench.send_signal(number)
    report, _ = bench.communicate(timeout=60)
    assert "decode" in line
    assert bench.returncode == 130
    assert len(json.loads(report)["trials"]) >= 2
    assert servers_on(noise_model) == []


@pytest.mark.slow
@pytest.mark.anyio
async def test_its_server_leaves_the_persons_own_files_alone(
    noise_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1CHAT_DATA", str(tmp_path / "mine"))
    async with own_server(noise_model, {}) as server:
        assert (await server.target.client.health())["status"] == "ok"
    assert not (tmp_path / "mine").exists()


def test_peer_that_does_not_answer_is_one_line(r1chat: Run, noise_model: Path) -> None:
    done = r1chat("bench", "--model", str(noise_model), "--against", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("r1chat: No answer from http://127.0.0.1:9")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--against", "llama-server"], ["--against", "http://localhost:8000x"], ["--only", "sprint"],
        ["--shape", "tiny"], ["--rounds", "0"],
        ["--model", "mine", "vote"], ["--json", "accuracy"], ["--chart", "x.svg"],
        ["--against", "http://127.0.0.1:9", "--chart", "/nonexistent/x.svg"],
        ["budget", "--chart", "/nonexistent/x.svg"], ["--only", ","], ["accuracy", "--samples", "-5"],
        ["--against", "http://127.0.0.1:9#sprint"],
        ["--against", "r1chat=http://127.0.0.1:9"],
        ["--against", "http://127.0.0.1:9#single", "--against", "http://127.0.0.1:9#soak"],
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_usage_error(r1chat: Run, arguments: list[str]) -> None:
    done = r1chat("bench", *arguments)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.model
async def test_soak_accounts_for_every_request() -> None:
    async with Client("http://127.0.0.1:9") as nobody:
        values = await soak(Trial(Target("r1chat", nobody, {}), Path(), 1, 0), 60)
    assert values["finished"] + values["left"] == 60
    assert values["left"] > 0
    assert values["failed"] == values["without an end"] == values["leaked sequences"] == 0
    assert values["memory"] > 10
