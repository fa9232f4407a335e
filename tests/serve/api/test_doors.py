"""How requests come in: keys under every name, short paths, names of requests, bodies that never end."""

from __future__ import annotations

import socket
import time

import httpx2
import pytest
from live_server import QUESTION, LiveServer, StartServer

from r1chat.serve.api import security

BODY = {"messages": QUESTION, "max_tokens": 3}


def test_the_key_opens_as_x_api_key(start_server: StartServer) -> None:
    server = start_server(api_key="one", more_keys=("two",))
    for headers, status in (
        ({"x-api-key": "one"}, 200),
        ({"x-api-key": "two"}, 200),
        ({"x-api-key": "three"}, 401),
        ({"x-api-key": ""}, 401),
        ({"x-api-key": "one", "authorization": "Bearer stale"}, 200),
    ):
        assert httpx2.get(f"{server.url}/v1/models", headers=headers).status_code == status, headers


@pytest.mark.slow
def test_a_key_is_the_same_owner_under_each_name(start_server: StartServer) -> None:
    """Prompts are shared by key here, so the cache tells."""
    server = start_server(api_key="one", more_keys=("two",), scope_by_key=True)
    long = {"messages": [{"role": "user", "content": "word " * 200}], "max_tokens": 3}

    def cached(**headers: str) -> int:
        answer = httpx2.post(f"{server.url}/v1/chat/completions", json=long, headers=headers, timeout=30)
        return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"])

    assert cached(authorization="Bearer one") == 0
    assert cached(**{"x-api-key": "two"}) == 0
    assert cached(**{"x-api-key": "one"}) > 100


@pytest.mark.slow
def test_a_base_url_without_v1_reaches_the_same_routes(live: LiveServer) -> None:
    short = httpx2.post(f"{live.url}/chat/completions", json=BODY, timeout=30)
    assert short.status_code == 200 and short.json()["object"] == "chat.completion"
    assert httpx2.get(f"{live.url}/models").json() == httpx2.get(f"{live.url}/v1/models").json()
    assert httpx2.get(f"{live.url}/chat/nothing").json()["error"]["code"] == "not_found"


def test_a_short_path_wants_the_key_and_json_as_the_long_one_does(start_server: StartServer) -> None:
    server = start_server(api_key="one")
    assert httpx2.post(f"{server.url}/chat/completions", json=BODY).status_code == 401
    headers = {"authorization": "Bearer one", "content-type": "text/plain"}
    assert httpx2.post(f"{server.url}/chat/completions", content=b"{}", headers=headers).status_code == 415


@pytest.mark.parametrize("name", ["a", "3f1e-22", "req_1.2:3", "x" * 128])
def test_a_request_keeps_the_name_that_it_came_with(live: LiveServer, name: str) -> None:
    answer = httpx2.get(f"{live.url}/health", headers={"x-request-id": name})
    assert answer.headers["x-request-id"] == name


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "-a", "a\tb", "<b>", "ä"])
def test_a_name_that_could_not_stand_in_a_log_is_replaced(live: LiveServer, name: str) -> None:
    given = httpx2.get(f"{live.url}/health", headers={b"x-request-id": name.encode()}).headers["x-request-id"]
    assert given.startswith("req_") and given != name


def test_two_requests_without_a_name_get_two(live: LiveServer) -> None:
    names = {httpx2.get(f"{live.url}/health").headers["x-request-id"] for _ in range(2)}
    assert len(names) == 2


def test_a_body_that_does_not_arrive_ends_with_408(live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "BODY_S", 0.5)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    with socket.create_connection(("127.0.0.1", live.port), timeout=10) as sock:
        sock.sendall(head.encode())
        started, answer = time.monotonic(), b""
        for _ in range(600):  # a byte now and then does not help
            time.sleep(0.1)
            try:
                sock.sendall(b" ")
            except OSError:
                break
        while part := sock.recv(65536):
            answer += part
    assert b" 408 " in answer.split(b"\r\n")[0] and b"request_timeout" in answer
    assert time.monotonic() - started < 30
    assert httpx2.post(f"{live.url}/v1/chat/completions", json=BODY, timeout=30).status_code == 200


def test_a_long_reply_is_not_cut_by_the_time_for_bodies(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "BODY_S", 2.0)
    server = start_server({"tokens_per_s": 10})
    for stream in (False, True):
        body = {"messages": QUESTION, "max_tokens": 30, "stream": stream}
        answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
        assert answer.status_code == 200 and '"finish_reason":' in answer.text


def test_thoughts_are_counted_by_what_ended_them(start_server: StartServer) -> None:
    server = start_server()

    def counts() -> dict[str, float]:
        lines = httpx2.get(f"{server.url}/metrics").text.splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    before = counts()
    assert before['r1chat_reasoning_end_total{cause="budget"}'] == 0, "a cause is there before its first time"
    usage = httpx2.post(f"{server.url}/v1/chat/completions", json={"messages": QUESTION}, timeout=30).json()["usage"]
    after = counts()
    assert after['r1chat_reasoning_end_total{cause="natural"}'] == 1
    assert after["r1chat_thought_tokens_count"] == 1
    assert after["r1chat_thought_tokens_sum"] == usage["completion_tokens_details"]["reasoning_tokens"]
