"""A person asks, watches the thought, reads the answer, stops, goes on, begins anew."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .conftest import LABEL, N_CTX, TOO_LONG

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Route

    from .conftest import PageServer, Visit

HEADER = ".trace .header"
LIVE = re.compile(r"Thinking \d+ s, [\d,]+ tokens?(, \d+ tok/s)?")
# In the page: whoever asks from outside may come when it is over.
NOTE_COPIED = """(node) => {
    window.copied = false;
    new MutationObserver((_, self) => {
        if (node.textContent === 'Copied') { self.disconnect(); window.copied = true; }
    }).observe(node, { childList: true });
}"""
ENDED = re.compile(r"Thought [\d.]+ s, [\d,]+ tokens, \d+ tok/s")


def tokens(chat: Visit) -> int:
    """The count in the thought's header."""
    found = re.search(r"([\d,]+) token", chat.text(HEADER))
    assert found
    return int(found[1].replace(",", ""))


def copied(chat: Visit, control: str, press: Callable[[], None] | None = None) -> str:
    """What a press of that control copies. That it did, it says for a moment only."""
    node = chat.tab.locator(control)
    node.evaluate(NOTE_COPIED)
    (press or node.click)()
    chat.tab.wait_for_function("window.copied")
    text: str = chat.tab.evaluate("navigator.clipboard.readText()")
    return text


def wait_for_growth(chat: Visit) -> None:
    """Of the thought that is written."""
    length = len(chat.tab.locator(".trace .text").text_content() or "")
    chat.tab.wait_for_function(
        "length => document.querySelector('.trace .text').textContent.length > length", arg=length
    )


def test_thought_grows_while_the_model_thinks_and_the_answer_follows(chat: Visit) -> None:
    chat.ask("How many sheep? ENDLESS")
    chat.wait("thinking")
    for _ in range(2):
        wait_for_growth(chat)
    assert LIVE.fullmatch(chat.text(HEADER))
    chat.tab.keyboard.press("Control+.")
    chat.wait("done")
    assert chat.text(".answer") == "done"
    assert ENDED.fullmatch(chat.text(HEADER))
    assert chat.thought().startswith("step 0 goes on\nword1 ")
    assert "think>" not in chat.text("")


@pytest.mark.slow
def test_stop_keeps_the_thought_so_far_and_continue_goes_on_from_it(chat: Visit, server: PageServer) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    chat.tab.wait_for_timeout(400)
    before = tokens(chat)
    chat.tab.click("#stop")
    chat.wait("stopped")
    chat.tab.wait_for_selector("#ask")
    assert chat.text(HEADER).startswith("Stopped after ")
    assert tokens(chat) >= before
    kept = chat.thought()
    assert "word1 " in kept and "word3999" not in kept
    # Long before it would have ended by itself.
    chat.until(lambda: server.stats()["running"] == 0, within_s=20)
    chat.tab.click(".go-on")
    chat.wait("thinking")
    wait_for_growth(chat)
    chat.tab.keyboard.press("Control+.")
    chat.wait("done")
    whole = chat.thought()
    assert whole.startswith(kept.rstrip()) and len(whole) > len(kept)
    numbers = [int(found) for found in re.findall(r"(?:word|step )(\d+)", whole)]
    assert numbers == list(range(len(numbers)))
    assert chat.text(".answer") == "done"


def test_stopping_is_said_at_once_by_button_header_and_key(chat: Visit) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    # What is asked for shows before the server has answered.
    held: list[Route] = []
    chat.tab.route("**/control", lambda route: held.append(route))
    chat.tab.keyboard.press("Escape")
    assert chat.tab.inner_text("#stop") == "Stopping…"
    assert chat.text(HEADER) == "Stopping…"
    chat.until(lambda: held)
    held[0].continue_()
    chat.wait("stopped")
    chat.tab.unroute("**/control")
    assert not chat.tab.is_visible("#stop")


def test_enter_while_a_reply_is_written_says_what_to_do_and_keeps_the_text(chat: Visit) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    chat.tab.fill("#question", "And how many goats?")
    chat.tab.press("#question", "Enter")
    chat.tab.wait_for_selector("#composer .alarm >> text=Wait for the reply")
    assert chat.tab.input_value("#question") == "And how many goats?"
    chat.tab.keyboard.press("Escape")
    chat.wait("stopped")
    chat.tab.wait_for_selector("#composer .alarm", state="hidden")


