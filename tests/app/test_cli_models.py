"""pull, list, show and rm as a person types them, against a hub on loopback that has R1's real names."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub, loopback_hub

from r1chat.serve.models.catalog import BUNDLED

SIZE = f"{BUNDLED.stat().st_size / 1e6:.1f} MB"  # of what the hub has in this test

Run = Callable[..., subprocess.CompletedProcess[str]]

REPO = "bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF"
FILE = "DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    """The bundled model stands in for R1: real weights, few of them."""
    with loopback_hub() as hub:
        hub.repos[REPO] = {FILE: BUNDLED.read_bytes(), "README.md": b"hi"}
        yield hub


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The settings of a person with an empty cache."""
    return {
        "HF_HOME": str(tmp_path / "hf"),
        "R1CHAT_MODELS": str(tmp_path / "students"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def pulling(hub: LoopbackHub, home: dict[str, str], *, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "r1chat.app", "pull", "r1:1.5b"]
    environment = {**os.environ, **home, "HF_ENDPOINT": hub.url, "COLUMNS": "100"}
    return subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr)


def wait_for_bytes(home: dict[str, str], n_bytes: float) -> None:
    """Until so many lie on the disk: what the hub has sent is ahead of that by what the sockets hold."""
    deadline = time.monotonic() + 60
    while (n_kept := sum(part.stat().st_size for part in parts(home))) < n_bytes:
        assert time.monotonic() < deadline, f"only {n_kept} bytes have arrived"
        time.sleep(0.01)


def parts(home: dict[str, str]) -> list[Path]:
    return list(Path(home["HF_HOME"]).rglob("*.incomplete"))


@pytest.mark.slow
def test_a_pull_killed_at_40_percent_goes_on_and_then_runs_without_network(
    hub: LoopbackHub, home: dict[str, str], r1chat: Run
) -> None:
    size = len(hub.repos[REPO][FILE])
    hub.bytes_per_s = 5e5  # far from done when it is killed
    first = pulling(hub, home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_bytes(home, 0.4 * size)
    first.kill()
    first.wait()
    (part,) = parts(home)
    kept = part.stat().st_size
    assert 0.4 * size <= kept < size

    not_yet = r1chat("run", "r1:1.5b", "hello", **home, HF_HUB_OFFLINE="1")
    assert (not_yet.returncode, not_yet.stdout) == (3, "")
    assert not_yet.stderr.endswith("The bundled model needs no network: r1chat run demo\n")
    listed = r1chat("list", **home)
    assert "r1:1.5b" not in listed.stdout
    assert listed.stderr.endswith(f"of {REPO} wait for their pull to go on. To free them: r1chat rm {REPO}\n")

    hub.bytes_per_s = None
    done = r1chat("pull", "r1:1.5b", "--json", **home, HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["id"], told["bytes"], Path(told["path"]).read_bytes() == BUNDLED.read_bytes()) == (
        "r1:1.5b",
        size,
        True,
    )
    assert re.fullmatch(rf"(?s)(.*\n)?r1:1\.5b: {SIZE} of {SIZE}, done\n", done.stderr)
    assert [ask.start for ask in hub.asks] == [0, kept]

    answer = r1chat("run", "--temperature", "0", "r1:1.5b", "hello", **home, HF_ENDPOINT=NOBODY)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("Hello!")


def test_a_terminal_sees_bytes_rate_and_time_left(hub: LoopbackHub, home: dict[str, str]) -> None:
    hub.bytes_per_s = 4e6
    ours, theirs = pty.openpty()
    process = pulling(hub, home, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = _read_all(ours)
    assert process.wait() == 0
    assert re.search(rf"r1:1\.5b .*\d\.\d/{SIZE}.* \d\.\d MB/s, 0:0\d left", shown)
    assert f"r1:1.5b is here ({SIZE}). Ask it: r1chat run r1:1.5b 'Hello'" in shown


def _read_all(descriptor: int) -> str:
    text = b""
    try:
        while block := os.read(descriptor, 65536):
            text += block
    except OSError:
        pass  # Linux says so when the other end of a terminal closes.
    os.close(descriptor)
    return text.decode()


def test_ctrl_c_keeps_what_has_arrived_and_says_how_to_go_on(hub: LoopbackHub, home: dict[str, str]) -> None:
    hub.bytes_per_s = 5e5  # far from done when it is stopped
    process = pulling(hub, home, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_bytes(home, 1e6)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    last = err.decode().splitlines()[-1]
    assert re.fullmatch(r"r1chat: Stopped; \d\.\d MB are kept\. Continue: r1chat pull r1:1\.5b", last)
    assert sum(part.stat().st_size for part in parts(home)) >= 1e6


@pytest.mark.slow
def test_list_show_and_rm_tell_the_same_story(hub: LoopbackHub, home: dict[str, str], r1chat: Run) -> None:
    assert r1chat("pull", "r1:1.5b", **home, HF_ENDPOINT=hub.url).returncode == 0
    home = {**home, "HF_ENDPOINT": NOBODY}
    table = r1chat("list", **home).stdout.splitlines()
    assert [line.split()[0] for line in table] == ["MODEL", "demo", "r1:1.5b"]
    assert table[2].split()[1:5] == [*SIZE.split(), "Q4_K_M", "hub"]
    demo, model = json.loads(r1chat("ls", "--json", **home).stdout)
    assert (demo["id"], demo["source"]) == ("demo", "bundled")
    assert (model["id"], model["aliases"], model["bytes"]) == ("r1:1.5b", [f"{REPO}:Q4_K_M"], BUNDLED.stat().st_size)

    shown = json.loads(r1chat("show", "r1:1.5b", "--json", **home).stdout)
    assert shown.items() >= model.items()
    assert (shown["here"], shown["architecture"], shown["context"]) == (True, "qwen2", 4096)
    assert shown["scores"] == {"AIME 2024": 28.9, "MATH-500": 83.9, "GPQA Diamond": 33.8}
    assert shown["licence"].startswith("MIT")

    gone = r1chat("rm", "r1:1.5b", "--json", **home)
    assert json.loads(gone.stdout) == {"id": "r1:1.5b", "bytes": BUNDLED.stat().st_size}
    assert [model["id"] for model in json.loads(r1chat("list", "--json", **home).stdout)] == ["demo"]
    again = r1chat("rm", "r1:1.5b", **home)
    assert (again.returncode, again.stderr) == (
        3,
        "r1chat: There is no model 'r1:1.5b' to delete. See what there is: r1chat list\n",
    )


def test_show_without_a_name_is_the_catalogue(r1chat: Run) -> None:
    shown = r1chat("show")
    assert re.search(r"^r1:7b +7\.6 B +4\.7 GB +6\.6 GB +55\.5 +92\.8 +49\.1$", shown.stdout, re.M), shown.stdout
    assert "of memory are free here" in shown.stderr
    told = json.loads(r1chat("show", "--json").stdout)
    assert [model["id"] for model in told][:2] == ["r1:1.5b", "r1:7b"]


@pytest.mark.slow
def test_show_tells_of_models_that_are_not_here(hub: LoopbackHub, home: dict[str, str], r1chat: Run) -> None:
    shown = r1chat("show", "r1:7b", **home, HF_ENDPOINT=NOBODY)
    assert shown.returncode == 0
    assert re.search(r"^sizes +Q4_K_M 4\.7 GB, Q5_K_M 5\.4 GB, Q6_K 6\.2 GB, Q8_0 8\.1 GB$", shown.stdout, re.M)
    assert shown.stdout.endswith("fetch               r1chat pull r1:7b\n")
    hub.repos["user/other"] = {"a-Q2_K.gguf": b"12345", "a-Q8_0.gguf": b"1234567890"}
    told = json.loads(r1chat("show", "user/other", "--json", **home, HF_ENDPOINT=hub.url).stdout)
    assert (told["here"], told["sizes"]) == (False, {"Q2_K": 5, "Q8_0": 10})
    assert told["fetch"] == "r1chat pull user/other:Q2_K"
    told = json.loads(r1chat("show", "user/other:q8_0@main", "--json", **home, HF_ENDPOINT=hub.url).stdout)
    assert told["fetch"] == "r1chat pull user/other:Q8_0@main"
