"""Routes of the models' shelf: numbers that are /v1's, downloads that only a person begins, and only their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import constants
from loopback_hub import LoopbackHub, loopback_hub
from served import served

from .conftest import LABEL, PageServer, scripted
from .person import Person

REPO = "user/tiny-GGUF"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    with loopback_hub() as hub, pytest.MonkeyPatch.context() as patch:
        hub.repos = {REPO: {"t-Q4_K_M.gguf": b"a" * 500_000, "t-Q8_0.gguf": b"b" * 900_000, "mmproj-t.gguf": b"c"}}
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))
        yield hub


@pytest.fixture(scope="module")
def page(hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """A server with two keys."""
    data = tmp_path_factory.mktemp("data")
    with PageServer(scripted({"tokens_per_s": 500}), LABEL, data, api_keys=("one", "two")) as running:
        yield running


@pytest.fixture
def one(page: PageServer) -> Person:
    return Person(page.url, "one")


@pytest.fixture
def two(page: PageServer) -> Person:
    return Person(page.url, "two")


def test_the_shelf_says_of_the_machine_what_v1_says(one: Person, page: PageServer) -> None:
    told = one.get("/shelf")
    memory = httpx2.get(f"{page.url}/v1/memory", headers={"Authorization": "Bearer one"}, trust_env=False).json()
    assert told["hardware"]["ram_total"] == memory["machine"]["ram_total"]
    assert told["hardware"]["cores"] >= 1 and told["hardware"]["disk"]["free"] > 0
    (demo,) = told["models"]
    assert (demo["id"], demo["state"], demo["is_default"], demo["removable"]) == ("demo", "loaded", True, False)


def test_each_model_of_the_catalogue_has_its_sizes_and_what_they_take(one: Person) -> None:
    catalogue = one.get("/shelf")["catalogue"]
    assert [entry["alias"] for entry in catalogue][:2] == ["r1:1.5b", "r1:7b"] and len(catalogue) == 7
    for entry in catalogue:
        assert [choice["quant"] for choice in entry["choices"]] == ["Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"]
        for choice in entry["choices"]:
            needs = choice["needs"]
            assert needs["verdict"] in ("fits", "short", "later", "never")
            assert needs["total"] > needs["weights"] + needs["kv"] > choice["size_bytes"]
            assert 0 < needs["tokens_per_s"][0] < needs["tokens_per_s"][1]


@pytest.mark.parametrize("name", [REPO, f"https://huggingface.co/{REPO}", f"hf.co/{REPO}:Q4_K_M", f"  {REPO}  "])
def test_a_name_or_address_is_looked_up_and_nothing_is_fetched(one: Person, hub: LoopbackHub, name: str) -> None:
    told = one.post("/shelf/lookup", model=name)
    assert [(choice["id"], choice["size_bytes"]) for choice in told["choices"]] == [
        (f"{REPO}:Q4_K_M", 500_000),
        (f"{REPO}:Q8_0", 900_000),
    ]
    assert told["suggested"] == f"{REPO}:Q4_K_M"
    assert hub.asks == []


def test_requests_to_v1_fetch_nothing(page: PageServer, hub: LoopbackHub) -> None:
    n_listed = len(hub.listings)
    with httpx2.Client(base_url=page.url, headers={"Authorization": "Bearer one"}, trust_env=False) as http:
        body = {"model": f"{REPO}:Q4_K_M", "messages": [{"role": "user", "content": "hi"}]}
        assert http.post("/v1/chat/completions", json=body).status_code == 404
        assert http.post("/v1/models/load", json={"model": f"{REPO}:Q4_K_M"}).status_code == 404
    assert (hub.asks, len(hub.listings)) == ([], n_listed)


def test_a_download_is_its_owners_alone(one: Person, two: Person, hub: LoopbackHub) -> None:
    hub.bytes_per_s = 20_000
    pull = one.post("/shelf/pulls", model=f"{REPO}:Q4_K_M")["pull"]
    assert pull["live"] and [mine["id"] for mine in one.get("/shelf/pulls")["pulls"]] == [pull["id"]]
    assert two.get("/shelf/pulls")["pulls"] == []
    two.post(f"/shelf/pulls/{pull['id']}/stop", 404)
    two.post(f"/shelf/pulls/{pull['id']}/go_on", 404)
    two.delete(f"/shelf/pulls/{pull['id']}", 404)
    one.delete(f"/shelf/pulls/{pull['id']}", 400)
    _until(one, pull["id"], lambda now: now["bytes_done"] > 0)
    assert one.post(f"/shelf/pulls/{pull['id']}/stop")["pull"]["state"] in ("stopping", "stopped")
    kept = _until(one, pull["id"], lambda now: not now["live"])
    assert (kept["state"], kept["error"]) == ("stopped", None)
    hub.bytes_per_s = None
    assert one.delete(f"/shelf/pulls/{pull['id']}")["freed"] == kept["bytes_done"]
    assert one.get("/shelf")["leftovers"] == []


def test_what_a_terminal_left_unfinished_is_shown_and_can_be_deleted(one: Person) -> None:
    part = Path(constants.HF_HUB_CACHE) / "models--else--where" / "blobs" / f"{'0' * 64}.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    assert one.get("/shelf")["leftovers"] == [{"repo": "else/where", "bytes": 1000}]
    one.post("/shelf/leftovers/remove", 404, model="some/other")
    assert one.post("/shelf/leftovers/remove", model="else/where") == {"freed": 1000}
    assert not part.exists()


@pytest.mark.parametrize(
    "body", [{}, {"model": ""}, {"model": 5}, {"model": None}, {"model": "a/b", "path": "x"}, {"model": "x" * 600}, []]
)
@pytest.mark.parametrize("path", ["pulls", "lookup", "load", "unload", "remove", "leftovers/remove"])
def test_a_body_that_names_no_model_is_refused_in_one_line(one: Person, path: str, body: Any) -> None:
    answer = one.http.post(f"/shelf/{path}", json=body)
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "demo", "http://evil.example/a/b", "a/b:c/d", "\0/x"])
def test_what_is_no_name_on_the_hub_is_neither_looked_up_nor_fetched(one: Person, hub: LoopbackHub, name: str) -> None:
    n_listed = len(hub.listings)
    one.post("/shelf/lookup", 400, model=name)
    one.post("/shelf/pulls", 400, model=name)
    assert len(hub.listings) == n_listed


def test_what_is_served_and_what_is_not_here_cannot_be_removed(one: Person) -> None:
    assert "stays" in one.post("/shelf/remove", 400, model="demo")["error"]["message"]
    one.post("/shelf/remove", 404, model="nobody/nothing:Q4_K_M")
    one.post("/shelf/load", 404, model="nobody/nothing:Q4_K_M")
    one.post("/shelf/unload", 404, model="nobody/nothing:Q4_K_M")


def test_strangers_and_other_sites_begin_no_download(page: PageServer, hub: LoopbackHub) -> None:
    body = {"model": f"{REPO}:Q4_K_M"}
    bad = httpx2.post(f"{page.url}/page/shelf/pulls", json=body, trust_env=False)
    headers = {"Authorization": "Bearer one", "Origin": "http://evil.example"}
    foreign = httpx2.post(f"{page.url}/page/shelf/pulls", json=body, headers=headers, trust_env=False)
    asked = httpx2.get(f"{page.url}/page/shelf/lookup?model={REPO}", headers={"Authorization": "Bearer one"})
    assert (bad.status_code, foreign.status_code) == (401, 403)
    assert asked.status_code in (404, 405)


@pytest.mark.slow
def test_before_another_server_the_shelf_says_where_models_are_and_offers_none(server: PageServer) -> None:
    with served("serve", "--upstream", f"{server.url}/v1", "--data", str(server.services.data / "front")) as front:
        person = Person(front.url())
        told = person.get("/shelf")
        assert told["upstream"] and server.url.removeprefix("http://") in told["where"]
        assert [model["id"] for model in told["models"]] == ["demo"]
        assert "another server" in person.post("/shelf/pulls", 400, model="r1:1.5b")["error"]["message"]
        assert person.get("/shelf/pulls") == {"pulls": []}
        person.post("/shelf/remove", 400, model="demo")
        person.post("/shelf/load", 400, model="demo")


def _until(person: Person, pull_id: str, is_so: Any) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        now: dict[str, Any] = next(pull for pull in person.get("/shelf/pulls")["pulls"] if pull["id"] == pull_id)
        if is_so(now):
            return now
        assert time.monotonic() < deadline, now
        time.sleep(0.02)
