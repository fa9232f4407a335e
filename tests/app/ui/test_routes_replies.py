"""Replies over HTTP, before a scripted engine that writes down what it was given."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1chat.app.conversations.records import Message
from r1chat.serve.engine.process import EngineConfig

from .conftest import LABEL, PageServer
from .person import Person, Screen

COUNT = "".join(f"one{n} two{n}, then.\n" for n in range(45))
# Lasts until it is stopped or steered, however late that comes.
ENDLESS = "".join(f"one{n} two{n}, then.\n" for n in range(2300))
PLAIN = "First I look.\nThen I add: 7 and 5 make 12.\n</think>\n\nIt is \\boxed{12}."
LINES = "".join(
    f"{n} tabs:\tso{n}.\r\nA family 👨‍👩‍👧‍👦 of {n}, e\u0301 <div>no{n} markup</div> & `</b>`\n" for n in range(60)
)
EXACT = (
    f"{LINES}</think>\n\n"
    "Code:\r\n\r\n```python\nif x:\n\treturn '<div>'\r\n```\n\n👩🏽‍🚀 **done** <b>so</b>\n\n- a\n- b\n\nThe end\t."
)
SCRIPTS = {
    "ENDLESS": f"{ENDLESS}</think>\n\nDone.",
    "TALK": f"Short.\n</think>\n\n{COUNT}",
    "SPEAK": f"Short.\n</think>\n\n{ENDLESS}",
    "EXACT": EXACT,
    "BREAK": "I begin to think, and then CRASH never comes",
}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("record") / "prompts.jsonl"


@pytest.fixture(scope="module")
def page(record: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    runner_args = {"script": PLAIN, "scripts": SCRIPTS, "tokens_per_s": 400, "record": str(record)}
    config = EngineConfig(runner="prompt_recorder:PromptRecorder", runner_args=runner_args)
    with PageServer(config, LABEL, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def person(page: PageServer) -> Person:
    return Person(page.url)


def prompts(record: Path) -> list[str]:
    return [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]


def test_stop_of_a_reply_that_could_not_be_saved_at_its_end_is_told_to_who_looks(
    person: Person, page: PageServer
) -> None:
    conversation, reply = person.answered("Question")
    store = page.services.store
    left = Message(id="left", conversation=conversation, parent=reply["parent"], role="assistant", state="live")
    store.add(left)
    with person.watching(conversation) as events:
        next(events)
        assert person.control("left", "stop") is False
        told = next(event for event in events if event["type"] == "message")
    assert (told["message"]["id"], told["message"]["state"]) == ("left", "interrupted")


def test_a_reply_comes_as_the_engine_gave_it_to_everyone_who_looks(person: Person) -> None:
    conversation, reply = person.ask("EXACT please")
    thought, answer = EXACT.split("\n</think>\n\n")
    early, late = Screen(reply), Screen(reply)
    with person.watching(conversation) as events:
        while len(early.reasoning) < 20 and early.ended is None:
            early.show(next(events))
        with person.watching(conversation) as others:
            late.watch(others)
        early.watch(events)
    for screen in (early, late):
        assert screen.ended is not None and "reasoning" not in screen.ended
        assert screen.reasoning == thought
        assert screen.ended["content"] == answer
        assert screen.ended["reasoning_chars"] == len(thought)
    assert early.phases[-1] == "answering" and "thinking" in early.phases
    kept = person.message(reply)
    assert (kept["reasoning"], kept["content"], kept["state"]) == (thought, answer, "done")
    assert "&lt;b&gt;so" in kept["html"] and "<b>" not in kept["html"]


def test_what_grew_is_what_stands_at_the_end(person: Person) -> None:
    """Paragraphs are drawn once, as they are completed: together they make the whole."""
    conversation, reply = person.ask("EXACT please")
    screen = Screen(reply)
    with person.watching(conversation) as events:
        ended = screen.watch(events)
    assert ended["html"].startswith(screen.html)
    assert ended["content"].endswith(screen.tail)


def test_what_comes_is_told_at_most_ten_times_a_second(person: Person) -> None:
    conversation, reply = person.ask("ENDLESS for me")
    screen, began = Screen(reply), time.monotonic()
    with person.watching(conversation) as events:
        while len(screen.phases) < 8:
            screen.show(next(events))
        taken_s = time.monotonic() - began
    person.control(reply, "stop")
    assert len(screen.phases) <= 2 + 10 * taken_s


def test_stop_keeps_what_is_there_and_continue_goes_on_from_it(person: Person, record: Path) -> None:
    conversation, reply = person.ask("ENDLESS for me")
    person.until(reply, lambda message: len(message["reasoning"]) > 200)
    assert person.control(reply, "stop")
    stopped = person.message(reply)
    assert stopped["state"] == "stopped" and ENDLESS.startswith(stopped["reasoning"]) and stopped["content"] == ""
    assert person.control(reply, "stop") is False
    first = prompts(record)[-1]
    assert person.post(f"/messages/{reply}/continue")["reply"]["id"] == reply
    more = len(stopped["reasoning"]) + 200
    person.until(reply, lambda message: len(message["reasoning"]) > more)
    assert person.control(reply, "answer_now")
    ended = person.ended(reply)
    assert prompts(record)[-1] == first + stopped["reasoning"]
    assert len(ended["reasoning"]) > more and ENDLESS.startswith(ended["reasoning"])
    assert (ended["state"], ended["content"]) == ("done", "Done.")
    assert ended["reasoning_tokens"] > stopped["reasoning_tokens"] > 0
    assert ended["thinking_s"] > stopped["thinking_s"] > 0
    assert person.get(f"/conversations/{conversation}")["path"][-1]["siblings"] == [reply]


def test_an_answer_that_was_stopped_goes_on_too(person: Person, record: Path) -> None:
    _, reply = person.ask("SPEAK to me")
    person.until(reply, lambda message: message["answer_tokens"] > 20)
    assert person.control(reply, "stop")
    stopped = person.message(reply)
    assert ENDLESS.startswith(stopped["content"]) and stopped["content"]
    person.post(f"/messages/{reply}/continue")
    person.until(reply, lambda message: message["answer_tokens"] > stopped["answer_tokens"] + 20)
    assert person.control(reply, "stop")
    ended = person.message(reply)
    assert prompts(record)[-1].endswith(f"Short.\n</think>\n\n{stopped['content']}")
    assert ended["reasoning"] == "Short." and ended["content"].startswith(stopped["content"])
    assert len(ended["content"]) > len(stopped["content"])


def test_a_reply_that_ended_by_itself_does_not_go_on(person: Person) -> None:
    _, reply = person.answered("Seven and five?")
    error = person.post(f"/messages/{reply['id']}/continue", status=400)["error"]
    assert "came to its own end" in error["message"]


def test_a_fork_gives_the_engine_what_is_kept_and_what_was_written(person: Person, record: Path) -> None:
    conversation, reply = person.answered("Seven and five?")
    first, at = prompts(record)[-1], len("First I look.\nThen")
    fork = person.post(f"/messages/{reply['id']}/fork", at=at, text=" I think again:")["reply"]
    kept = "First I look.\nThen I think again:"
    assert (fork["origin"], fork["kept_chars"], fork["reasoning"]) == ("fork", len(kept), kept)
    ended = person.ended(fork["id"])
    assert prompts(record)[-1] == first + kept
    assert ended["reasoning"].startswith(kept) and ended["reasoning"].count(kept) == 1
    assert ended["state"] == "done" and ended["content"]
    shown = person.get(f"/conversations/{conversation}")
    assert shown["conversation"]["head"] == fork["id"]
    assert shown["path"][-1]["siblings"] == [reply["id"], fork["id"]]
    # the old branch is one step away
    person.patch(f"/conversations/{conversation}", head=reply["id"])
    assert person.get(f"/conversations/{conversation}")["path"][-1]["content"] == reply["content"]


def test_a_stopped_thought_is_forked_by_its_text(person: Person, record: Path) -> None:
    _, reply = person.ask("ENDLESS for me")
    person.until(reply, lambda message: len(message["reasoning"]) > 100)
    first, kept = prompts(record)[-1], ENDLESS[:50] + "\nEnough."
    fork = person.post(f"/messages/{reply}/fork", at=50, text="\nEnough.")["reply"]
    assert person.message(reply)["state"] == "stopped"
    person.until(fork["id"], lambda message: len(message["reasoning"]) > len(kept))
    assert person.control(fork["id"], "stop")
    assert person.message(fork["id"])["reasoning"].startswith(kept)
    assert prompts(record)[-1] == first + kept


def test_other_settings_since_then_are_heeded_by_a_fork(person: Person, record: Path) -> None:
    conversation, reply = person.answered("Seven and five?")
    person.patch(f"/conversations/{conversation}", settings={"system": "Speak low."})
    fork = person.post(f"/messages/{reply['id']}/fork", at=5, text="")["reply"]
    assert person.ended(fork["id"])["state"] == "done"
    assert "Speak low." in prompts(record)[-1] and prompts(record)[-1].endswith("First")


def test_answer_again_keeps_the_thought(person: Person, record: Path) -> None:
    _, reply = person.answered("Seven and five?")
    first = prompts(record)[-1]
    again = person.post(f"/messages/{reply['id']}/answer_again")["reply"]
    ended = person.ended(again["id"])
    assert prompts(record)[-1] == first + PLAIN.partition("It is")[0]
    for same in ("reasoning", "content", "reasoning_tokens", "reasoning_end"):
        assert ended[same] == reply[same], same
    _, unfinished = person.ask("ENDLESS for me")
    person.until(unfinished, lambda message: message["reasoning"])
    assert "no thought" in person.post(f"/messages/{unfinished}/answer_again", status=400)["error"]["message"]
    person.control(unfinished, "stop")


def test_regenerating_a_live_reply_stops_it_and_keeps_it_as_a_branch(person: Person) -> None:
    conversation, reply = person.ask("ENDLESS for me")
    person.until(reply, lambda message: message["reasoning"])
    again = person.post(f"/messages/{reply}/regenerate")["reply"]
    assert person.message(reply)["state"] == "stopped" and person.message(reply)["reasoning"]
    assert person.get(f"/conversations/{conversation}")["path"][-1]["id"] == again["id"]
    person.control(again["id"], "stop")


def test_a_second_question_waits_for_the_first_reply(person: Person) -> None:
    conversation, reply = person.ask("ENDLESS for me")
    error = person.post("/ask", status=400, conversation=conversation, text="And now?")["error"]
    assert "still being written" in error["message"]
    person.control(reply, "stop")


def test_roles_alternate_whatever_became_of_earlier_replies(person: Person, record: Path) -> None:
    conversation, reply = person.ask("ENDLESS for me")
    person.until(reply, lambda message: message["reasoning"])
    assert person.control(reply, "stop")
    person.answered("Seven and five?", conversation)
    person.answered("And now?", conversation)
    told = prompts(record)[-1]
    assert told.count("<｜User｜>") == 2 and told.count("<｜Assistant｜>") == 2
    assert "ENDLESS" not in told and "First I look" not in told and "\\boxed{12}" in told


def test_earlier_thoughts_go_along_where_that_is_wanted(person: Person, record: Path) -> None:
    conversation, _ = person.answered("Seven and five?", settings={"keep_thoughts": True})
    person.answered("And now?", conversation)
    assert "First I look" in prompts(record)[-1]


def test_editing_a_question_begins_a_branch(person: Person) -> None:
    conversation, _ = person.answered("Seven and five?")
    person.answered("Seven and six?", conversation, parent=None)
    shown = person.get(f"/conversations/{conversation}")
    assert [message["content"] for message in shown["path"][:1]] == ["Seven and six?"]
    assert len(shown["path"][0]["siblings"]) == 2 and shown["conversation"]["title"] == "Seven and five?"


def test_answer_now_ends_the_thought_whenever_it_is_said(person: Person) -> None:
    _, reply = person.ask("ENDLESS for me")
    assert person.control(reply, "answer_now")
    ended = person.ended(reply)
    assert ended["reasoning_end"] == "user" and ended["content"] == "Done."
    assert len(ended["reasoning"]) < len(ENDLESS) / 2
    assert person.control(reply, "answer_now") is False


def test_a_budget_given_while_it_thinks_ends_the_thought(person: Person) -> None:
    _, reply = person.ask("ENDLESS for me")
    person.until(reply, lambda message: message["reasoning"])
    assert person.control(reply, "budget", tokens=60)
    ended = person.ended(reply)
    assert 60 <= ended["reasoning_tokens"] < len(ENDLESS.split()) / 2 and ended["content"] == "Done."
    assert person.post(f"/messages/{reply}/control", status=400, action="budget")["error"]["message"]


def test_a_budget_given_while_it_thinks_can_be_lifted_again(person: Person) -> None:
    _, reply = person.ask("ENDLESS for me")
    person.until(reply, lambda message: message["reasoning"])
    assert person.control(reply, "budget", tokens=1200)
    assert person.control(reply, "budget", tokens=None)
    beyond = person.until(reply, lambda message: message["reasoning_tokens"] > 1300 or message["state"] != "live")
    assert beyond["reasoning_tokens"] > 1300
    person.control(reply, "stop")


def test_without_thinking_the_answer_comes_at_once(person: Person) -> None:
    _, ended = person.answered("TALK to me", settings={"thinking": "off", "max_tokens": 20})
    assert ended["reasoning_tokens"] == 0 and ended["finish_reason"] == "length"


def test_a_reply_cut_at_its_length_goes_on(person: Person, record: Path) -> None:
    conversation, cut = person.answered("TALK to me", settings={"max_tokens": 60})
    assert cut["finish_reason"] == "length" and COUNT.startswith(cut["content"])
    person.patch(f"/conversations/{conversation}", settings={"max_tokens": None})
    person.post(f"/messages/{cut['id']}/continue")
    whole = person.ended(cut["id"])
    assert prompts(record)[-1].endswith(f"Short.\n</think>\n\n{cut['content']}")
    assert whole["finish_reason"] == "stop" and whole["content"].startswith(cut["content"])
    assert whole["reasoning_end"] == cut["reasoning_end"] == "natural"


def test_a_failed_reply_keeps_its_text_and_says_why(person: Person) -> None:
    conversation, ended = person.answered("BREAK it")
    assert ended["state"] == "failed" and ended["reasoning"].startswith("I begin to think")
    assert ended["error"] and "\n" not in ended["error"]
    _, after = person.answered("Seven and five?", conversation)
    assert after["state"] == "done"


def test_what_cannot_be_asked_is_told_in_one_line(person: Person) -> None:
    conversation, reply = person.answered("x", settings={"model": "nobody/has:this"})
    assert reply["state"] == "failed" and "nobody/has:this" in reply["error"]
    person.patch(f"/conversations/{conversation}", settings={"model": ""})
    _, reply = person.answered("word " * 9000, conversation)
    assert reply["state"] == "failed" and "prompt is too long" in reply["error"]
    assert "empty" in person.post("/ask", status=400, conversation=conversation, text=" \n")["error"]["message"]
    for wrong in ({"temperature": 9}, {"unknown": 1}, {"top_k": "many"}):
        error = person.post("/ask", status=400, conversation=conversation, text="x", settings=wrong)["error"]
        assert error["code"] == "invalid_value", wrong
