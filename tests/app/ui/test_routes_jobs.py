"""Replies as jobs: they outlive tabs, wait their turn, stop at once, and leave a whole record whatever ends them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1chat.app.conversations.records import Message
from r1chat.app.conversations.store import ConversationStore
from r1chat.app.folders import CONVERSATIONS
from r1chat.serve.engine.process import EngineConfig

from .conftest import LABEL, PageServer
from .person import Person, Screen

# Lasts until it is stopped or steered, however late that comes.
LONG = " ".join(f"word{n}" for n in range(6000))
SCRIPTS = {"LONG": f"{LONG}\n</think>\n\nDone."}
ANN, BOB = "ann-s-key", "bob-s-key"
PREFILL_WORDS = "much " * 1200  # a minute


def engine(**args: Any) -> EngineConfig:
    runner_args = {"scripts": SCRIPTS, "tokens_per_s": 300, "n_seq_max": 1, **args}
    return EngineConfig(runner="scripted_runner:ScriptedRunner", runner_args=runner_args, n_seq_max=1)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """One reply at a time, and a twentieth of a second for each token of a prompt."""
    data = tmp_path_factory.mktemp("data")
    with PageServer(engine(prefill_s=0.05), LABEL, data, api_keys=(ANN, BOB)) as running:
        yield running


@pytest.fixture
def ann(page: PageServer) -> Person:
    return Person(page.url, ANN)


@pytest.fixture
def bob(page: PageServer) -> Person:
    return Person(page.url, BOB)


def test_stop_amid_a_long_prompt_is_heeded_at_once_and_the_next_question_too(ann: Person, page: PageServer) -> None:
    conversation, reply = ann.ask(PREFILL_WORDS)
    time.sleep(0.5)
    began = time.monotonic()
    assert ann.control(reply, "stop")
    assert ann.message(reply)["state"] == "stopped"
    _, after = ann.answered("How many sheep?", conversation)
    assert after["state"] == "done" and time.monotonic() - began < 30
    assert page.stats()["restarts"] == 0 and page.stats()["running"] == 0
    # nothing was there to go on from: the question is asked again, in the same message
    ann.post(f"/messages/{reply}/continue")
    assert ann.control(reply, "stop")


def test_who_has_to_wait_learns_behind_how_many(ann: Person, bob: Person) -> None:
    _, first = ann.ask("LONG story")
    ann.until(first, lambda message: message["reasoning"])
    waiting = [bob.ask("How many sheep?"), ann.ask("How many goats?")]
    for place, (person, (conversation, reply)) in enumerate(zip((bob, ann), waiting, strict=True), 1):
        with person.watching(conversation) as events:
            seen: list[dict[str, Any]] = []
            while not seen or seen[-1]["position"] != place:
                event = next(events)
                seen += [delta for delta in event.get("replies", []) if delta["id"] == reply]
                assert all(delta["state2"] == "waiting" for delta in seen)
    ann.control(first, "stop")
    assert bob.ended(waiting[0][1])["state"] == ann.ended(waiting[1][1])["state"] == "done"


def test_nobody_sees_or_steers_what_is_anothers(ann: Person, bob: Person) -> None:
    conversation, reply = ann.ask("LONG story")
    for path in (f"/conversations/{conversation}", f"/conversations/{conversation}/events", f"/messages/{reply}"):
        assert bob.get(path, status=404)["error"]["code"] == "not_found"
    for action in ("regenerate", "answer_again", "continue"):
        bob.post(f"/messages/{reply}/{action}", status=404)
    bob.post(f"/messages/{reply}/fork", status=404, at=0, text="x")
    bob.post(f"/messages/{reply}/control", status=404, action="stop")
    bob.post("/ask", status=404, conversation=conversation, text="x")
    bob.post("/ask", status=404, conversation=None, text="x", parent=reply)
    bob.patch(f"/conversations/{conversation}", status=404, title="mine")
    bob.delete(f"/conversations/{conversation}", status=404)
    assert ann.message(reply)["state"] == "live"
    assert conversation not in [one["id"] for one in bob.get("/conversations")["conversations"]]
    assert ann.get("/conversations")["conversations"][0] == {
        **ann.get(f"/conversations/{conversation}")["conversation"],
        "live": True,
    }
    ann.control(reply, "stop")


def test_deleting_a_conversation_ends_its_replies_and_can_be_undone(ann: Person) -> None:
    conversation, reply = ann.ask("LONG story")
    ann.until(reply, lambda message: message["reasoning"])
    with ann.watching(conversation) as events:
        ann.delete(f"/conversations/{conversation}")
        assert [event["type"] for event in events][-1] == "gone"
    ann.get(f"/conversations/{conversation}", status=404)
    assert ann.get("/state")["n_live"] == 0
    ann.post(f"/conversations/{conversation}/restore")
    assert ann.message(reply)["state"] == "stopped" and ann.message(reply)["reasoning"]


@pytest.mark.slow
def test_a_reply_goes_on_without_anybody_looking_and_interrupted_with_the_server(tmp_path: Path) -> None:
    with PageServer(engine(), LABEL, tmp_path) as page:
        person = Person(page.url)
        conversation, reply = person.ask("LONG story")
        screen = Screen(reply)
        with person.watching(conversation) as events:
            while not screen.reasoning:
                screen.show(next(events))
        seen = len(screen.reasoning)
        person.until(reply, lambda message: len(message["reasoning"]) > seen + 100)
    store = ConversationStore(tmp_path / CONVERSATIONS)
    left = store.message("", reply)
    assert left.state == "interrupted" and LONG.startswith(left.reasoning) and len(left.reasoning) > seen + 100
    store.close()
    with PageServer(engine(), LABEL, tmp_path) as page:
        person = Person(page.url)
        person.post(f"/messages/{reply}/continue")
        whole = person.until(reply, lambda message: len(message["reasoning"]) > len(left.reasoning) + 100)["reasoning"]
        assert whole.startswith(left.reasoning) and LONG.startswith(whole)
        person.control(reply, "stop")


@pytest.mark.slow
def test_who_asks_while_the_model_loads_waits_for_it(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with PageServer(engine(load_gate=str(gate)), LABEL, tmp_path / "data", loaded=False) as page:
        person = Person(page.url)
        _, reply = person.ask("How many sheep?")
        time.sleep(0.3)
        assert person.message(reply)["state"] == "live"
        gate.touch()
        ended = person.ended(reply)
        assert (ended["state"], ended["model"]) == ("done", "demo")


def test_a_model_that_cannot_be_loaded_is_told_of(tmp_path: Path) -> None:
    with PageServer(engine(load_error="The file is damaged."), LABEL, tmp_path, loaded=False) as page:
        _, reply = Person(page.url).answered("How many sheep?")
        assert reply["state"] == "failed" and "damaged" in reply["error"]


@pytest.mark.slow
def test_an_old_conversation_opens_light(tmp_path: Path) -> None:
    with PageServer(engine(tokens_per_s=0), LABEL, tmp_path) as page:
        person = Person(page.url)
        conversation, reply = person.answered("How many sheep?")
        fill(page, conversation, reply["id"])
        assert len(person.http.get(f"/conversations/{conversation}").content) < 400_000
        with person.watching(conversation) as events:
            opened = next(events)
        assert len(opened["path"]) == 82 and all("reasoning" not in message for message in opened["path"])
        assert opened["path"][-1]["reasoning_chars"] == 80_000
        assert len(person.message(opened["path"][-1]["id"])["reasoning"]) == 80_000


def fill(page: PageServer, conversation: str, parent: str) -> None:
    """Forty turns more, with 80 KB of thought each."""
    store = page.services.store
    answer = "So \\( \\frac{36}{240} \\) and **36** it is.\n\n```python\nprint(36)\n```\n\n" * 4
    for n in range(40):
        about: dict[str, Any] = {"conversation": conversation, "created": time.time()}
        question = store.add(Message(id=f"q{n}", parent=parent, role="user", content=f"Question {n}?", **about))
        thought = "I think. " * 8888 + "x" * 8
        reply = Message(id=f"r{n}", parent=question.id, role="assistant", content=answer, reasoning=thought, **about)
        parent = store.add(reply).id
