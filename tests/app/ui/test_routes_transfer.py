"""Files of conversations over HTTP: what goes out comes in again, all of a file or nothing, and each to its owner."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from .conftest import PageServer, scripted

JSON = {"content-type": "application/json"}
ROWS = [{"role": "user", "content": 'Name "A"/\\ ünïcode?'}, {"role": "assistant", "content": "A", "reasoning": "hm"}]
LINE = json.dumps({"messages": ROWS})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that needs no model: nothing is asked here."""
    with PageServer(scripted({}), "page", tmp_path_factory.mktemp("data"), api_keys=("k1", "k2")) as running:
        yield running.url


@pytest.fixture
def page(base: str) -> Iterator[httpx2.Client]:
    """The page's routes for the holder of the first key, with no conversation."""
    with httpx2.Client(base_url=f"{base}/page", headers={"authorization": "Bearer k1"}, timeout=60) as client:
        for conversation in listed(client):
            client.delete(f"/conversations/{conversation['id']}")
        yield client


def listed(page: httpx2.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.get("/conversations").json()["conversations"]
    return found


def imported(page: httpx2.Client, text: str) -> httpx2.Response:
    return page.post("/import", content=text.encode(), headers=JSON)


def test_a_conversation_leaves_as_a_file_with_a_plain_name(page: httpx2.Client) -> None:
    imported(page, LINE)
    (conversation,) = listed(page)
    answer = page.get(f"/conversations/{conversation['id']}/export", params={"format": "messages"})
    assert answer.headers["content-disposition"] == 'attachment; filename="Name-A-unicode.messages.jsonl"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert json.loads(answer.text)["messages"][1] == {
        "role": "assistant",
        "content": "A",
        "reasoning_content": "hm",
    }
    without = page.get(f"/conversations/{conversation['id']}/export", params={"format": "md", "thoughts": "0"})
    assert without.headers["content-type"].startswith("text/markdown") and "hm" not in without.text


def test_all_conversations_come_back_from_their_file(page: httpx2.Client) -> None:
    imported(page, "\n".join([LINE] * 3))
    text = page.get("/export", params={"format": "json"}).text
    assert imported(page, text).json()["imported"] == 3
    found = listed(page)
    assert len(found) == 6 and len({conversation["id"] for conversation in found}) == 6
    opened = page.get(f"/conversations/{found[0]['id']}").json()
    assert [message["content"] for message in opened["path"]] == [ROWS[0]["content"], "A"]


def test_nothing_of_a_file_stays_whose_last_line_is_wrong(page: httpx2.Client) -> None:
    answer = imported(page, f'{LINE}\n{LINE}\n{{"messages": 3}}')
    assert answer.status_code == 400 and answer.json()["error"]["message"].startswith("Line 3: ")
    assert listed(page) == []


def test_a_large_file_is_taken_on_this_path_alone(page: httpx2.Client) -> None:
    row = json.dumps(
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "y" * 3_000_000}]}
    )
    assert imported(page, row).json()["imported"] == 1
    # The head alone: the server refuses by it, and who still sends then may find the connection closed.
    elsewhere = http.client.HTTPConnection(page.base_url.host, page.base_url.port)
    elsewhere.putrequest("POST", "/page/conversations")
    for name, value in {**dict(page.headers), **JSON, "content-length": str(len(row))}.items():
        if name.lower() in ("authorization", "content-type", "content-length"):
            elsewhere.putheader(name, value)
    elsewhere.endheaders()
    assert elsewhere.getresponse().status == 413
    elsewhere.close()


def test_an_upload_that_stalls_holds_no_other_up(page: httpx2.Client) -> None:
    stalled = http.client.HTTPConnection(page.base_url.host, page.base_url.port)
    stalled.putrequest("POST", "/page/import")
    for name, value in {"authorization": "Bearer k2", **JSON, "content-length": "1000"}.items():
        stalled.putheader(name, value)
    stalled.endheaders(b"half of it")
    time.sleep(0.3)
    answer = page.post("/import", content=LINE.encode(), headers=JSON, timeout=10)
    assert answer.json()["imported"] == 1
    stalled.close()


def test_files_are_of_their_owner(page: httpx2.Client) -> None:
    imported(page, LINE)
    (conversation,) = listed(page)
    other = {"authorization": "Bearer k2"}
    assert page.get(f"/conversations/{conversation['id']}/export", headers=other).status_code == 404
    assert json.loads(page.get("/export", headers=other).text)["conversations"] == []
    assert page.get("/settings", headers={"authorization": "Bearer no"}).status_code == 401


def test_a_format_that_there_is_not_is_refused(page: httpx2.Client) -> None:
    assert page.get("/export", params={"format": "pdf"}).status_code == 400


def test_new_conversations_begin_with_what_was_chosen_for_them(page: httpx2.Client) -> None:
    chosen = {"temperature": 0.7, "keep_thoughts": True, "top_k": 40}
    assert page.put("/settings", json={"settings": chosen}).json()["settings"]["top_k"] == 40
    settings = page.post("/conversations", json={"settings": {"top_k": 20}}).json()["settings"]
    assert (settings["temperature"], settings["keep_thoughts"], settings["top_k"]) == (0.7, True, 20)
    other = page.get("/settings", headers={"authorization": "Bearer k2"}).json()["settings"]
    assert other["temperature"] is None
    page.put("/settings", json={"settings": {}})


@pytest.mark.parametrize("wrong", [{"temperature": 3}, {"top_k": -1}, {"color": "red"}, {"seed": 1.5}])
def test_a_default_out_of_bounds_is_refused_and_kept_by_nobody(page: httpx2.Client, wrong: dict[str, Any]) -> None:
    before = page.get("/settings").json()
    answer = page.put("/settings", json={"settings": wrong})
    assert answer.status_code == 400 and "\n" not in answer.json()["error"]["message"]
    assert page.get("/settings").json() == before
