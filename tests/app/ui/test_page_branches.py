"""Other versions: of a reply, of an answer to the same thought, of the question. None is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from .conftest import Visit

AT = ".reply .branches .at"


@pytest.mark.slow
def test_regenerate_makes_a_second_version_and_arrows_lead_between_them(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    chat.tab.click(".again")
    chat.tab.wait_for_selector(f"{AT} >> text=2 / 2")
    chat.wait("done")
    chat.tab.click(".reply .branches button >> nth=0")
    chat.tab.wait_for_selector(f"{AT} >> text=1 / 2")
    assert chat.tab.is_disabled(".reply .branches button >> nth=0")
    chat.reload()
    chat.tab.wait_for_selector(f"{AT} >> text=1 / 2")


def ask_thrice(chat: Visit) -> None:
    """One question with three answers, the last of them shown."""
    chat.ask("How many sheep?")
    chat.wait("done")
    for seen in ("2 / 2", "3 / 3"):
        chat.tab.click(".again")
        chat.tab.wait_for_selector(f"{AT} >> text={seen}")
        chat.wait("done")


def test_an_arrow_that_is_pressed_twice_at_once_leads_two_versions_back(chat: Visit) -> None:
    ask_thrice(chat)
    chat.tab.locator(".reply .branches button >> nth=0").evaluate("(arrow) => { arrow.click(); arrow.click(); }")
    chat.tab.wait_for_selector(f"{AT} >> text=1 / 3")
    chat.tab.click(".reply .branches button >> nth=1")
    chat.tab.wait_for_selector(f"{AT} >> text=2 / 3")


def test_an_arrow_whose_version_could_not_be_had_leads_there_when_it_is_pressed_again(chat: Visit) -> None:
    ask_thrice(chat)
    path = f"**/page/conversations/{chat.conversation}"
    chat.tab.route(path, lambda route: route.abort())
    chat.tab.click(".reply .branches button >> nth=0")
    chat.tab.wait_for_selector("#composer .alarm:not(:empty)")
    chat.tab.unroute(path)
    chat.take_complaints()
    chat.tab.click(".reply .branches button >> nth=0")
    chat.tab.wait_for_selector(f"{AT} >> text=2 / 3")


def test_a_double_click_asks_for_one_more_version(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    chat.tab.dblclick(".again")
    chat.tab.wait_for_selector(f"{AT} >> text=2 /")
    chat.wait("done")
    chat.tab.wait_for_timeout(300)
    assert chat.text(AT) == "2 / 2"


def test_a_double_click_on_continue_goes_on_once_and_alarms_nobody(chat: Visit) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    chat.tab.keyboard.press("Escape")
    chat.wait("stopped")
    chat.tab.dblclick(".go-on")
    chat.wait("thinking")
    chat.tab.wait_for_timeout(300)
    assert chat.tab.inner_text("#composer .alarm") == ""


def test_a_new_answer_keeps_the_thought(chat: Visit) -> None:
    chat.ask("MARKUP")
    chat.wait("done")
    thought = chat.thought()
    chat.tab.click(".same-thought")
    chat.tab.wait_for_selector(f"{AT} >> text=2 / 2")
    chat.wait("done")
    assert chat.thought().strip() == thought.strip()
    assert chat.tab.locator(".answer menclose").text_content() == "36"


@pytest.mark.slow
def test_a_question_asked_otherwise_is_a_new_branch_and_the_old_one_stays(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    chat.ask("And goats?")
    chat.wait("done")
    first = chat.tab.locator(".turn >> nth=0")
    first.hover()
    first.locator(".edit").click()
    assert first.locator("textarea").input_value() == "How many sheep?"
    first.locator("textarea").fill("How many ewes?")
    first.locator("textarea").press("Enter")
    chat.tab.wait_for_selector(".question >> text=How many ewes?")
    chat.wait("done")
    assert chat.tab.locator(".turn").count() == 1
    assert chat.text(".tools .at") == "2 / 2"
    chat.tab.click(".tools .branches button >> nth=0")
    chat.tab.wait_for_selector(".question >> text=And goats?")
    assert chat.tab.locator(".turn").count() == 2


def test_an_edited_question_or_thought_that_is_not_taken_stays_to_be_sent_again(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    chat.tab.hover(".turn")
    chat.tab.click(".edit")
    chat.tab.fill(".editing textarea", "long and new")
    chat.tab.route("**/page/ask", lambda route: route.abort())
    chat.tab.press(".editing textarea", "Enter")
    chat.tab.wait_for_selector("#composer .alarm:not(:empty)")
    assert chat.tab.input_value(".editing textarea") == "long and new"
    chat.tab.keyboard.press("Escape")
    chat.tab.unroute("**/page/ask")
    chat.tab.click(".trace .size")
    chat.tab.click(".sentence >> nth=0")
    chat.tab.click(".do-edit")
    chat.tab.fill(".rewrite textarea", "I think again.")
    chat.tab.route("**/fork", lambda route: route.abort())
    chat.tab.press(".rewrite textarea", "Control+Enter")
    chat.tab.wait_for_selector(".rewrite .alarm:not(:empty)")
    assert chat.tab.input_value(".rewrite textarea") == "I think again."
    chat.tab.unroute("**/fork")
    chat.take_complaints()


COMPOSING = """(box) => box.dispatchEvent(new KeyboardEvent('keydown', {
    key: 'Escape', isComposing: true, bubbles: true, cancelable: true,
}))"""


def test_an_edited_question_or_thought_is_there_again_after_another_chat_and_a_reload(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    question, thought = chat.tab.locator(".editing textarea"), chat.tab.locator(".rewrite textarea")
    chat.tab.hover(".turn")
    chat.tab.click(".edit")
    question.fill("How many ewes?")
    chat.tab.click(".trace .size")
    chat.tab.click(".sentence >> nth=0")
    chat.tab.click(".do-edit")
    thought.fill("I think again.")
    for box in (question, thought):
        box.evaluate(COMPOSING)
        expect(box).to_be_visible()
    chat.new_chat()
    chat.tab.go_back()
    expect(question).to_have_value("How many ewes?")
    expect(thought).to_have_value("I think again.")
    chat.reload()
    expect(question).to_have_value("How many ewes?")
    expect(thought).to_have_value("I think again.")
    chat.tab.click(".editing >> text=Cancel")
    chat.tab.click(".rewrite >> text=Cancel")
    chat.reload()
    chat.tab.wait_for_selector(".sentence")
    assert chat.tab.locator("textarea:not(#question)").count() == 0
    assert chat.text(".question") == "How many sheep?"


def test_a_reply_that_ends_on_another_branch_leads_nobody_there(chat: Visit) -> None:
    chat.ask("How many sheep? ENDLESS")
    chat.wait("thinking")
    chat.tab.keyboard.press("Control+.")
    chat.wait("done")
    conversation = chat.json("/page/conversations")["conversations"][0]["id"]
    first = chat.json(f"/page/conversations/{conversation}")["path"][-1]
    chat.tab.click(".again")
    chat.wait("thinking")
    second = chat.json(f"/page/conversations/{conversation}")["path"][-1]
    request = chat.tab.context.request
    request.patch(f"{chat.url}/page/conversations/{conversation}", data={"head": first["id"]})
    chat.tab.wait_for_selector(f"{AT} >> text=1 / 2")
    stopped = request.post(f"{chat.url}/page/messages/{second['id']}/control", data={"action": "stop"})
    assert stopped.json()["success"]
    while chat.json(f"/page/messages/{second['id']}")["state"] == "live":
        chat.tab.wait_for_timeout(50)
    chat.tab.wait_for_timeout(500)
    assert chat.text(AT) == "1 / 2"


def test_escape_leaves_the_question_as_it_was(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    chat.tab.hover(".turn")
    chat.tab.click(".edit")
    chat.tab.fill(".editing textarea", "nothing")
    chat.tab.keyboard.press("Escape")
    assert chat.text(".question") == "How many sheep?"
    assert chat.tab.evaluate("document.activeElement.classList.contains('edit')")


@pytest.mark.slow
def test_the_focus_stays_at_the_arrows_and_else_goes_to_the_box(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    focused = "document.activeElement.title || document.activeElement.id"
    for control in (".again", ".do-resample"):
        if control == ".do-resample":
            chat.tab.click(".trace .size")
            chat.tab.focus(".finished .sentence >> nth=1")
            chat.tab.keyboard.press("Enter")
        chat.tab.focus(control)
        chat.tab.keyboard.press("Enter")
        chat.tab.wait_for_selector(f".branches .at >> text={'2 / 2' if control == '.again' else '3 / 3'}")
        chat.wait("done")
        assert chat.tab.evaluate(focused) == "question"
    for seen, arrow in (("2 / 3", "Earlier version"), ("1 / 3", "Later version")):
        chat.tab.focus(".actions .branches button >> nth=0")
        chat.tab.keyboard.press("Enter")
        chat.tab.wait_for_selector(f".branches .at >> text={seen}")
        assert chat.tab.evaluate(focused) == arrow
