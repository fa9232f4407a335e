"""Conversations over HTTP: what is listed, changed, searched; and nonsense is told in one line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from r1chat.app.conversations.records import Conversation
from r1chat.app.conversations.store import ConversationStore

from .conftest import LABEL, PageServer, scripted
from .person import Person, Screen

PARTS: list[dict[str, Any]] = [{"thinking": "off"}, {"temperature": 0.25}]
NONSENSE = [
    ("POST", "/ask", {"text": 1}),
    ("POST", "/ask", {}),
    ("POST", "/ask", {"text": "x", "conversation": "none"}),
    ("POST", "/ask", {"text": "x", "parent": "none"}),
    ("POST", "/ask", {"text": "x", "temperature": 1}),
    ("POST", "/ask", {"text": "\ud800"}),
    ("POST", "/ask", {"text": "x", "settings": {"temperature": "warm"}}),
    ("POST", "/ask", {"text": "x", "settings": {"budget": -1}}),
    ("POST", "/ask", {"text": "x", "settings": {"system": "\ud800"}}),
    ("POST", "/conversations", {"settings": {"thinking": "hard"}}),
    ("PATCH", "/conversations/none", {"title": "x"}),
    ("POST", "/conversations/none/restore", {}),
    ("DELETE", "/conversations/none", None),
    ("GET", "/conversations?limit=-1", None),
    ("GET", "/conversations?before=nan", None),
    ("GET", "/search?q=x&where=everywhere", None),
    ("POST", "/messages/none/fork", {"at": -1}),
    ("POST", "/messages/none/fork", {"at": 1.5}),
    ("POST", "/messages/none/control", {"action": "explode"}),
    ("PUT", "/conversations", {}),
    ("DELETE", "/nothing", None),
]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    with PageServer(scripted({"tokens_per_s": 0}), LABEL, tmp_path_factory.mktemp("data")) as page:
        yield Person(page.url)


def test_a_conversation_is_listed_renamed_pinned_and_found(person: Person) -> None:
    first, _ = person.answered("How many sheep\nare left?")
    second, _ = person.answered("How many goats?")
    listed = person.get("/conversations")["conversations"]
    assert [one["id"] for one in listed[:2]] == [second, first]
    assert listed[1]["title"] == "How many sheep" and "owner" not in listed[1] and listed[1]["live"] is False
    changed = person.patch(f"/conversations/{first}", title="Sheep", pinned=True, collects=True)
    assert (changed["title"], changed["pinned"], changed["collects"]) == ("Sheep", True, True)
    assert person.get("/conversations")["conversations"][0]["id"] == first
    assert {hit["conversation"] for hit in person.get("/search?q=sheep")["hits"]} >= {first}
    assert person.get("/search?q=ran+away&where=thoughts")["hits"] and not person.get("/search?q=ran+away")["hits"]


def test_two_changes_at_once_both_hold(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    get = ConversationStore.get

    def slow(store: ConversationStore, *which: str) -> Conversation:
        found = get(store, *which)
        time.sleep(0.1)
        return found

    conversation, _ = person.answered("How many cows?")
    monkeypatch.setattr(ConversationStore, "get", slow)
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda part: person.patch(f"/conversations/{conversation}", settings=part), PARTS))
    settings = person.get(f"/conversations/{conversation}")["conversation"]["settings"]
    assert {**settings, **PARTS[0], **PARTS[1]} == settings


def test_a_key_that_is_set_or_changed_takes_nothing_away_and_gives_nothing_to_others(tmp_path: Path) -> None:
    with PageServer(scripted({"tokens_per_s": 0}), LABEL, tmp_path) as page:
        conversation, _ = Person(page.url).answered("How many sheep?")
    for keys in (("first", "guest"), ("changed", "guest")):
        with PageServer(scripted({"tokens_per_s": 0}), LABEL, tmp_path, api_keys=keys) as page:
            mine, guests = Person(page.url, keys[0]), Person(page.url, "guest")
            assert [one["id"] for one in mine.get("/conversations")["conversations"]] == [conversation]
            assert mine.answered("And goats?", conversation)[1]["state"] == "done"
            assert guests.get("/conversations")["conversations"] == []
            guests.get(f"/conversations/{conversation}", 404)


def test_changes_are_told_to_everyone_who_looks(person: Person) -> None:
    conversation, _ = person.answered("How many sheep?")
    with person.watching(conversation) as events:
        assert next(events)["type"] == "open"
        person.patch(f"/conversations/{conversation}", title="Sheep")
        told = next(events)
        assert (told["type"], told["conversation"]["title"]) == ("conversation", "Sheep")
        person.post("/ask", conversation=conversation, text="And goats?")
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1].get("message", {}).get("state") != "done" or len(seen) < 3:
            seen.append(next(events))
        asked = [event["message"] for event in seen if event["type"] == "message"]
        assert [message["role"] for message in asked[:2]] == ["user", "assistant"]
        assert asked[1]["parent"] == asked[0]["id"]


def test_settings_may_be_given_in_part(person: Person) -> None:
    conversation = person.post("/conversations", settings={"temperature": 0.3})["id"]
    changed = person.patch(f"/conversations/{conversation}", settings={"thinking": "budget", "budget": 64})
    assert (changed["settings"]["temperature"], changed["settings"]["budget"]) == (0.3, 64)
    assert person.patch(f"/conversations/{conversation}", settings={"temperature": None})["settings"]["budget"] == 64
    _, reply = person.answered("How many sheep?", conversation, settings={"seed": 3})
    assert (reply["settings"]["seed"], reply["settings"]["thinking"]) == (3, "budget")


def test_the_head_is_the_newest_leaf_below_what_is_named(person: Person) -> None:
    conversation, first = person.answered("How many sheep?")
    _, second = person.answered("And goats?", conversation)
    again = person.post(f"/messages/{first['id']}/regenerate")["reply"]
    person.ended(again["id"])
    shown = person.get(f"/conversations/{conversation}")
    assert [message["id"] for message in shown["path"]][1:] == [again["id"]]
    assert person.patch(f"/conversations/{conversation}", head=first["id"])["head"] == second["id"]
    other, _ = person.answered("Elsewhere?")
    person.patch(f"/conversations/{other}", status=404, head=first["id"])


def test_the_state_says_what_there_is_to_ask_with(person: Person) -> None:
    state = person.get("/state")
    assert (state["label"], state["status"], state["default_model"], state["n_live"]) == (LABEL, "ok", "demo", 0)
    assert state["models"][0]["id"] == "demo" and state["presets"][0]["why"] and state["version"]


def test_an_empty_conversation_opens(person: Person) -> None:
    conversation = person.post("/conversations")["id"]
    assert person.get(f"/conversations/{conversation}")["path"] == []
    with person.watching(conversation) as events:
        assert next(events)["path"] == []
        screen = Screen(person.ask("How many sheep?", conversation)[1])
        assert screen.watch(events)["state"] == "done"


@pytest.mark.parametrize(("method", "path", "body"), NONSENSE)
def test_nonsense_is_told_in_one_line(person: Person, method: str, path: str, body: object) -> None:
    sent: dict[str, Any] = (
        {} if body is None else {"content": json.dumps(body), "headers": {"content-type": "application/json"}}
    )
    answer = person.http.request(method, path, **sent)
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["error"]["message"] and answer.json()["error"]["code"]
