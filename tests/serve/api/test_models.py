"""Several models behind one server, over HTTP: loaded by name, listed, measured, unloaded; their memory comes back."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import httpx2
import pytest
from live_server import QUESTION, LiveServer, eventually
from roster import BYTES_EACH, Roster, ask, get, loaded, post, spec, states

from r1chat.serve.api.models import local
from r1chat.serve.api.server import ServerConfig
from r1chat.serve.models.catalog import BUNDLED
from r1chat.serve.models.fit.footprint import footprint
from r1chat.serve.models.fit.machine import Device, Machine
from r1chat.serve.models.gguf.info import read_info
from r1chat.serve.models.gguf.shapes import make_random_gguf

NAMES = ("demo", "user/tiny:Q8_0", "llama")
CHILD_BYTES = 30_000_000  # less than the smallest engine's child has, more than another's moves by itself


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demo and two tiny models of random weights, under names with slashes and colons."""
    folder = tmp_path_factory.mktemp("models")
    paths = [folder / f"{shape}.gguf" for shape in ("tiny-qwen2", "tiny-llama")]
    for path in paths:
        make_random_gguf(path.stem, path)
    return dict(zip(NAMES, (BUNDLED, *paths), strict=True))


@pytest.fixture(scope="module")
def real(files: dict[str, Path]) -> Iterator[LiveServer]:
    """Room for two of the three."""
    with Roster(files).server(memory_bytes=2 * BYTES_EACH) as server:
        yield server


@pytest.fixture(scope="module")
def scripted() -> Iterator[tuple[LiveServer, Roster]]:
    """Room for two of them; one cannot be loaded, one takes its time to answer."""
    slow = {"tokens_per_s": 20, "script": " ".join(f"thought {n}" for n in range(1000))}
    roster = Roster({"a": {}, "b": {}, "bad": {"load_error": "The file is damaged."}, "slow": slow, "slower": slow})
    roster.aliases["bee"] = "b"
    with roster.server(memory_bytes=2 * BYTES_EACH, patience_s=2.0) as server:
        yield server, roster


@pytest.mark.slow
def test_two_models_answer_at_once_and_a_third_evicts_the_least_recently_used(real: LiveServer) -> None:
    demo, tiny, llama = NAMES
    for name in (demo, tiny):
        assert ask(real, name, max_tokens=1).status_code == 200
    met = threading.Event()

    def keep_asking(name: str) -> list[Any]:
        answers = []
        while not met.is_set():
            answers.append(ask(real, name, max_tokens=40, temperature=1).json())
        return answers

    with ThreadPoolExecutor(2) as pool:
        asked = {name: pool.submit(keep_asking, name) for name in (demo, tiny)}
        try:
            deadline = time.monotonic() + 60
            while {one["id"] for one in get(real, "/v1/memory")["models"] if one["requests"]} != {demo, tiny}:
                assert time.monotonic() < deadline, "the two are never at work at one time"
        finally:
            met.set()
    for name, answers in asked.items():
        assert {answer["model"] for answer in answers.result()} == {name}
        assert all(answer["usage"]["completion_tokens"] > 0 for answer in answers.result())
    assert ask(real, demo, max_tokens=1).status_code == 200
    assert ask(real, llama, max_tokens=4).json()["model"] == llama
    assert loaded(real) == {demo, llama}
    assert states(real) == {demo: "loaded", tiny: "unloaded", llama: "loaded"}


@pytest.mark.slow
def test_memory_comes_back_after_an_unload_five_times_over(real: LiveServer) -> None:
    demo, tiny, _ = NAMES
    for name in NAMES[1:]:
        post(real, "/v1/models/unload", model=name)
    ask(real, demo, max_tokens=1)
    ask(real, tiny, max_tokens=1)
    post(real, "/v1/models/unload", model=tiny)
    before = settled()
    for _ in range(5):
        assert ask(real, tiny, max_tokens=16).status_code == 200
        during = Belongings()
        assert len(during.children) == len(before.children) + 1 and during.bytes > before.bytes + CHILD_BYTES
        assert post(real, "/v1/models/unload", model=tiny).json()["state"] == "unloaded"
        assert eventually(lambda: Belongings().are_no_more_than(before)), (Belongings().counts, before.counts)
        assert abs(Belongings().bytes - before.bytes) < CHILD_BYTES


