"""Going from chat to chat: the way back, a question that is still under way, and nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Route

    from .conftest import Visit


@pytest.fixture
def two(chat: Visit) -> list[str]:
    """Ids of two chats; the second is shown."""
    ids = []
    for question in ("How many sheep?", "How many goats?"):
        chat.new_chat()
        chat.ask(question)
        chat.wait("done")
        ids.append(chat.conversation)
    return ids


def go(chat: Visit, conversation: str) -> None:
    chat.tab.click(f"nav.list a[href='?c={conversation}']")
    chat.tab.wait_for_url(f"**/?c={conversation}")


def test_back_and_forward_go_through_the_chats(chat: Visit, two: list[str]) -> None:
    question = chat.tab.locator(".question")
    go(chat, two[0])
    expect(question).to_have_text("How many sheep?")
    chat.tab.go_back()
    expect(question).to_have_text("How many goats?")
    chat.tab.go_forward()
    expect(question).to_have_text("How many sheep?")
    assert chat.conversation == two[0]


def test_who_leaves_a_chat_while_a_question_is_sent_stays_where_they_went(chat: Visit, two: list[str]) -> None:
    held: list[Route] = []
    chat.tab.route("**/page/ask", lambda route: held.append(route))
    chat.tab.fill("#question", "And how many cows?")
    chat.tab.press("#question", "Enter")
    chat.until(lambda: held)
    go(chat, two[0])
    with chat.tab.expect_response("**/page/ask"):
        held[0].continue_()
    chat.tab.wait_for_timeout(300)
    chat.tab.unroute("**/page/ask")
    assert chat.conversation == two[0]
    expect(chat.tab.locator(".question")).to_have_text("How many sheep?")
    go(chat, two[1])
    expect(chat.tab.locator(".question")).to_have_text(["How many goats?", "And how many cows?"])


@pytest.mark.slow
def test_chats_that_were_left_leave_nothing_behind(chat: Visit, two: list[str]) -> None:
    session = chat.tab.context.new_cdp_session(chat.tab)
    session.send("Performance.enable")

    def held() -> dict[str, float]:
        session.send("HeapProfiler.collectGarbage")
        return {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}

    def walk(n: int) -> dict[str, float]:
        for turn in range(n):
            go(chat, two[turn % 2])
        chat.tab.wait_for_timeout(300)
        return held()

    def is_as_before() -> bool:
        more = {name: number - before[name] for name, number in held().items()}
        return more["JSEventListeners"] < 40 and more["Nodes"] < 200

    before = walk(6)
    walk(20)
    chat.until(is_as_before)  # an answer that is still under way holds what was left a little longer
