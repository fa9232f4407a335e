"""r1chat run, end to end on real weights: what goes to which stream, and how it ends."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from r1chat.app.commands.run import _prompt, summary
from r1chat.app.terminal import last_words, printable

Run = Callable[..., subprocess.CompletedProcess[str]]

QUESTION = "A farmer has 17 sheep. All but 9 run away. How many are left?"


@pytest.mark.model
def test_the_answer_is_on_stdout_and_the_trace_on_stderr(r1chat: Run) -> None:
    done = r1chat("run", "demo", QUESTION, "--temperature", "0")
    assert done.returncode == 0, done.stderr
    assert "9" in done.stdout
    assert "<think>" not in done.stdout + done.stderr
    assert "</think>" not in done.stdout + done.stderr
    trace, _, figures = done.stderr.rstrip("\n").rpartition("\n")
    assert trace.strip()
    assert figures.startswith("prompt ")
    assert "\x1b" not in done.stdout + done.stderr, "colours belong on a terminal only"


@pytest.mark.model
def test_json_is_one_object_with_everything(r1chat: Run) -> None:
    done = r1chat("run", "demo", "--json", "--temperature", "0", input=QUESTION)
    assert (done.returncode, done.stderr) == (0, "")
    reply = json.loads(done.stdout)
    assert set(reply) == {"model", "answer", "reasoning", "finish_reason", "reasoning_end", "usage", "timings"}
    assert "9" in reply["answer"]
    assert reply["reasoning"]
    assert (reply["model"], reply["finish_reason"], reply["reasoning_end"]) == ("demo", "stop", "natural")
    thought = reply["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert 0 < thought < reply["usage"]["completion_tokens"]
    assert reply["timings"]["reasoning_ms"] > 0


@pytest.mark.slow
@pytest.mark.model
def test_a_budget_bounds_the_trace_and_no_think_leaves_it_out(r1chat: Run) -> None:
    short = json.loads(r1chat("run", "demo", QUESTION, "--json", "--budget", "8").stdout)
    none = json.loads(r1chat("run", "demo", QUESTION, "--json", "--no-think").stdout)
    assert short["usage"]["completion_tokens_details"]["reasoning_tokens"] <= 8 + 8 // 4
    assert short["reasoning"] and short["answer"].strip() and short["reasoning_end"] in ("budget", "soft_landing")
    assert none["answer"].strip() and not none["reasoning"]
    assert r1chat("run", "demo", QUESTION, "--no-think", "--budget", "8").returncode == 2


@pytest.mark.slow
@pytest.mark.model
def test_hide_thinking_leaves_the_answer_alone(r1chat: Run) -> None:
    done = r1chat("run", "demo", QUESTION, "--hide-thinking", "--temperature", "0")
    assert done.returncode == 0
    assert (bool(done.stdout.strip()), done.stderr) == (True, "")


def test_what_is_piped_in_comes_before_the_prompt() -> None:
    assert _prompt("Say it.", io.StringIO(QUESTION + "\n")) == f"{QUESTION}\n\nSay it."
    assert _prompt("-", io.StringIO(QUESTION + "\n")) == QUESTION


def test_a_byte_that_is_no_text_costs_no_question() -> None:
    assert _prompt("What is 2\udcff?", None) == "What is 2??"


@pytest.mark.slow
@pytest.mark.model
def test_a_trace_that_few_tokens_have_no_room_for_gives_way_to_the_answer(r1chat: Run) -> None:
    done = r1chat("run", "demo", QUESTION, "--max-tokens", "3", "--hide-thinking")
    assert (done.returncode, bool(done.stdout.strip()), done.stderr) == (0, True, "")


@pytest.mark.slow
def test_too_long_a_question_has_its_own_status(r1chat: Run, noise_model: Path) -> None:
    done = r1chat("run", str(noise_model), "--ctx", "64", input="long " * 500)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.count("\n") == 1
    assert " 64" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("temperature", ["-1", "nan"])
def test_a_setting_out_of_range_is_the_apis_word_in_one_line(r1chat: Run, noise_model: Path, temperature: str) -> None:
    done = r1chat("run", str(noise_model), "hi", "--temperature", temperature)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("r1chat: ")
    assert done.stderr.count("\n") == 1


def test_bytes_that_are_no_text_do_not_end_it() -> None:
    command = [sys.executable, "-m", "r1chat.app", "run", "nope", "Summarise:"]
    done = subprocess.run(command, input=b"caf\xe9", capture_output=True, timeout=60)
    assert done.returncode == 3 and done.stderr.startswith(b"r1chat: There is no model called 'nope'")


@pytest.mark.slow
def test_what_the_model_writes_cannot_steer_the_terminal(r1chat: Run, noise_model: Path) -> None:
    done = r1chat("run", str(noise_model), "hi", "--max-tokens", "400", "--seed", "1")
    shown = done.stdout + done.stderr
    assert len(shown) > 200
    assert [char for char in shown if printable(char) != char] == []


@pytest.mark.slow
@pytest.mark.parametrize(("environment", "dim"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_the_trace_is_dim_on_terminals_that_want_it(noise_model: Path, environment: dict[str, str], dim: bool) -> None:
    command = [sys.executable, "-m", "r1chat.app", "run", str(noise_model), "hi", "--max-tokens", "20"]
    ours, theirs = pty.openpty()
    base = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
                               env={**base, **environment})  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:
        pass  # how Linux says that the other end is closed
    os.close(ours)
    stdout, _ = process.communicate(timeout=30)
    assert (b"\x1b[2m" in shown) == dim
    assert b"\x1b[2m" not in stdout


@pytest.mark.slow
def test_ctrl_c_ends_the_command_and_its_engine(endless_model: Path) -> None:
    command = [sys.executable, "-m", "r1chat.app", "run", str(endless_model), "hi"]
    command += ["--ctx", "32768", "--max-tokens", "30000"]
    process = subprocess.Popen(
        command, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stderr is not None
    assert b"context of 32768 tokens" in process.stderr.readline()
    process.stderr.read(1)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    rest = stderr.decode(errors="replace")  # the byte read above may have begun a character
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert_no_process_left(process.pid)


def assert_no_process_left(group: int) -> None:
    """The group's last member may take a moment to be reaped."""
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("the engine's process outlived the command")


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error_message(noise_model: Path) -> None:
    command = [sys.executable, "-m", "r1chat.app", "run", str(noise_model), "hi", "--max-tokens", "2000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, stderr = process.communicate(timeout=60)
    assert b"Traceback" not in stderr
    assert b"BrokenPipe" not in stderr


CONTROLS = [0x00, 0x07, 0x08, 0x0D, 0x1B, 0x7F, 0x85, 0x9B, 0x061C, 0x200E, 0x202E, 0x2066, 0x2069]


@pytest.mark.parametrize("code", CONTROLS)
def test_control_and_direction_characters_are_written_out(code: int) -> None:
    assert printable(f"a{chr(code)}b") == (f"a\\x{code:02x}b" if code < 0x100 else f"a\\u{code:04x}b")


def test_ordinary_text_is_printed_as_it_is() -> None:
    text = "Grüße, 你好 🧠\n\t∀x ∈ ℝ: x² ≥ 0"
    assert printable(text) == text


def test_the_last_words_of_a_command_go_without_its_name() -> None:
    assert last_words(["Loading x ...", "r1chat: x is not here. See: r1chat list\n", "  "]) == (
        "x is not here. See: r1chat list"
    )
    assert last_words([]) == ""


def test_summary_counts_thought_and_answer_apart() -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 110, "completion_tokens_details": {"reasoning_tokens": 90}}
    timings = {"prompt_ms": 40, "reasoning_ms": 1500, "answer_ms": 250, "predicted_per_second": 62.4}
    assert summary(usage, timings) == (
        "prompt 20 tokens 0.04 s · thought 90 tokens 1.50 s · answered 20 tokens 0.25 s · 62 tokens/s"
    )
