"""Word to a reply that runs, over real sockets: it answers at once, or thinks more, for its owner alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from live_server import QUESTION, LiveServer, StartServer

ENDLESS = " ".join(f"Step {i} is done, and {i + 1} is next." for i in range(2000))
Say = Callable[..., httpx2.Response]


class Stream:
    """A streamed reply on a thread of its own; `started` once the thought goes on."""

    def __init__(self, server: LiveServer, key: str | None = None, **fields: Any) -> None:
        self.server, self.headers = server, {"authorization": f"Bearer {key}"} if key else {}
        self.chunks: list[dict[str, Any]] = []
        self.id = ""
        self._body = {"messages": QUESTION, "stream": True, **fields}
        self._n = fields.get("n", 1)
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Stream:
        self._thread.start()
        assert self._started.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive(), "the stream goes on"

    def _read(self) -> None:
        thinking: set[int] = set()
        url = f"{self.server.url}/v1/chat/completions"
        with httpx2.stream("POST", url, json=self._body, headers=self.headers, timeout=30) as response:
            for line in response.iter_lines():
                if not line.startswith("data: {"):
                    continue
                self.chunks.append(json.loads(line.removeprefix("data: ")))
                self.id = self.chunks[-1]["id"]
                thinking |= {c["index"] for c in self.chunks[-1]["choices"] if c["delta"].get("reasoning")}
                if len(thinking) == self._n:
                    self._started.set()

    def control(self, key: str | None = None, **body: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {key}"} if key else self.headers
        return httpx2.post(f"{self.server.url}/v1/chat/completions/{self.id}/control", json=body, headers=headers)

    def text(self, name: str, index: int = 0) -> str:
        choices = [choice for chunk in self.chunks for choice in chunk["choices"] if choice["index"] == index]
        return "".join(choice["delta"].get(name) or "" for choice in choices)

    @property
    def ends(self) -> list[str]:
        choices = [choice for chunk in self.chunks for choice in chunk["choices"]]
        return [choice["reasoning_end"] for choice in choices if choice["finish_reason"]]


@pytest.fixture
def thinker(start_server: StartServer) -> LiveServer:
    return start_server({"script": f"{ENDLESS} </think> Nine.", "tokens_per_s": 100})


def test_answer_now_ends_the_thought_and_an_answer_follows(thinker: LiveServer) -> None:
    with Stream(thinker) as stream:
        answer = stream.control(action="answer_now")
    assert answer.json() == {"id": stream.id, "action": "answer_now", "success": True}
    assert stream.ends == ["user"] and stream.text("content").strip()
    assert stream.text("reasoning") and "</think>" not in stream.text("content") + stream.text("reasoning")


def test_llama_servers_form_does_the_same(thinker: LiveServer) -> None:
    url = f"{thinker.url}/v1/chat/completions/control"
    with Stream(thinker, reasoning_control=True) as stream:
        answer = httpx2.post(url, json={"id": stream.id, "action": "reasoning_end"})
    assert answer.status_code == 200 and answer.json()["success"] is True
    assert stream.ends == ["user"] and stream.text("content").strip()


def test_all_replies_to_one_question_are_told(thinker: LiveServer) -> None:
    with Stream(thinker, n=3) as stream:
        assert stream.control(action="answer_now").json()["success"] is True
    assert stream.ends == ["user"] * 3
    assert all(stream.text("content", index).strip() for index in range(3))


@pytest.mark.slow
def test_think_more_goes_on_where_the_thought_would_have_ended(start_server: StartServer) -> None:
    script = " ".join(f"w{i}" for i in range(1000)) + " </think> First answer. </think> Second answer."
    with Stream(start_server({"script": script, "tokens_per_s": 100})) as stream:
        assert stream.control(action="think_more").json()["success"] is True
    assert "Wait" in stream.text("reasoning") and "First" in stream.text("reasoning")
    assert "First" not in stream.text("content")


def test_a_thought_that_is_over_cannot_be_ended(start_server: StartServer) -> None:
    server = start_server({"script": "Two. </think> " + " ".join(f"and {i}" for i in range(300)), "tokens_per_s": 100})
    with Stream(server) as stream:
        deadline = time.monotonic() + 60
        while not stream.text("content").strip():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert stream.control(action="answer_now").json()["success"] is False
    assert stream.ends == ["natural"]


def test_only_its_owner_may_and_nobody_else_learns_that_it_is_there(start_server: StartServer) -> None:
    server = start_server(
        {"script": f"{ENDLESS} </think> Nine.", "tokens_per_s": 100}, api_key="mine", more_keys=("yours",)
    )
    with Stream(server, key="mine") as stream:
        foreign = stream.control(key="yours", action="answer_now")
        assert stream.control(key="mine", action="answer_now").json()["success"] is True
    headers = {"authorization": "Bearer yours"}
    url = f"{server.url}/v1/chat/completions/control"
    unknown = httpx2.post(url, json={"id": "chatcmpl-none", "action": "answer_now"}, headers=headers)
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json()["error"]["message"].replace(stream.id, "x") == unknown.json()["error"]["message"].replace(
        "chatcmpl-none", "x"
    )


@pytest.fixture
def control(live: LiveServer) -> Iterator[Say]:
    yield lambda **body: httpx2.post(f"{live.url}/v1/chat/completions/control", json=body)


def test_a_reply_that_has_ended_is_not_found(live: LiveServer, control: Say) -> None:
    body = httpx2.post(f"{live.url}/v1/chat/completions", json={"messages": QUESTION}, timeout=30).json()
    answer = control(id=body["id"], action="answer_now")
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("body", [{}, {"id": "x"}, {"id": "", "action": "answer_now"}, {"id": "x", "action": "dance"}])
def test_what_makes_no_sense_is_a_400(control: Say, body: dict[str, Any]) -> None:
    assert control(**body).status_code == 400
