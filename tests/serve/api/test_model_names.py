"""Names of models come from strangers: no name opens a file that is no model of ours, or fetches one."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from live_server import LiveServer
from roster import ask, post

from r1chat.serve.api.server import ServerConfig
from r1chat.serve.models.catalog import BUNDLED, local_models
from r1chat.serve.models.residents.manager import ModelManager, ModelSpec
from r1chat.serve.models.specs import LoadOptions, find_spec

# Models that exist, and are nowhere here.
ELSEWHERE = ["r1:70b", "bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF:Q8_0", "hf.co/no-such-user/no-such-repo:Q4_K_M"]


class Audit:
    """Files that this process opens and addresses that it calls while `on`."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[tuple[str, str]] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and event in ("open", "os.listdir", "os.scandir", "socket.getaddrinfo", "socket.connect"):
            self.seen.append((event, repr(args[:2])))


@pytest.fixture(scope="module")
def audit() -> Audit:
    return Audit()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a good model lies that is nobody's to name, beside the folder of the models that are."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "models").mkdir()
    shutil.copy(BUNDLED, folder / "hidden.gguf")
    shutil.copy(BUNDLED, folder / "models" / "student.gguf")
    (folder / "models" / "cut.gguf").write_bytes(BUNDLED.read_bytes()[:-1000])
    (folder / "models" / "noise.gguf").write_bytes(b"GGUF" + bytes(range(256)) * 100)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LiveServer]:
    """As `r1chat serve` has it: whatever lies on this machine can be asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R1CHAT_MODELS", str(folder / "models"))
        default = find_spec("demo", LoadOptions())
        assert isinstance(default, ModelSpec)
        manager = ModelManager(default, lambda name: find_spec(name, LoadOptions()))
        with LiveServer(manager, ServerConfig(), shelf=local_models) as server:
            yield server


def hostile(folder: Path) -> list[str]:
    hidden = folder / "hidden.gguf"
    return [
        *(str(hidden), str(hidden.with_suffix("")), f"file://{hidden}", f"{hidden}\0", f"./{hidden}", f"~{hidden}"),
        *(
            "../hidden",
            "../hidden.gguf",
            "..\\hidden",
            "student/../../hidden",
            "..%2Fhidden",
            "%2e%2e/hidden",
            "..",
            ".",
        ),
        *(
            "../../hidden:Q8_0",
            "user/..:Q8_0",
            "hf.co/../../hidden",
            "user/repo@../../hidden",
            "user/repo:../../hidden",
        ),
        *(
            "/etc/passwd",
            "/proc/self/environ",
            "/dev/zero",
            "student\n",
            "student\0",
            "con",
            "ｄｅｍｏ",
            "Student",
            "-x",
        ),
        *("a" * 512, "a/" * 256, "../" * 170 + "x", "\u202estudent", "", " ", "$(id)", "'; drop table models;--"),
    ]


@pytest.mark.slow
def test_a_hostile_name_is_not_found_and_nothing_of_that_name_is_opened(
    server: LiveServer, folder: Path, audit: Audit
) -> None:
    audit.on, audit.seen[:] = True, []
    answers = {}
    for name in hostile(folder):
        with httpx2.Client(base_url=server.url) as http:
            body = {"messages": [{"role": "user", "content": "Hi"}], "model": name, "max_tokens": 1}
            answers[name] = http.post("/v1/chat/completions", json=body).status_code
            load = http.post("/v1/models/load", json={"model": name}).status_code
            card = http.get(f"/v1/models/{quote(name, safe='')}").status_code
            assert load == (404 if name else 400), (name, load)
            # dots never leave the client, and a route's pattern ends before a last line break
            assert card == 404 or name in (".", "..", "student\n"), (name, card)
    audit.on = False
    assert set(answers.values()) == {404}, answers
    touched = [
        event for event in audit.seen if any(word in event[1] for word in ("hidden", "passwd", "environ", "/dev/"))
    ]
    assert touched == []


def test_a_name_that_is_too_long_is_refused_by_its_length(server: LiveServer) -> None:
    answer = ask(server, "a" * 100_000)
    assert answer.status_code in (400, 404) and len(answer.text) < 1000


def test_no_request_fetches_a_model(server: LiveServer, audit: Audit) -> None:
    audit.on, audit.seen[:] = True, []
    for name in ELSEWHERE:
        assert ask(server, name, max_tokens=1).status_code == 404
        assert post(server, "/v1/models/load", model=name).status_code == 404
        assert httpx2.get(f"{server.url}/v1/models/{name}").status_code == 404
    audit.on = False
    calls = [args for event, args in audit.seen if event.startswith("socket")]
    assert calls, "our own requests are heard, so others would be"
    assert [call for call in calls if str(server.port) not in call] == []


def test_what_lies_here_is_asked_by_its_name(server: LiveServer) -> None:
    assert ask(server, "student", max_tokens=2).json()["model"] == "student"
    card = httpx2.get(f"{server.url}/v1/models/student").json()
    assert (card["state"], card["quant"], card["source"]) == ("loaded", None, "file")


@pytest.mark.parametrize("name", ["cut", "noise"])
def test_a_damaged_file_says_so_at_once_and_its_card_does(server: LiveServer, name: str) -> None:
    before = httpx2.get(f"{server.url}/v1/models/{name}").json()
    assert (before["state"], before["context_length"], before["capabilities"]["reasoning"]) == ("unloaded", None, None)
    began = time.monotonic()
    answer = ask(server, name)
    assert time.monotonic() - began < 30
    message = answer.json()["error"]["message"]
    assert answer.status_code == 503 and name in message and "\n" not in message
    after = httpx2.get(f"{server.url}/v1/models/{name}").json()
    assert (after["state"], after["error"]) == ("failed", message)
    assert ask(server, "demo", max_tokens=1).status_code == 200
