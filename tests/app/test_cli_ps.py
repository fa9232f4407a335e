"""r1chat ps against a running server: what it lists, what it says where there is none."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from live_server import LiveServer
from roster import Roster, ask, post
from upstream_server import over

from r1chat.app.cli import main
from r1chat.serve.api.server import ServerConfig


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    roster = Roster({"a": {}, "user/b:Q4_K_M": {}, "bad": {"load_error": "The file is damaged."}, "c": {}})
    with roster.server(server=ServerConfig(api_key=None)) as server:
        post(server, "/v1/models/load", model="user/b:Q4_K_M", keep_alive=6000)
        yield server


def test_it_lists_what_is_loaded_and_until_when(server: LiveServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ps", "--url", server.url]) == 0
    out, err = capsys.readouterr()
    head, *rows = [line.split() for line in out.splitlines()]
    assert head == ["MODEL", "STATE", "ENGINE", "SIZE", "MEMORY", "CONTEXT", "REQUESTS", "IDLE", "UNTIL"]
    assert [row[0] for row in rows] == ["a", "user/b:Q4_K_M"]
    assert [row[1:3] for row in rows] == [["loaded", "llama.cpp"]] * 2
    assert rows[0][-1] == "forever" and rows[1][-1] == "min"
    assert "are free" in err


def test_json_is_for_programs(server: LiveServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ps", "--url", server.url + "/v1", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["id"], first["n_ctx"], first["requests"], first["expires_in_s"]) == ("a", 8192, 0, None)
    assert 5000 < second["expires_in_s"] <= 6000 and second["memory_bytes"] > 2**20


def test_a_model_that_failed_is_told_with_its_error(server: LiveServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(server, "bad").status_code == 503
    assert main(["ps", "--url", server.url]) == 0
    out, err = capsys.readouterr()
    assert ["bad", "failed"] in [line.split()[:2] for line in out.splitlines()]
    assert "bad failed: The file is damaged." in err


def test_it_says_how_to_start_a_server_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    assert main(["ps", "--url", url]) == 1
    assert capsys.readouterr().err == f"r1chat: No server answers at {url}. Start one: r1chat serve\n"
    for no_address in ("localhost", "http://localhost:8000x"):
        assert main(["ps", "--url", no_address]) == 2
        assert capsys.readouterr().err.endswith(
            "is no address of a server. Use: r1chat ps --url http://127.0.0.1:8000\n"
        )


def test_it_asks_for_the_key_and_sends_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Roster({"a": {}}).server(server=ServerConfig(api_key="sesame")) as server:
        assert main(["ps", "--url", server.url]) == 1
        assert "R1CHAT_API_KEY=... r1chat ps --url" in capsys.readouterr().err
        monkeypatch.setenv("R1CHAT_API_KEY", "sesame")
        assert main(["ps", "--url", server.url]) == 0


def test_of_a_way_to_other_servers_it_tells_what_is_known(
    server: LiveServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with over(server.url) as front:
        assert main(["ps", "--url", front.url]) == 0
    out, err = capsys.readouterr()
    assert "a" in [line.split()[0] for line in out.splitlines()] and err == ""


@pytest.mark.parametrize("body", [b"<html>It works!</html>", b"{}", b'{"data": [{"name": "x"}]}', b'{"data": ["x"]}'])
def test_another_kind_of_server_is_no_riddle(capsys: pytest.CaptureFixture[str], body: bytes) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Page) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_port}"
        assert main(["ps", "--url", url]) == 1
        other.shutdown()
    assert capsys.readouterr().err == f"r1chat: What answers at {url} is no r1chat server. Start one: r1chat serve\n"