@pytest.mark.slow
def test_new_chat_in_the_middle_of_a_thought_lets_it_go_on_elsewhere(chat: Visit) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    address = chat.tab.url
    chat.new_chat()
    assert chat.tab.locator(".turn").count() == 0 and "?c=" not in chat.tab.url
    chat.ask("How many sheep?")
    chat.wait("done")
    assert chat.tab.locator(".turn").count() == 1
    chat.tab.goto(address)
    chat.wait("thinking")
    wait_for_growth(chat)
    chat.tab.keyboard.press("Control+.")
    chat.wait("done")
    assert chat.text(".answer") == "done"


def test_the_page_says_which_model_answers(chat: Visit) -> None:
    assert chat.tab.inner_text("#masthead p") == LABEL


def test_an_example_is_asked_by_a_click(chat: Visit) -> None:
    example = chat.tab.inner_text(".example >> nth=0")
    chat.tab.click(".example >> nth=0")
    chat.wait("done")
    assert chat.text(".question") == example
    assert not chat.tab.is_visible(".welcome")


def test_an_empty_question_is_not_asked(chat: Visit) -> None:
    chat.tab.fill("#question", "   ")
    chat.tab.press("#question", "Enter")
    chat.tab.wait_for_timeout(300)
    assert chat.tab.is_visible(".welcome")


def test_formulas_and_code_are_drawn(chat: Visit) -> None:
    chat.ask("MARKUP")
    chat.wait("done")
    answer = chat.tab.locator(".answer")
    assert answer.locator("math mfrac").count() == 1
    assert answer.locator("menclose").text_content() == "36"
    assert answer.locator("pre code").inner_text() == "if x < 2:\n\tprint(36)\n"
    assert answer.locator("strong").inner_text() == "36"


def test_answer_and_thought_are_copied_each_by_itself_and_exactly(chat: Visit) -> None:
    chat.ask("MARKUP")
    chat.wait("done")
    assert copied(chat, ".copy") == (
        "So \\( \\frac{36}{240} < 1 \\) and **36** it is:\n\n"
        "```python\nif x < 2:\n\tprint(36)\n```\n\n\\[ \\boxed{36} \\]"
    )
    thought = copied(chat, ".copy-thought")
    assert thought.strip() == "Let me write it down." and "think>" not in thought


def test_a_crash_of_the_engine_is_told_with_what_to_do_and_trying_again_works(chat: Visit) -> None:
    chat.ask("CUT")
    chat.wait("failed")
    assert "I begin to think" in chat.thought()
    assert "Try again" in chat.text(".error")
    assert chat.tab.is_visible(".again >> text=Try again")
    chat.ask("How many sheep?")
    chat.wait("done")


def test_too_long_a_question_is_told_with_both_numbers(chat: Visit) -> None:
    chat.ask(TOO_LONG)
    chat.wait("failed")
    assert str(N_CTX) in chat.text(".error")


def test_a_question_that_the_server_refuses_stays_in_the_box(chat: Visit) -> None:
    chat.tab.route("**/page/ask", lambda route: route.fulfill(status=503, json={"error": {"message": "Too busy."}}))
    chat.tab.fill("#question", "How many sheep?")
    chat.tab.press("#question", "Enter")
    chat.tab.wait_for_selector("#composer .alarm >> text=Too busy.")
    assert chat.tab.input_value("#question") == "How many sheep?"
    chat.tab.unroute("**/page/ask")
    chat.complaints.clear()


def test_two_tabs_do_not_share_a_conversation(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    other = chat.tab.context.new_page()
    other.goto(chat.url)
    other.wait_for_selector(".welcome")
    assert other.locator(".turn").count() == 0
    other.close()


@pytest.mark.parametrize(("answers", "title"), [(True, "How many sheep?"), (False, "")])
def test_the_conversation_is_named_by_its_first_line(chat: Visit, answers: bool, title: str) -> None:
    if answers:
        chat.ask("How many sheep?\nAnd how many goats?")
        chat.wait("done")
    chat.tab.wait_for_function("title => document.querySelector('.toolbar .title').textContent === title", arg=title)


def test_only_the_bundled_model_is_marked_as_a_demo(chat: Visit) -> None:
    def as_bundled(route: Route) -> None:
        told = route.fetch().json()
        told["models"][0]["source"] = "bundled"
        route.fulfill(json=told)

    assert chat.tab.is_hidden(".demo")
    chat.tab.route("**/page/state", as_bundled)
    chat.reload()
    chat.tab.wait_for_selector(".demo")
    chat.tab.unroute("**/page/state")
