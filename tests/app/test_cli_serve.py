"""r1chat serve as a process: it answers, tells where, and stops in order."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_server import eventually
from served import served

from r1chat.app.errors import UsageError
from r1chat.app.server import _reachable, bind
from r1chat.serve.models.gguf.shapes import SHAPES, synthetic_tokenizer

_END = synthetic_tokenizer(SHAPES["tiny-qwen2"].n_vocab).eos_id
# The noise model's word for it comes sooner or later.
WITHOUT_END = {"stream": True, "max_tokens": 30_000, "logit_bias": {str(_END): -100}}


def get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def group_is_gone(group: int) -> bool:
    def is_gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    return eventually(is_gone)


OPTIONS = "--threads 1 --kv-tokens 4096 --ctx 512 --host-cache 1M --parallel 2".split()


@pytest.fixture(scope="module")
def url(noise_model: Path) -> Iterator[str]:
    """Of a server with options for its engine, left as it was found."""
    with served("serve", "--model", str(noise_model), *OPTIONS) as server:
        yield server.url()


def test_page_and_api_answer_on_one_port(url: str) -> None:
    assert get(f"{url}/health")[0] == 200
    status, body = get(f"{url}/v1/models")
    listed = [(model["id"], model["state"]) for model in json.loads(body)["data"]]
    assert status == 200 and listed[0] == ("noise", "loaded") and ("demo", "unloaded") in listed
    status, body = get(url)
    assert (status, b"<!doctype html>" in body.lower()) == (200, True)
    assert get(url, Host="evil.example")[0] == 403, "the page is behind the Host check too"


@pytest.mark.slow
def test_ctrl_c_during_a_stream_ends_it_with_one_error_event(noise_model: Path) -> None:
    with served("serve", "--model", str(noise_model), "--ctx", "32768") as server:
        body = {"messages": [{"role": "user", "content": "hi"}], **WITHOUT_END}
        request = urllib.request.Request(
            f"{server.url()}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as stream:
            first = stream.readline()
            status = server.stop(signal.SIGINT)
            events = [line for line in (first + stream.read()).split(b"\n") if line.startswith(b"data: ")]
        assert status == 130
        assert [b'"error"' in event or event == b"data: [DONE]" for event in events].count(True) == 1
        assert b'"error"' in events[-1]
        assert "Traceback" not in "".join(server.lines)
        assert group_is_gone(server.process.pid)


@pytest.mark.slow
def test_an_open_page_does_not_keep_the_server_alive(noise_model: Path) -> None:
    """A shown page holds a stream open for as long as it is shown."""
    with served("serve", "--model", str(noise_model)) as server:
        url = server.url()
        with urllib.request.urlopen(f"{url}/gradio_api/heartbeat/a-session", timeout=30) as page:
            assert page.readline().startswith(b"data:")
            assert server.stop(signal.SIGINT) == 130
        assert "Traceback" not in "".join(server.lines), server.lines


@pytest.mark.parametrize("after_s", [1.0, 2.2])
def test_ctrl_c_during_the_start_leaves_nothing_behind(noise_model: Path, after_s: float) -> None:
    with served("serve", "--model", str(noise_model)) as server:
        time.sleep(after_s)
        assert server.stop(signal.SIGINT) in (130, -signal.SIGINT)
        said = "".join(server.lines)
        assert not re.search(r"ERROR|was destroyed|never retrieved", said), said
        assert group_is_gone(server.process.pid)


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait_for_the_cache_to_be_written(noise_model: Path, tmp_path: Path) -> None:
    options = ["--model", str(noise_model), "--keep-cache"]
    with served("serve", *options, XDG_CACHE_HOME=str(tmp_path), R1CHAT_HOME=str(tmp_path)) as server:
        server.url()
        group = server.process.pid
        os.killpg(group, signal.SIGSTOP)  # the engine then stands as one does that writes gigabytes
        os.kill(group, signal.SIGCONT)
        os.kill(group, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(timeout=5)
        os.kill(group, signal.SIGINT)
        assert server.process.wait(timeout=30) == 130  # and not the minute that the first would have waited
        os.killpg(group, signal.SIGCONT)
        assert group_is_gone(server.process.pid)
        assert "Traceback" not in "".join(server.lines), server.lines


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [[signal.SIGTERM], [signal.SIGHUP] * 2], ids=["a stop", "a terminal that closes"])
def test_what_ends_the_whole_group_is_a_clean_end(
    noise_model: Path, tmp_path: Path, numbers: list[signal.Signals]
) -> None:
    options = ["--model", str(noise_model), "--keep-cache"]
    with served("serve", *options, XDG_CACHE_HOME=str(tmp_path), R1CHAT_HOME=str(tmp_path)) as server:
        server.url()
        for number in numbers:
            os.killpg(server.process.pid, number)
        assert server.process.wait(timeout=60) == 0
        assert group_is_gone(server.process.pid)
        assert "ERROR" not in "".join(server.lines), "the engine waits for the server's word"


@pytest.mark.slow
def test_a_key_from_the_environment_guards_api_and_page(noise_model: Path) -> None:
    with served("serve", "--model", str(noise_model), R1CHAT_API_KEY="open sesame") as server:
        url = server.url()
        assert get(f"{url}/health")[0] == 200
        assert [get(f"{url}{path}")[0] for path in ("/v1/models", "/")] == [401, 401]
        assert get(f"{url}/v1/models", Authorization="Bearer open sesame")[0] == 200


def ask(url: str, text: str) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 4}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        reply: dict[str, Any] = json.loads(response.read())
    return reply


def metrics(url: str) -> dict[str, float]:
    lines = get(f"{url}/metrics")[1].decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_options_for_the_engine_are_obeyed(url: str) -> None:
    ask(url, "hi")
    shown = metrics(url)
    card = json.loads(get(f"{url}/v1/models")[1])["data"][0]
    assert (card["meta"]["n_threads"], card["meta"]["n_ctx"]) == (1, 512)
    assert (shown["r1chat_threads"], shown["r1chat_kv_cells"]) == (1, 4096)
    assert shown["r1chat_host_cache_max_bytes"] == 2**20


@pytest.mark.slow
def test_a_kept_cache_outlives_the_server(noise_model: Path, tmp_path: Path) -> None:
    cached: list[int] = []
    for _ in range(2):
        with served("serve", "--model", str(noise_model), "--keep-cache", XDG_CACHE_HOME=str(tmp_path)) as server:
            usage = ask(server.url(), "word " * 100)["usage"]
            cached.append(usage["prompt_tokens_details"]["cached_tokens"])
            assert server.stop(signal.SIGTERM) == 0
        (folder,) = (tmp_path / "r1chat" / "prompts").iterdir()
        assert (folder.stat().st_mode & 0o077, len(list(folder.iterdir())) > 0) == (0, True)
    n_closing = 3  # max_tokens leave no room for a thought, so the prompt closes it
    assert cached[0] == 0 and cached[1] >= usage["prompt_tokens"] - 4 - n_closing


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_ends_the_server_with_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\xff" * 400)
    with served("serve", "--model", str(broken)) as server:
        assert server.process.wait(timeout=60) == 3
        server._reader.join()
        (line,) = server.lines
        assert line.startswith("r1chat: broken.gguf: ")


@pytest.mark.slow
def test_a_browser_that_runs_until_it_is_closed_does_not_hold_the_server_up(noise_model: Path, tmp_path: Path) -> None:
    browser, log = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f"#!/bin/sh\necho here > {log}\nexec sleep 600\n")
    browser.chmod(0o755)
    with served("--model", str(noise_model), BROWSER=str(browser)) as server:
        url = server.url()
        while not log.exists():
            assert server.process.poll() is None
            time.sleep(0.05)
        assert get(f"{url}/health")[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "opened"), [([], True), (["--no-browser"], False)])
def test_the_browser_opens_once_the_server_answers(
    noise_model: Path, tmp_path: Path, arguments: list[str], opened: bool
) -> None:
    browser = tmp_path / "browser"
    log = tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {log}\n')
    browser.chmod(0o755)
    with served("--model", str(noise_model), *arguments, BROWSER=str(browser)) as server:
        url = server.url()
        deadline = time.monotonic() + 60
        while opened and not (log.exists() and log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (log.read_text() if log.exists() else None) == (f"{url}\n" if opened else None)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_every_bound_address_is_reached_from_this_machine(host: str) -> None:
    try:
        sock = bind(host, 0, "key")
    except UsageError:
        if ":" in host:
            pytest.skip("no IPv6 here")
        raise
    with sock, socket.create_connection((_reachable(host).strip("[]"), sock.getsockname()[1]), timeout=10):
        pass


def test_a_host_that_cannot_be_a_name_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="is no name of a host"):
        bind("a..b", 0, "key")