class Belongings:
    """What this process, in which the server runs, and its children have. Memory is that of the children, in full for
    each: what they share with others would change with what those do, and what other tests left here is chance.
    """

    def __init__(self) -> None:
        gc.collect()  # what other tests left open is closed in its own time
        self.children = children_of(os.getpid())
        # the event loop's own are as many as ever had to work at one time, which is chance
        self.n_threads = sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate())
        self.n_files = len(os.listdir("/proc/self/fd"))
        told = [footprint(pid) for pid in self.children]
        self.bytes = sum(one.rss for one in told if one)

    @property
    def counts(self) -> tuple[set[int], int, int]:
        return self.children, self.n_threads, self.n_files

    def are_no_more_than(self, before: Belongings) -> bool:
        """Fewer threads and files are what other tests left here and what has ended since."""
        fewer = self.n_threads <= before.n_threads and self.n_files <= before.n_files
        return self.children == before.children and fewer


def children_of(pid: int) -> set[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    found: set[int] = set()
    for task in tasks:
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            found |= {int(child) for child in task.read_text().split()}
    return found


def settled() -> Belongings:
    """Threads and pipes of a child that has ended follow it within moments."""
    now = Belongings()
    while True:
        time.sleep(0.3)
        earlier, now = now, Belongings()
        if now.counts == earlier.counts:
            return now


def test_every_local_model_has_a_card_with_what_can_be_known_of_it(real: LiveServer, files: dict[str, Path]) -> None:
    post(real, "/v1/models/unload", model="llama")
    ask(real, "demo", max_tokens=1)
    cards = {card["id"]: card for card in get(real, "/v1/models")["data"]}
    assert list(cards) == list(NAMES), "the default one first"
    demo, llama = cards["demo"], cards["llama"]
    assert (demo["state"], llama["state"]) == ("loaded", "unloaded")
    assert demo["capabilities"] == {
        **{"engine": "llama.cpp", "reasoning": True, "tools": True, "json_schema": True},
        **{"logprobs": True, "fork": True, "deterministic": True},
    }
    assert llama["capabilities"]["engine"] == "llama.cpp" and llama["capabilities"]["deterministic"] is None
    info = read_info(files["llama"])
    assert llama["size_bytes"] == info.size_bytes and llama["context_length"] == info.context_length
    assert llama["kv_bytes_per_token"] == info.kv_bytes_per_token()
    assert demo["meta"]["n_ctx"] == 512 and llama["meta"] is None


@pytest.mark.parametrize("name", [*NAMES, "user%2Ftiny%3AQ8_0"])
def test_a_card_is_had_by_its_name_slashes_and_colons_too(real: LiveServer, name: str) -> None:
    card = get(real, f"/v1/models/{name}")
    assert card["id"] == name.replace("%2F", "/").replace("%3A", ":")
    assert card == next(one for one in get(real, "/v1/models")["data"] if one["id"] == card["id"])


def test_memory_is_told_by_model_and_for_the_machine(real: LiveServer) -> None:
    ask(real, "demo", max_tokens=1)
    report = get(real, "/v1/memory")
    demo = next(model for model in report["models"] if model["id"] == "demo")
    assert 0 < report["machine"]["ram_available"] < report["machine"]["ram_total"]
    assert report["budget"]["bytes"] == 2 * BYTES_EACH and report["budget"]["used"] >= demo["reserved"] == BYTES_EACH
    assert demo["measured"]["rss"] >= demo["measured"]["pss"] > BUNDLED.stat().st_size
    assert 0 < demo["kv_cells_used"] <= demo["kv_cells"] and demo["n_ctx"] == 512
    assert demo["requests"] == 0 and demo["idle_s"] < 30 and demo["expires_in_s"] is None
    assert report["server"]["rss"] > 0 and report["devices"] == []


def test_graphics_cards_are_told_with_what_is_free(real: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Device("CUDA0", "a card", total=80, free=60)
    monkeypatch.setattr(local, "look", lambda: Machine(1, 1, (card,)))
    monkeypatch.setattr(local, "CARDS_S", -1e9)
    (told,) = get(real, "/v1/memory")["devices"]
    assert told == {"name": "CUDA0", "description": "a card", "total": 80, "free": 60, "unified": False}


def test_the_model_that_is_idle_says_when_it_goes(real: LiveServer) -> None:
    assert post(real, "/v1/models/load", model="llama", keep_alive=50).json()["state"] == "loaded"
    told = {model["id"]: model["expires_in_s"] for model in get(real, "/v1/memory")["models"]}
    assert told["demo"] is None and 40 < told["llama"] <= 50
    assert post(real, "/v1/models/load", model="llama", keep_alive=-1).json()["state"] == "loaded"
    assert {model["expires_in_s"] for model in get(real, "/v1/memory")["models"]} == {None}


ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": QUESTION},
    "/v1/completions": {"prompt": "Two and two are"},
    "/v1/responses": {"input": "How many?"},
    "/v1/messages": {"messages": QUESTION, "max_tokens": 8},
    "/tokenize": {"content": "sheep"},
    "/apply-template": {"messages": QUESTION},
    "/v1/models/load": {},
}


@pytest.mark.parametrize("path", ROUTES)
def test_the_model_in_the_body_is_loaded_on_every_route(scripted: tuple[LiveServer, Roster], path: str) -> None:
    server, _ = scripted
    post(server, "/v1/models/unload", model="b")
    answer = post(server, path, model="bee", **ROUTES[path])
    assert answer.status_code == 200, answer.text
    assert answer.json().get("model", "b") == "b" and "b" in loaded(server)


@pytest.mark.parametrize("path", [*ROUTES, "/v1/models/unload"])
def test_a_name_that_nobody_has_is_not_found_on_every_route(scripted: tuple[LiveServer, Roster], path: str) -> None:
    answer = post(scripted[0], path, model="gpt-9", **ROUTES.get(path, {}))
    assert answer.status_code == 404 and "gpt-9" in answer.text and "'a'" in answer.text


def test_a_model_that_cannot_be_loaded_says_so_and_the_others_answer(scripted: tuple[LiveServer, Roster]) -> None:
    server, _ = scripted
    answer = ask(server, "bad")
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "model_not_loaded"
    assert answer.json()["error"]["message"] == "The file is damaged."
    assert ask(server).status_code == 200
    assert post(server, "/v1/models/load", model="bad").status_code == 503
    assert httpx2.get(f"{server.url}/health").status_code == 200


def test_what_finds_no_room_in_time_says_when_to_come_again(scripted: tuple[LiveServer, Roster]) -> None:
    server, _ = scripted
    with streaming(server, "slow"), streaming(server, "slower"):
        answer = ask(server, "b")
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "models_busy"
    assert int(answer.headers["retry-after"]) > 0 and "no room for b" in answer.text
    assert eventually(lambda: not any(model["requests"] for model in get(server, "/v1/memory")["models"]))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
def test_who_leaves_while_a_model_loads_holds_it_no_longer(path: str) -> None:
    roster = Roster({"a": {}, "slow": {"load_s": 60}})
    with roster.server(max_models=1, patience_s=1.0) as server:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{server.url}{path}", json={"model": "slow", **ROUTES[path]}, timeout=0.5)
        assert eventually(lambda: all(one.n_leases == 0 for one in server.manager.residents), within_s=5)
        assert ask(server, "a").status_code == 200


class streaming:
    """A request that is being answered."""

    def __init__(self, server: LiveServer, model: str) -> None:
        body = {"messages": QUESTION, "stream": True, "model": model}
        self._response = httpx2.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=30)

    def __enter__(self) -> None:
        self._lines = self._response.__enter__().iter_lines()
        assert json.loads(next(self._lines).removeprefix("data: "))

    def __exit__(self, *_: object) -> None:
        self._response.__exit__(None, None, None)


