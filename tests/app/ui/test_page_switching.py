"""Going from chat to chat and from room to room: the way back, what is still under way, and nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .conftest import HIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Route

    from .conftest import Visit

TOP = "document.scrollingElement.scrollTop"
BELOW = "(document.scrollingElement.scrollHeight - document.scrollingElement.scrollTop - innerHeight)"


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


def test_the_way_back_leads_past_a_chat_that_is_gone(chat: Visit, two: list[str]) -> None:
    chat.tab.evaluate(
        """() => {
            window.alarms = [];
            const banner = document.querySelector('.banner');
            new MutationObserver(() => alarms.push(banner.textContent)).observe(banner, { childList: true });
        }"""
    )
    chat.new_chat()
    chat.tab.context.request.delete(f"{chat.url}/page/conversations/{two[1]}")
    chat.tab.go_back()
    chat.tab.wait_for_selector("#composer .alarm >> text=not here any more")
    assert chat.conversation == ""
    chat.tab.go_back()
    expect(chat.tab.locator(".question")).to_have_text("How many sheep?")
    assert chat.conversation == two[0]
    assert not any(chat.tab.evaluate("alarms")), "the server was there all the time"
    chat.take_complaints()


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


def test_a_question_on_its_way_holds_up_no_other_chat(chat: Visit, two: list[str]) -> None:
    held: list[Route] = []
    chat.tab.route("**/page/ask", lambda route: held.append(route), times=1)
    chat.tab.fill("#question", "And how many cows?")
    chat.tab.press("#question", "Enter")
    chat.until(lambda: held)
    go(chat, two[0])
    expect(chat.tab.locator("#ask")).to_have_text("Ask")
    chat.ask("And how many hens?")
    chat.wait("done")
    go(chat, two[1])
    expect(chat.tab.locator("#ask")).to_have_text("Sending…")
    held[0].continue_()
    expect(chat.tab.locator(".question")).to_have_text(["How many goats?", "And how many cows?"])
    chat.wait("done")


@pytest.fixture
def opening(chat: Visit, two: list[str]) -> Iterator[list[Route]]:
    """The first chat is on its way and has not come: what was asked of the server to open it."""
    held: list[Route] = []
    chat.tab.route(f"**/page/conversations/{two[0]}/events", lambda route: held.append(route), times=1)
    chat.tab.click(f"nav.list a[href='?c={two[0]}']")
    yield held
    chat.tab.unroute_all()


def test_a_chat_that_is_long_in_coming_is_not_taken_for_the_one_before_it(
    chat: Visit, two: list[str], opening: list[Route]
) -> None:
    expect(chat.tab.locator(".pane > .opening")).to_have_text("Opening…")
    expect(chat.tab.locator(".turn, .welcome:visible")).to_have_count(0)
    chat.tab.fill("#question", "And how many ewes?")
    chat.tab.press("#question", "Enter")
    expect(chat.tab.locator("#ask")).to_have_text("Sending…")
    chat.tab.click(".thinking label >> text=Off")
    chat.tab.wait_for_selector("#composer .alarm >> text=still being opened")
    chat.until(lambda: opening)
    opening[0].continue_()
    expect(chat.tab.locator(".question")).to_have_text(["How many sheep?", "And how many ewes?"])
    chat.wait("done")
    expect(chat.tab.locator(".pane > .opening")).to_be_hidden()
    thinking = [chat.json(f"/page/conversations/{each}")["conversation"]["settings"]["thinking"] for each in two]
    assert thinking == ["auto", "auto"]


def test_what_is_in_sight_cannot_be_acted_on_once_another_chat_was_chosen(chat: Visit, two: list[str]) -> None:
    chat.tab.evaluate(
        """(other) => {
            document.querySelector(`nav.list a[href='?c=${other}']`).click();
            document.querySelector('.turn:last-child .again').click();
        }""",
        two[0],
    )
    expect(chat.tab.locator(".question")).to_have_text("How many sheep?")
    assert len(chat.json(f"/page/conversations/{two[1]}")["path"][-1]["siblings"]) == 1


def test_a_question_to_a_chat_that_was_left_before_it_came_stays_in_its_box(
    chat: Visit, two: list[str], opening: list[Route]
) -> None:
    expect(chat.tab.locator(".pane > .opening")).to_have_text("Opening…")
    chat.tab.fill("#question", "And how many ewes?")
    chat.tab.press("#question", "Enter")
    go(chat, two[1])
    expect(chat.tab.locator(".question")).to_have_text("How many goats?")
    assert chat.tab.input_value("#question") == ""
    go(chat, two[0])
    expect(chat.tab.locator("#question")).to_have_value("And how many ewes?")


@pytest.fixture
def low(chat: Visit) -> Iterator[Visit]:
    """A window in which every room has to be scrolled."""
    chat.tab.set_viewport_size({"width": 1280, "height": 300})
    yield chat
    chat.tab.set_viewport_size({"width": 1280, "height": 860})


def show_room(chat: Visit, name: str) -> None:
    chat.tab.click(f"#room-{name}-button")
    chat.tab.wait_for_selector(f"#{name}", state="visible")


def wheel(chat: Visit, by: int) -> int:
    """Where the page stands when it has glided there. A turn of the wheel is lost where the page is drawn just then."""

    def has_moved() -> bool:
        chat.tab.mouse.wheel(0, by)
        chat.tab.wait_for_timeout(500)
        return int(chat.tab.evaluate(TOP)) != old

    chat.tab.mouse.move(640, 200)
    old = int(chat.tab.evaluate(TOP))
    chat.until(has_moved)
    before, top = None, int(chat.tab.evaluate(TOP))
    while top != before:
        chat.tab.wait_for_timeout(200)
        before, top = top, int(chat.tab.evaluate(TOP))
    return top


def test_a_reply_that_grows_scrolls_its_own_room_alone(low: Visit) -> None:
    low.ask("ENDLESS")
    low.wait("thinking")
    show_room(low, "shelf")
    low.tab.wait_for_selector("#shelf .row")
    assert wheel(low, 200) > 0 and wheel(low, -1000) == 0
    length = "document.querySelector('.trace .text').textContent.length"
    low.tab.wait_for_function(f"before => {length} > before + 200", arg=low.tab.evaluate(length))
    assert low.tab.evaluate(TOP) == 0
    show_room(low, "chat")
    low.tab.wait_for_function(f"{TOP} > 0 && {BELOW} < 2")
    low.tab.wait_for_function(f"before => {length} > before + 200 && {BELOW} < 2", arg=low.tab.evaluate(length))


def test_the_place_in_a_chat_outlives_a_look_into_another_room(low: Visit) -> None:
    low.ask("MARKUP")
    low.wait("done")
    low.ask("HOSTILE")
    low.wait("done")
    place = wheel(low, -300)
    assert place > 0
    for name in ("stars", "shelf"):
        show_room(low, name)
        low.tab.evaluate(f"{TOP} = 0")
        low.tab.wait_for_timeout(300)
        show_room(low, "chat")
        low.tab.wait_for_function(f"place => Math.abs({TOP} - place) < 2", arg=place)


def test_the_focus_stays_where_it_is_when_the_tab_comes_back(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    for control in (".copy", ".edit"):
        chat.tab.hover(".turn")
        chat.tab.focus(f".turn:last-child {control}")
        chat.tab.evaluate(HIDE, True)
        with chat.tab.expect_request("**/events"):
            chat.tab.evaluate(HIDE, False)
        chat.tab.wait_for_timeout(300)
        assert chat.tab.evaluate("(control) => document.activeElement.matches(control)", control)


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
