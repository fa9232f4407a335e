"""Nothing is lost by a reload, a second tab, a closed one or a server that goes away."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from r1chat.app.conversations.database import StoreError
from r1chat.app.conversations.records import Message

from .conftest import LABEL, PageServer, Visit, scripted

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route


def test_a_reload_in_mid_thought_shows_the_same_turn_and_goes_on(chat: Visit) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    chat.reload()
    chat.wait("thinking")
    chat.tab.keyboard.press("Control+.")
    chat.wait("done")
    reply = chat.json(f"/page/conversations/{chat.conversation}")["path"][-1]
    whole = chat.json(f"/page/messages/{reply['id']}")["reasoning"]
    assert chat.thought() == whole and whole.startswith("step 0 goes on\nword1 ")


def test_a_second_tab_sees_the_same_words(chat: Visit) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    other = Visit(chat.tab.context.new_page(), chat.tab.url)
    other.wait("thinking")
    chat.tab.keyboard.press("Control+.")
    chat.wait("done")
    other.wait("done")
    assert other.thought() == chat.thought()
    chat.ask("How many sheep? ENDLESS")
    chat.wait("thinking")
    other.tab.wait_for_selector(".question >> text=How many sheep?")
    chat.tab.keyboard.press("Escape")
    other.wait("stopped")
    other.tab.close()


@pytest.mark.slow
def test_a_closed_tab_comes_back_to_a_finished_answer(chat: Visit) -> None:
    tab = chat.tab.context.new_page()
    leaving = Visit(tab, chat.url)
    leaving.ask("SPEECH")
    tab.wait_for_url("**/?c=*")
    address = tab.url
    tab.close()
    chat.tab.wait_for_timeout(1500)
    back = Visit(chat.tab.context.new_page(), address)
    back.wait("done")
    assert back.text(".answer") == "done"
    back.tab.close()


def test_what_is_typed_and_not_asked_survives_a_reload(chat: Visit) -> None:
    chat.tab.fill("#question", "How many sh")
    chat.reload()
    assert chat.tab.input_value("#question") == "How many sh"
    chat.ask("How many sheep?")
    chat.wait("done")
    chat.reload()
    assert chat.tab.input_value("#question") == ""


def test_what_is_typed_stays_when_an_example_is_asked(chat: Visit) -> None:
    chat.tab.fill("#question", "And how many go")
    chat.tab.click(".example >> nth=0")
    chat.wait("done")
    assert chat.tab.input_value("#question") == "And how many go"
    chat.reload()
    assert chat.tab.input_value("#question") == "And how many go"
    chat.new_chat()
    assert chat.tab.input_value("#question") == ""


def test_what_is_typed_while_a_question_is_sent_stays(chat: Visit) -> None:
    held: list[Route] = []
    chat.tab.route("**/page/ask", lambda route: held.append(route))
    for n_turns in (1, 2):
        chat.tab.fill("#question", "How many sheep?")
        chat.tab.press("#question", "Enter")
        chat.until(lambda: held)
        chat.tab.fill("#question", "And how many go")
        held.pop().continue_()
        chat.tab.wait_for_selector(f".turn >> nth={n_turns - 1}")
        chat.wait("done")
        assert chat.tab.input_value("#question") == "And how many go"
        chat.reload()
        assert chat.tab.input_value("#question") == "And how many go"
    chat.tab.fill("#question", "How many cows?")
    chat.tab.press("#question", "Enter")
    chat.until(lambda: held)
    chat.tab.fill("#question", "And how many go")
    held.pop().abort()
    chat.tab.wait_for_selector("#composer .alarm:not(:empty)")
    assert chat.tab.input_value("#question") == "How many cows?\nAnd how many go"
    chat.tab.unroute("**/page/ask")
    chat.complaints.clear()


def test_a_question_on_its_way_says_so_and_outlives_a_reload(chat: Visit) -> None:
    held: list[Route] = []
    chat.tab.route("**/page/ask", lambda route: held.append(route))
    chat.tab.fill("#question", "How many sheep?")
    chat.tab.press("#question", "Enter")
    chat.until(lambda: held)
    expect(chat.tab.locator("#ask")).to_have_text("Sending…")
    chat.reload()
    expect(chat.tab.locator("#question")).to_have_value("How many sheep?")
    chat.tab.unroute("**/page/ask")


def test_a_question_that_nobody_answers_comes_back_to_be_asked_again(chat: Visit) -> None:
    chat.tab.evaluate(
        """() => {
            window.limits = [];
            AbortSignal.timeout = () => limits[limits.push(new AbortController()) - 1].signal;
        }"""
    )
    held: list[Route] = []
    chat.tab.route("**/page/ask", lambda route: held.append(route))
    chat.tab.fill("#question", "How many sheep?")
    chat.tab.press("#question", "Enter")
    chat.until(lambda: held)
    chat.tab.evaluate("limits.forEach((limit) => limit.abort())")
    chat.tab.wait_for_selector("#composer .alarm >> text=The server does not answer")
    assert chat.tab.input_value("#question") == "How many sheep?"
    chat.tab.unroute("**/page/ask")
    chat.tab.press("#question", "Enter")
    chat.wait("done")
    chat.reload()


def test_a_reply_that_cannot_be_saved_is_not_called_kept_and_is_over_after_a_reload(
    chat: Visit, server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(message: Message) -> Message:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(server.services.store, "finish", full)
    chat.ask("How many sheep?")
    chat.wait("failed")
    error = chat.tab.locator(".reply .error")
    expect(error).to_have_text("This reply could not be saved; copy it before you leave. The disk is full.")
    assert "9" in chat.text(".answer")
    chat.reload()
    chat.wait("failed")
    expect(error).to_contain_text("The end of this reply could not be saved.")


def test_a_browser_that_keeps_nothing_has_a_page_all_the_same(browser: Browser, server: PageServer) -> None:
    with browser.new_context(viewport={"width": 1280, "height": 860}) as context:
        denied = "() => { throw new DOMException('Access is denied.', 'SecurityError'); }"
        context.add_init_script(f"Object.defineProperty(window, 'localStorage', {{ get: {denied} }})")
        visit = Visit(context.new_page(), server.url)
        visit.tab.fill("#question", "And how many go")
        visit.tab.click(".example >> nth=0")
        visit.wait("done")
        visit.tab.click(".trace .fold")
        visit.ask("How many sheep?")
        visit.wait("done")
        assert visit.tab.get_attribute(".turn:last-child .trace", "data-fold") == "closed"
        visit.tab.fill("#question", "And how many go")
        visit.new_chat()
        assert visit.tab.input_value("#question") == ""
        visit.tab.go_back()
        expect(visit.tab.locator("#question")).to_have_value("And how many go")


@pytest.mark.slow
def test_when_the_server_goes_away_the_page_says_so_and_keeps_the_text(browser: Browser, tmp_path: Path) -> None:
    script = " ".join(f"thought {n}" for n in range(1000))  # one that repeats itself would be ended as a loop
    with browser.new_context() as context:
        with PageServer(scripted({"script": script, "tokens_per_s": 50}), LABEL, tmp_path) as server:
            visit = Visit(context.new_page(), server.url)
            visit.ask("How many sheep?")
            visit.wait("thinking")
            visit.tab.wait_for_timeout(400)
            server.cut()
        visit.tab.wait_for_selector(".banner >> text=The connection to the server is lost")
        assert "thought" in visit.thought()


@pytest.mark.slow
def test_forty_long_turns_are_light_and_a_thought_comes_when_it_is_opened(chat: Visit, server: PageServer) -> None:
    conversation = long_conversation(server)
    began = time.monotonic()
    chat.tab.goto(f"{chat.url}/?c={conversation}")
    chat.tab.wait_for_selector(".turn >> nth=39")
    took = time.monotonic() - began
    n_nodes = chat.tab.evaluate("document.querySelectorAll('*').length")
    assert n_nodes <= 5000
    first = chat.tab.locator(".turn >> nth=0")
    assert "line 1 " not in (first.text_content() or "")
    first.locator(".fold").click()
    first.locator(".text >> text=line 1 ").first.wait_for()
    print(f"{n_nodes} nodes, shown after {took:.1f} s")


def long_conversation(server: PageServer, n_turns: int = 40) -> str:
    """Turns with thoughts of 80 KB each, as if they had been asked here; its id."""
    store = server.services.store
    conversation = store.create("")
    thought = "".join(f"line {n} of a thought that was long\n" for n in range(2200))
    parent = None
    for turn in range(n_turns):
        question = Message(
            id=f"long-{turn}-asked",
            conversation=conversation.id,
            parent=parent,
            role="user",
            content=f"Question {turn}?",
            created=time.time(),
        )
        reply = Message(
            id=f"long-{turn}-said",
            conversation=conversation.id,
            parent=question.id,
            role="assistant",
            content=f"Answer **{turn}**.",
            reasoning=thought,
            reasoning_tokens=len(thought) // 4,
            created=time.time(),
        )
        store.add(question)
        parent = store.add(reply).id
    return conversation.id
