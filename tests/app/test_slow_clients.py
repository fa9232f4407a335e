"""The served command and clients that waste its time; and its word to those whom it leaves."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import uvicorn
from served import served

from r1chat.app import slow_clients
from r1chat.app.server import Server
from r1chat.serve.models.gguf.shapes import SHAPES, synthetic_tokenizer

_END = synthetic_tokenizer(SHAPES["tiny-qwen2"].n_vocab).eos_id
# The noise model's word for it comes sooner or later.
WITHOUT_END = {"stream": True, "max_tokens": 30_000, "logit_bias": {str(_END): -100}}


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that answers everything with `ok`, refuses some before their bodies have come, and gives heads half a
    second.
    """
    monkeypatch.setattr(slow_clients, "HEAD_S", 0.5)

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        while scope["path"] != "/refused" and (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    sock = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=slow_clients.ImpatientProtocol, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    yield sock.getsockname()[1]
    server.should_exit = True
    thread.join(timeout=10)


def test_who_reads_slowly_gets_the_last_words_of_a_server_that_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1chat.app.server.SHUTDOWN_GRACE_S", 30)  # how slowly is the machine's affair
    stopping = asyncio.Event()

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 300_000, "more_body": True})
        await stopping.wait()
        await send({"type": "http.response.body", "body": b"last words" + b" " * 60_000})

    async def stop_first() -> None:
        stopping.set()

    sock = socket.create_server(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # or the system would take all of it at once
    server = Server(app, stop_first=stop_first)
    server.config.lifespan = "off"
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    answer = bytearray()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.connect(sock.getsockname())
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while part := client.recv(8192):
            answer += part
            server.should_exit = True
            time.sleep(0.005)
    thread.join(timeout=30)
    assert b"last words" in answer[-70_000:]
    assert answer.endswith(b"0\r\n\r\n"), "it came to its end"


def silence_after(port: int, head: bytes, *, drip: bytes = b"") -> tuple[bytes, float]:
    """What came back, and after how many seconds the server hung up; `drip` is sent byte by byte meanwhile."""
    started, answer = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(head)
        sock.settimeout(0.1)
        while time.monotonic() - started < 60:
            try:
                part = sock.recv(65536)
                if not part:
                    break
                answer += part
            except TimeoutError:
                with suppress(OSError):
                    sock.sendall(drip[:1])
                drip = drip[1:]
            except OSError:
                break
    return answer, time.monotonic() - started


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_head_that_does_not_end_ends_the_connection(port: int, head: bytes) -> None:
    answer, after_s = silence_after(port, head, drip=b"x" * 1000 if head else b"")
    assert b" 200 " not in answer and 0.4 < after_s < 30


def test_a_second_head_on_a_kept_connection_has_no_more_time_than_the_first(port: int) -> None:
    answer, after_s = silence_after(
        port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT", drip=b"TP/1.1\r\nX" + b"x" * 990
    )
    assert answer.count(b" 200 ") == 1 and after_s < 30


def test_a_slow_body_and_a_kept_connection_are_not_cut_by_the_time_for_heads(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        for _ in range(2):
            sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
            for byte in (b"a", b"b", b"c"):
                time.sleep(0.3)
                sock.sendall(byte)
            answer = b""
            while not answer.endswith(b"ok"):
                part = sock.recv(65536)
                assert part, "the server hung up"
                answer += part
            time.sleep(0.7)


def test_the_rest_of_a_body_that_was_refused_is_not_awaited_for_ever(port: int) -> None:
    head = b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 10
    answer, after_s = silence_after(port, head, drip=b"x" * 10)
    assert b" 200 " in answer and after_s < 30


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[socket.socket, threading.Event]]:
    """A client of a reply without end, all buffers small, and what is set when the server takes it for gone."""
    monkeypatch.setattr(slow_clients, "READ_S", 1.5)
    is_gone = threading.Event()

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        async def write() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 20_000, "more_body": True})

        writer = asyncio.create_task(write())
        while (await receive())["type"] != "http.disconnect":
            pass
        is_gone.set()
        writer.cancel()

    sock = socket.create_server(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    config = uvicorn.Config(app, http=slow_clients.ImpatientProtocol, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.connect(sock.getsockname())
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        yield client, is_gone
    server.should_exit = True
    thread.join(timeout=10)


def test_who_stops_reading_is_taken_for_gone(endless: tuple[socket.socket, threading.Event]) -> None:
    _, is_gone = endless
    assert is_gone.wait(60)


def test_who_reads_slowly_is_not(endless: tuple[socket.socket, threading.Event]) -> None:
    client, is_gone = endless
    started = time.monotonic()
    while time.monotonic() - started < 4:
        client.recv(4096)
        assert not is_gone.wait(0.1)


@pytest.mark.slow
def test_sigterm_during_a_stream_ends_it_with_one_error_event_and_succeeds(noise_model: Path) -> None:
    with served("serve", "--model", str(noise_model), "--ctx", "32768") as server:
        body = {"messages": [{"role": "user", "content": "hi"}], **WITHOUT_END}
        request = urllib.request.Request(
            f"{server.url()}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as stream:
            first = stream.readline()
            assert server.stop(signal.SIGTERM) == 0
            events = [line for line in (first + stream.read()).split(b"\n") if line.startswith(b"data: ")]
        assert b'"error"' in events[-1] and [b'"error"' in event for event in events].count(True) == 1