@pytest.mark.slow
def test_a_crashed_model_leaves_the_others_alone(scripted: tuple[LiveServer, Roster]) -> None:
    server, _ = scripted
    assert ask(server, "a").status_code == ask(server, "b").status_code == 200
    pids = {model["id"]: model["pid"] for model in get(server, "/v1/memory")["models"]}
    assert ask(server, "b", messages=[{"role": "user", "content": "CRASH"}]).status_code == 503
    assert ask(server, "a").status_code == 200
    assert eventually(lambda: states(server).get("b") == "loaded")
    assert {model["id"]: model["pid"] for model in get(server, "/v1/memory")["models"]}["a"] == pids["a"]


def test_a_reply_can_be_forked_after_its_model_has_left(scripted: tuple[LiveServer, Roster]) -> None:
    server, _ = scripted
    reply = ask(server, "b").json()
    assert post(server, "/v1/models/unload", model="b").json()["state"] == "unloaded"
    forked = post(server, "/v1/reasoning/fork", id=reply["id"], at="think_end")
    assert forked.status_code == 200 and forked.json()["model"] == "b"
    assert forked.json()["choices"][0]["message"]["content"] == reply["choices"][0]["message"]["content"]


def test_counts_do_not_fall_when_a_model_leaves(scripted: tuple[LiveServer, Roster]) -> None:
    server, _ = scripted

    def counts() -> dict[str, float]:
        lines = httpx2.get(f"{server.url}/metrics").text.splitlines()
        samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        return {name: float(value) for name, _, value in samples if name.endswith("_total")}

    ask(server, "b")
    before = counts()
    post(server, "/v1/models/unload", model="b")
    after = counts()
    assert all(after[name] >= value for name, value in before.items())
    assert before["llamacpp:tokens_predicted_total"] == after["llamacpp:tokens_predicted_total"] > 0
    assert after["r1chat_model_unloads_total"] == before["r1chat_model_unloads_total"] + 1
    ask(server, "b")
    assert counts()["llamacpp:tokens_predicted_total"] > after["llamacpp:tokens_predicted_total"]
    ask(server, "a")  # the default one, whose engine may have left meanwhile
    os.kill(server.pid, signal.SIGKILL)
    assert eventually(lambda: counts()["r1chat_restarts_total"] > after["r1chat_restarts_total"])
    assert counts()["llamacpp:tokens_predicted_total"] >= after["llamacpp:tokens_predicted_total"]
    assert eventually(lambda: httpx2.get(f"{server.url}/health").status_code == 200)


