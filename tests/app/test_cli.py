"""The command line without a model: help, versions and mistakes, each compared as a whole."""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from r1chat.app.cli import _parser

Run = Callable[..., subprocess.CompletedProcess[str]]

R1CHAT = [sys.executable, "-m", "r1chat.app"]

HEAVY = {
    "fastapi", "gradio", "gguf", "httpx", "httpx2", "huggingface_hub", "jinja2", "llama_cpp", "msgspec", "numpy",
    "pydantic", "starlette", "torch", "transformers", "uvicorn",
}  # fmt: skip

HELP = """\
usage: r1chat [-h] [--version] COMMAND ...

Chat with reasoning models on your own machine, and distil small ones yourself.
Without a command it opens the chat page, with the options of `r1chat ui`.

options:
  -h, --help  show this help message and exit
  --version   show program's version number and exit

commands:
  COMMAND
    ui        open the chat page (what `r1chat` alone does)
    chat      talk here in the terminal: answers to stdout, traces to stderr
    run       ask one question here: answer to stdout, trace to stderr
    serve     serve the OpenAI-compatible API, and the page at /
    pull      fetch a model from the Hugging Face hub, or what is missing of it
    list (ls)
              list the models on this machine
    ps        list the models that a running server has loaded
    show      tell what is known of a model, or of all R1 models: sizes, licence, context, scores
    rm        delete a model from this machine
    import    turn a Hugging Face folder into a model to run by name
    quantize  make a smaller file of a model
    doctor    check llama.cpp, memory, disk, port and a model, and say what to install
    distill   teach a small model on R1's traces: generate, verify, filter, train, export, measure, report
    bench     measure this server, alone or beside others; the engine; accuracy, budgets and votes; training

examples:
  r1chat                                    open the page on the bundled model
  r1chat --model ./my-model.gguf            the same on a file of yours
  r1chat pull r1:1.5b                       fetch DeepSeek-R1-Distill-Qwen-1.5B
  r1chat run demo "What is 15% of 240?"     answer here; the trace goes to stderr
  r1chat chat demo                          talk here; the page shows it, too
  git diff | r1chat run r1:7b "Summarise:"  what is piped in comes before the prompt
  r1chat serve --port 9000                  the OpenAI-compatible API under /v1

A MODEL is `demo` (bundled, tiny), r1:1.5b to r1:70b, user/repo:QUANT from the Hugging Face hub, a student's
name, or a path to a .gguf file. `r1chat list` shows those that are here.
R1CHAT_API_KEY sets the key that --api-key would, R1CHAT_UPSTREAM_KEY that of --upstream-key, R1CHAT_DATA the
folder that --data would. R1CHAT_MODELS is the folder of your own models.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 model missing or not loadable, 4 too little memory or context,
5 no answer, 130 Ctrl-C. `r1chat COMMAND --help` tells more of each command.
"""


def test_help_teaches_with_examples(r1chat: Run) -> None:
    done = r1chat("--help")
    assert (done.returncode, done.stdout, done.stderr) == (0, HELP, "")


