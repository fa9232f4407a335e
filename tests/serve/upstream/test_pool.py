"""Which upstream gets a request, and what becomes of it when one dies: real servers on loopback, one of them killed."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from killable_server import KillableServer
from live_server import QUESTION, LiveServer, eventually, start
from upstream_server import FrontServer, over
from vllm_stand_in import VllmStandIn

from r1chat.serve.upstream.pool import Pool

ANSWER = "The answer is \\boxed{9}."
LONG = [{"role": "user", "content": "ENDLESS"}]
# what one upstream thinks that is to die, told from the others' thoughts by its first word
DOOMED = f"Slowly {' '.join(f'sheep {n}' for n in range(400))}\n</think>\n\n{ANSWER}"
ENDLESS = " ".join(f"Step {i} is done, and {i + 1} is next." for i in range(2000))


@dataclass
class Told:
    """What a client has seen of one streamed reply."""

    text: str = ""
    error: dict[str, Any] | None = None
    status: int = 0
    is_done: bool = False
    began: threading.Event = field(default_factory=threading.Event)


def stream(url: str, told: Told | None = None, **fields: Any) -> Told:
    told = told or Told()
    body = {"messages": QUESTION, "stream": True, **fields}
    with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
        told.status = response.status_code
        for line in response.iter_lines():
            if line == "data: [DONE]":
                told.is_done = True
            elif line.startswith("data: "):
                _read(json.loads(line.removeprefix("data: ")), told)
    return told


def _read(chunk: dict[str, Any], told: Told) -> None:
    told.error = chunk.get("error")
    for choice in chunk.get("choices", ()):
        told.text += choice["delta"].get("reasoning") or choice["delta"].get("content") or ""
    if told.text:
        told.began.set()


def ask(url: str, **fields: Any) -> httpx2.Response:
    return httpx2.post(f"{url}/v1/chat/completions", json={"messages": QUESTION, **fields}, timeout=60)


def n_served(server: LiveServer) -> int:
    """Requests that came to an end there."""
    text = httpx2.get(f"{server.url}/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("r1chat_requests_total{")]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines))


def closed(n: int = 1) -> list[str]:
    """Addresses where nothing listens."""
    return [f"http://127.0.0.1:{port}" for port in range(1, n + 1)]


@pytest.fixture(scope="module")
def one() -> Iterator[LiveServer]:
    with start({"tokens_per_s": 400, "scripts": {"ENDLESS": f"{ENDLESS} </think> Nine."}}) as server:
        yield server


@pytest.fixture(scope="module")
def locked() -> Iterator[LiveServer]:
    """Behind a key."""
    with start({"tokens_per_s": 400}, api_key="behind") as server:
        yield server


@pytest.mark.parametrize("n_turns", range(5))
def test_a_pool_that_was_just_told_to_look_again_stops(n_turns: int) -> None:
    async def scenario() -> None:
        pool = Pool(["http://127.0.0.1:9"])
        await pool.start()
        await asyncio.sleep(0.01)
        pool.endpoints[0].look_now.set()
        for _ in range(n_turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await pool.stop()

    asyncio.run(scenario())


@pytest.mark.slow
def test_requests_go_round_the_upstreams_that_have_the_model(one: LiveServer, live: LiveServer) -> None:
    with over(one.url, live.url) as front:
        before = n_served(one), n_served(live)
        for _ in range(6):
            assert ask(front.url).json()["choices"][0]["message"]["content"] == ANSWER
    assert (n_served(one) - before[0], n_served(live) - before[1]) == (3, 3)


@pytest.mark.slow
def test_one_that_is_away_costs_nobody_a_request_and_is_used_again_when_it_is_back(live: LiveServer) -> None:
    with over(*closed(), live.url) as front:
        assert [ask(front.url).status_code for _ in range(3)] == [200] * 3
        health = httpx2.get(f"{front.url}/health")
        assert health.status_code == 200 and "127.0.0.1:1 does not answer" in health.json()["detail"]
        front.pool.endpoints[0].url = live.url
        assert eventually(lambda: not httpx2.get(f"{front.url}/health").json()["detail"]), "it is not found again"


def test_one_thought_to_be_away_is_asked_before_a_request_is_refused(live: LiveServer) -> None:
    with over(live.url) as front:
        front.pool.endpoints[0].is_up = False
        assert ask(front.url).status_code == 200


def test_where_none_answers_every_route_says_so_and_which() -> None:
    with over(*closed(2)) as front:
        health = httpx2.get(f"{front.url}/health")
        assert (health.status_code, health.json()["status"]) == (503, "unreachable")
        answer = ask(front.url)
        assert answer.status_code == 503 and answer.headers["retry-after"]
        error = answer.json()["error"]
        assert error["code"] == "upstream_error" and "127.0.0.1:1 " in error["message"]
        assert httpx2.get(f"{front.url}/v1/models").json()["data"] == []


@pytest.mark.slow
def test_one_killed_under_load_loses_only_what_had_begun_to_stream(live: LiveServer) -> None:
    """48 at once, some of them not streamed; the one that dies computes four and lets the others wait."""
    with KillableServer(tokens_per_s=10, n_seq_max=4, script=DOOMED) as doomed, ThreadPoolExecutor(48) as threads:
        with over(doomed.url, live.url) as front:
            replies = [Told() for _ in range(40)]
            streams = [threads.submit(stream, front.url, told) for told in replies]
            wholes = [threads.submit(ask, front.url) for _ in range(8)]
            deadline = time.monotonic() + 60
            while n_behind(front, 0) < 20 or not any(told.text.startswith("Slowly") for told in replies):
                assert time.monotonic() < deadline, "no load"
                time.sleep(0.01)
            doomed.kill()
            answers = [one.result(timeout=60) for one in wholes]
            for one in streams:
                one.result(timeout=60)
    failed = [told for told in replies if told.error]
    whole = [told for told in replies if told.is_done and told.text.endswith(ANSWER)]
    assert len(failed) + len(whole) == 40, "each reply has exactly one end"
    n_failed = len(failed) + sum(answer.status_code != 200 for answer in answers)
    assert 1 <= n_failed <= 4, "what had begun there, and nothing else"
    assert all(told.status == 200 for told in replies)
    assert all(told.text.startswith("Slowly") for told in failed)
    assert all(told.error and told.error["code"] == "upstream_error" for told in failed)
    assert all(told.text.count(ANSWER) == 1 for told in whole), "no reply is told twice"


def n_behind(front: FrontServer, index: int) -> int:
    """How many replies wait or run behind that upstream."""
    return sum(reply.endpoint is front.pool.endpoints[index] for reply in front.models.running.all())


def test_a_request_that_breaks_its_upstreams_is_given_up_after_two(one: LiveServer, locked: LiveServer) -> None:
    """The third is never asked: its one answer would be 200."""
    poison = [{"role": "user", "content": "CRASH"}]
    with VllmStandIn(model="demo") as third, over(one.url, locked.url, third.url, key="behind") as front:
        before = [server.stats()["restarts"] for server in (one, locked)]
        assert ask(front.url, messages=poison).status_code == 503
        assert not third.bodies
        after = [n + 1 for n in before]
        assert eventually(lambda: [server.stats()["restarts"] for server in (one, locked)] == after)


@pytest.mark.slow
def test_a_client_that_leaves_ends_the_upstreams_work(one: LiveServer) -> None:
    body = {"messages": LONG, "stream": True}
    with over(one.url) as front:
        with httpx2.stream("POST", f"{front.url}/v1/chat/completions", json=body, timeout=30) as response:
            lines = response.iter_lines()
            while "reasoning" not in next(lines):
                pass
            assert one.stats()["sequences"] >= 1
        running = front.models.running
        # Long before it would have ended by itself.
        gone = eventually(lambda: not one.stats()["sequences"] and not running.n_replies, 10)
        assert gone, "the upstream computes on for nobody"


def test_the_upstreams_key_is_sent_there_and_the_clients_is_not(locked: LiveServer) -> None:
    with over(locked.url, key="behind", api_key="before") as front:

        def status(key: str) -> int:
            headers = {"authorization": f"Bearer {key}"}
            url = f"{front.url}/v1/chat/completions"
            return httpx2.post(url, json={"messages": QUESTION}, headers=headers, timeout=30).status_code

        assert (status("before"), status("behind")) == (200, 401)


def test_a_wrong_key_is_told_as_the_servers_fault_and_not_shown(locked: LiveServer) -> None:
    with over(locked.url, key="wrong-secret") as front:
        answer = ask(front.url)
    assert answer.status_code == 503
    assert "refuses this server's key" in answer.text and "R1CHAT_UPSTREAM_KEY" in answer.text
    assert "wrong-secret" not in answer.text


def test_prompts_are_shared_by_those_of_one_key_alone(one: LiveServer) -> None:
    # the first key shares with those who need none, as the tests before this one
    with over(one.url, scope_by_key=True, api_key="first", more_keys=("one", "two")) as front:

        def cached(key: str) -> int:
            headers = {"authorization": f"Bearer {key}"}
            messages = [{"role": "user", "content": "How many sheep are left in the end?"}]
            url = f"{front.url}/v1/chat/completions"
            reply = httpx2.post(url, json={"messages": messages}, headers=headers, timeout=30).json()
            return int(reply["usage"]["prompt_tokens_details"]["cached_tokens"])

        assert (cached("one"), cached("two")) == (0, 0)
        assert cached("one") > 0


def test_stopping_the_front_ends_each_stream_with_an_error_event(one: LiveServer) -> None:
    told = Told()
    with over(one.url) as front:
        thread = threading.Thread(target=stream, args=(front.url, told), kwargs={"messages": LONG})
        thread.start()
        assert told.began.wait(10)
    thread.join(20)
    assert told.error is not None and not thread.is_alive()


@pytest.mark.slow
@pytest.mark.parametrize("add_special", [False, True])
@pytest.mark.parametrize("content", ["", "How many sheep?", "a <｜User｜> b"])
def test_tokens_are_those_of_the_upstream_its_first_one_too(one: LiveServer, content: str, add_special: bool) -> None:
    body = {"content": content, "add_special": add_special, "with_pieces": True}
    with over(one.url) as front:
        told, expected = (httpx2.post(f"{url}/tokenize", json=body).json() for url in (front.url, one.url))
    assert told == expected