@pytest.mark.parametrize("keep_alive", [-2, "5m", True, 1e10, float("nan")])
def test_a_keep_alive_that_is_no_time_is_refused(scripted: tuple[LiveServer, Roster], keep_alive: Any) -> None:
    body = json.dumps({"model": "b", "keep_alive": keep_alive})
    headers = {"content-type": "application/json"}
    answer = httpx2.post(f"{scripted[0].url}/v1/models/load", content=body, headers=headers)
    assert answer.status_code == 400 and "keep_alive" in answer.text


def test_loading_and_memory_are_behind_the_key() -> None:
    with Roster({"a": {}}).server(server=ServerConfig(api_key="k")) as server:
        assert post(server, "/v1/models/load", model="a").status_code == 401
        assert post(server, "/v1/models/unload", model="a").status_code == 401
        assert httpx2.get(f"{server.url}/v1/memory").status_code == 401
        assert httpx2.get(f"{server.url}/v1/models/a").status_code == 401


def test_a_spec_without_a_size_sets_aside_its_file_and_a_bound(files: dict[str, Path]) -> None:
    one = replace(spec("x", files["demo"]), n_bytes=0)
    assert one.needs() > BUNDLED.stat().st_size + 2**30


@pytest.mark.slow
def test_many_clients_and_more_models_than_fit_come_to_no_deadlock() -> None:
    """Forty requests for three models, room for one or two; some clients leave, some models are told to."""
    roster = Roster({name: {"tokens_per_s": 200} for name in "abc"})
    rng = random.Random(7)
    before = children_of(os.getpid())

    def act(i: int) -> int:
        name = rng.choice("abc")
        if i % 10 == 9:
            return post(server, "/v1/models/unload", model=name).status_code
        if i % 10 == 5:
            with contextlib.suppress(httpx2.TimeoutException):
                body = {"messages": QUESTION, "model": name}
                httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=0.2)
            return 200
        return ask(server, name).status_code

    with roster.server(memory_bytes=2 * BYTES_EACH, patience_s=60, keep_alive_s=0.01) as server:
        with ThreadPoolExecutor(8) as pool:
            codes = list(pool.map(act, range(40)))
        assert set(codes) == {200}
        assert eventually(lambda: not get(server, "/v1/memory")["models"]), "all of them left in the end"
        assert [resident.n_leases for resident in server.manager.residents] == [0]
        assert server.manager.n_bytes == 0 and children_of(os.getpid()) - before <= {tracker()}


def tracker() -> int | None:
    """The one child that multiprocessing keeps."""
    pid: int | None = getattr(resource_tracker._resource_tracker, "_pid", None)
    return pid
