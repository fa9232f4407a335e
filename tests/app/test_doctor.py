"""r1chat doctor: what it looks at, on real parts, and how it ends."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1chat.app import health
from r1chat.app.commands import doctor
from r1chat.app.conversation_health import conversation_check
from r1chat.app.conversations.store import ConversationStore
from r1chat.app.folders import CONVERSATIONS
from r1chat.app.health import gpu_commands, machine_checks
from r1chat.serve.models.fit import machine
from r1chat.serve.models.fit.machine import BuildError, LlamaBuild

Run = Callable[..., subprocess.CompletedProcess[str]]


def checks_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


@pytest.mark.slow
@pytest.mark.model
def test_all_is_well_with_the_bundled_model(r1chat: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1CHAT_DATA", str(tmp_path))
    done = r1chat("doctor", "--json", "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("0 is too small; 1 is the least. See: r1chat doctor --help\n")
    assert len(done.stderr) < 200
    done = r1chat("doctor", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["ok"] is True
    checks = checks_of(done)
    assert list(checks) == [
        *("r1chat", "llama.cpp", "computes on", "memory", "downloads", "own models", "port", "chats"),
        *("model", "tags", "template", "smoke run"),
    ]
    assert checks["smoke run"]["data"]["tokens"] == 16
    assert checks["template"]["data"] == {"own": True, "opens_thought": True}
    assert checks["tags"]["data"]["tokens"] == ["<think>", "</think>"]
    assert checks["llama.cpp"]["data"]["flags"]
    assert "needs" in checks["model"]["text"] and checks["model"]["data"]["estimate"] > 0


def test_a_damaged_model_is_marked_and_everything_else_is_still_told(r1chat: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF\3\0\0\0")
    done = r1chat("doctor", str(path))
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert any(line.startswith("ok    llama.cpp") for line in lines)
    assert [line for line in lines if line.startswith("BAD")] == [
        "BAD   model        broken.gguf: the file ends within tensors; it is damaged or incomplete"
    ]
    assert lines[-1] == "Something is broken: it is marked BAD above."


def test_damaged_conversations_are_marked_with_the_command_that_mends_them(r1chat: Run, tmp_path: Path) -> None:
    path = tmp_path / CONVERSATIONS
    store = ConversationStore(path)
    store.create("")
    store.close()
    whole = conversation_check(path)
    assert (whole.state, whole.text.partition(",")[0]) == ("ok", "1 with 0 messages")
    told = json.loads(r1chat("doctor", "--mend", "--json", "--data", str(tmp_path)).stdout)
    assert told["ok"] and "is whole: 1 conversations" in told["text"]
    path.write_bytes(path.read_bytes()[:5000])
    damaged = conversation_check(path)
    assert damaged.state == "broken"
    done = r1chat(*damaged.help.split()[1:])
    assert (done.returncode, done.stderr) == (0, "")
    assert f"The damaged file is kept as {path}.damaged-" in done.stdout
    assert conversation_check(path).state == "ok"


def test_conversations_that_may_not_be_read_are_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / CONVERSATIONS
    ConversationStore(path).close()
    Path(f"{path}-wal").mkdir()  # SQLite cannot open its own file beside it
    check = conversation_check(path)
    assert (check.state, check.help) == ("broken", "")
    assert "damaged" not in check.text and "chmod" in check.text
    # A path that cannot even be looked up.
    assert conversation_check(tmp_path / ("x" * 300) / CONVERSATIONS).state == "ok"


@pytest.mark.slow
def test_every_command_that_loads_a_damaged_model_says_how_to_look_closer(
    r1chat: Run, noise_model: Path, tmp_path: Path
) -> None:
    data = noise_model.read_bytes()
    cut, empty = tmp_path / "cut short.gguf", tmp_path / "empty.gguf"
    cut.write_bytes(data[:-70_000])
    empty.write_bytes(data[:30_000] + bytes(len(data) - 30_000))
    for arguments in (
        ["run", str(cut), "hi"],
        ["serve", "--model", str(cut), "--port", "0"],
        ["run", str(empty), "hi"],
    ):
        done = r1chat(*arguments)
        assert (done.returncode, done.stdout) == (3, "")
        path = arguments[1] if arguments[0] == "run" else arguments[2]
        assert done.stderr.endswith(f" Look closer: r1chat doctor {shlex.quote(path)}\n")
        assert "Traceback" not in done.stderr


def test_a_context_that_no_memory_holds_is_refused_with_numbers(r1chat: Run, noise_model: Path) -> None:
    done = r1chat("run", str(noise_model), "hi", "--ctx", "2000000000")
    assert (done.returncode, done.stdout) == (4, "")
    assert f"With less it fits: r1chat run {noise_model} --ctx 4096\n" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_that_is_not_here_is_not_fetched_but_its_command_is_told(r1chat: Run) -> None:
    done = r1chat("doctor", "somebody/something:Q4_K_M", "--json", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1
    model = checks_of(done)["model"]
    assert (model["state"], model["help"]) == ("broken", "r1chat pull somebody/something:Q4_K_M")


def test_a_path_without_a_model_is_one_check_among_the_others(r1chat: Run, tmp_path: Path) -> None:
    done = r1chat("doctor", str(tmp_path), "--json")
    assert (done.returncode, done.stderr) == (1, "")
    model = checks_of(done)["model"]
    assert model["state"] == "broken" and "without config.json" in model["text"]
    for name in ("", "~nobody-of-this-name/x", "a" * 5000, "x/" + "a" * 5000):
        assert doctor._entry(name) is None


def test_a_folder_that_cannot_be_written_to_is_broken(r1chat: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = r1chat("doctor", "nothing", "--json", R1CHAT_MODELS=str(tmp_path / "file"))
    assert done.returncode == 1
    assert checks_of(done)["own models"]["state"] == "broken"


def test_a_folder_whose_path_cannot_be_looked_up_is_one_check(tmp_path: Path) -> None:
    assert health._folder("downloads", tmp_path / ("x" * 300) / "hub").data["writable"]


def test_a_llama_cpp_that_cannot_be_loaded_is_one_check_among_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a build for graphics cards without their driver."""

    def broken() -> LlamaBuild:
        raise BuildError("llama.cpp cannot be loaded (libcuda.so.1).")

    monkeypatch.setattr(health, "ask_llama_cpp", broken)
    monkeypatch.setattr(machine, "ask_llama_cpp", broken)
    monkeypatch.setattr(machine, "_may_have_gpus", lambda: True)
    states = {check.name: check.state for check in machine_checks(0)}
    assert (states["llama.cpp"], states["memory"]) == ("broken", "ok")


def test_a_port_that_is_taken_is_noted_with_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        port = next(check for check in machine_checks(number) if check.name == "port")
    assert (port.state, port.help) == ("note", f"r1chat --port {number + 1}")


def test_every_kind_of_card_has_a_command_that_builds_for_it() -> None:
    commands = gpu_commands()
    assert set(commands) == {"CUDA", "Metal", "Vulkan"}
    for name, command in commands.items():
        assert command.startswith(f'CMAKE_ARGS="-DGGML_{name.upper()}=on" pip install ')
        assert "llama-cpp-python==" in command


@pytest.mark.model
def test_measuring_sets_the_estimate_against_the_childs_memory(r1chat: Run) -> None:
    done = r1chat("doctor", "demo", "--measure", "--ctx", "16384", "--json")
    told = json.loads(done.stdout)
    result = told["results"][0]
    assert (result["n_ctx"], result["estimate"]["weights"] > 0) == (16_384, True)
    if result["resident"] is None:
        pytest.skip("this system does not tell what a process has in memory")
    assert done.returncode == (0 if abs(result["error"]) <= told["within"] else 1)
    assert abs(result["error"]) < 0.25