def test_version(r1chat: Run) -> None:
    done = r1chat("--version")
    assert (done.returncode, done.stdout) == (0, f"r1chat {importlib.metadata.version('r1chat')}\n")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["serve", "--help"], ["--port", "x"], ["bench", "x"]]
)
def test_help_and_usage_errors_import_nothing_heavy(arguments: list[str]) -> None:
    script = """
import json, sys
from r1chat.app.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("\\n" + json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert "r1chat" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize("command", ["ui", "chat", "run", "serve", "distill"])
def test_every_command_explains_itself_with_an_example(r1chat: Run, command: str) -> None:
    done = r1chat(command, "--help")
    assert done.returncode == 0
    assert f"  r1chat {command} " in done.stdout.partition("example")[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["--port", "x"], 2, "r1chat ui: argument --port: 'x' is no whole number. See: r1chat ui --help"),
        (["--port", "70000"], 2, "r1chat ui: argument --port: 70000 is too large; 65535 is the most. "
                                 "See: r1chat ui --help"),
        (["serve", "--ctx", "1"], 2, "r1chat serve: argument --ctx: 1 is too small; 64 is the least. "
                                     "See: r1chat serve --help"),
        (["run"], 2, "r1chat run: the following arguments are required: MODEL. See: r1chat run --help"),
        (["run", "demo"], 2, 'r1chat: There is no question. Ask one: r1chat run demo "What is 15% of 240?"'),
        (["run", "nope", "hi"], 3, "r1chat: There is no model called 'nope': a name is `demo`, r1:1.5b to r1:70b, "
                                   "a path to a .gguf file, or user/repo:QUANT. Try: r1chat run demo"),
        (["--model", "gone/m.gguf", "--port", "0"], 3, "r1chat: There is no file gone/m.gguf. See what lies there: "
                                                       "ls gone"),
        (["serve", "--host", "0.0.0.0"], 2, "r1chat: Listening on 0.0.0.0 lets the network in, and no key is set. "
         "Make one, once: (umask 077; openssl rand -hex 16 > ~/.r1chat.key) and then, each time: "
         "R1CHAT_API_KEY=$(cat ~/.r1chat.key) r1chat serve --host 0.0.0.0"),
        (["serve", "--host", "host.invalid", "--api-key", "k"], 2, None),
        (["serve", "--api-key", "k", "--api-key", ""], 2, "r1chat serve: argument --api-key: the key is empty, as "
                                                          "where its variable is not set. See: r1chat serve --help"),
        (["distill", "--student", "nope"], 2, None),
        (["distill", "--recipe", "r0"], 2, "r1chat: There is no recipe 'r0', but distill-vs-rl, distill-vs-rl-1.5b, "
         "r1, r1-1.5b, r1-zero, r1-zero-1.5b, and files that end in .yaml. Use: r1chat distill --recipe r1"),
        (["chat", "--think", "much"], 2, "r1chat chat: argument --think: 'much' is neither off nor auto nor a number "
                                         "of tokens. See: r1chat chat --help"),
        (["chat", "nope"], 3, "r1chat: There is no model called 'nope': a name is `demo`, r1:1.5b to r1:70b, "
                              "a path to a .gguf file, or user/repo:QUANT. Try: r1chat run demo"),
        (["nope"], 2, None),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_a_status(r1chat: Run, arguments: list[str], status: int, line: str | None) -> None:
    done = r1chat(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.count("\n") == 1
    if line is not None:
        assert done.stderr == line + "\n"


@pytest.mark.parametrize("arguments", [["demo", "--json", "Q?"], ["--json", "demo", "Q?"], ["demo", "Q?", "--json"]])
def test_options_of_run_may_stand_anywhere(arguments: list[str]) -> None:
    args = _parser().parse_args(["run", *arguments])
    assert (args.model, args.prompt, args.json) == ("demo", "Q?", True)


def test_a_question_may_begin_with_a_minus() -> None:
    assert _parser().parse_args(["run", "demo", "--json", "-1 + 2?"]).prompt == "-1 + 2?"


def test_too_many_arguments_are_refused(r1chat: Run) -> None:
    done = r1chat("run", "demo", "What", "is", "this?")
    assert done.returncode == 2
    assert done.stderr == "r1chat: unrecognized arguments: is this?. See: r1chat --help\n"


def test_a_taken_port_names_the_next(r1chat: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = r1chat("--port", str(port), "--no-browser")
    assert done.stderr == f"r1chat: Port {port} is taken. Use another: r1chat --port {port + 1}\n"
    assert done.returncode == 2


def test_a_damaged_model_is_one_line(r1chat: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\xff" * 400)
    done = r1chat("run", str(broken), "hi")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("r1chat: ")
    assert done.stderr.count("\n") == 1


def test_control_characters_in_a_name_do_not_reach_the_terminal(r1chat: Run) -> None:
    done = r1chat("run", "\x1b[2Jevil\u202e", "hi")
    assert "\x1b" not in done.stderr
    assert "\u202e" not in done.stderr


@pytest.mark.parametrize("argument", ["list", "--version"])
def test_a_reader_that_left_is_no_fault(argument: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*R1CHAT, argument], stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_disk_that_is_full_is_told_in_a_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*R1CHAT, "list"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "r1chat: Writing failed: No space left on device. See how much room there is: df -h\n"


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_as_none(closed: str) -> None:
    command = ["sh", "-c", f'"$@" {closed}', "sh", *R1CHAT, "list", "--json"]  # without, a lone model brings a hint
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
