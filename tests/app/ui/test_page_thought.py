"""The thought beside its answer: closed, peeked at or open, as the reader wants it, and never in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .conftest import HIDE

if TYPE_CHECKING:
    from .conftest import Visit

BOX = "document.querySelector('.turn:last-child .trace .text')"
BELOW = f"({BOX}.scrollHeight - {BOX}.scrollTop - {BOX}.clientHeight)"
FOLD = "document.querySelector('.turn:last-child .trace').dataset.fold"


@pytest.mark.slow
def test_a_peek_shows_the_last_lines_and_opens_to_all_of_them(chat: Visit) -> None:
    chat.ask("LONG")
    chat.wait("done")
    assert chat.tab.evaluate(FOLD) == "peek"
    text = chat.tab.locator(".trace .text")
    height, whole, top = text.evaluate("box => [box.clientHeight, box.scrollHeight, box.scrollTop]")
    assert height < whole and top + height > whole - 2
    chat.tab.click(".trace .size")
    chat.tab.wait_for_selector(".trace .finished .step")
    expect(chat.tab.locator(".turn:last-child .trace .read")).to_contain_text("word239")
    chat.tab.click(".trace .foot >> text=Show less")
    assert chat.tab.evaluate(FOLD) == "peek" and text.is_visible()


def test_thought_folds_and_unfolds_by_mouse_and_keyboard(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    trace, fold = chat.tab.locator(".trace .text"), chat.tab.locator(".trace .fold")
    assert trace.is_visible() and fold.get_attribute("aria-expanded") == "true"
    fold.click()
    assert not trace.is_visible() and fold.get_attribute("aria-expanded") == "false"
    fold.press("Enter")
    assert trace.is_visible()
    fold.press("Space")
    assert not trace.is_visible()


def test_how_thoughts_are_shown_is_remembered_for_the_next_and_after_a_reload(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    chat.tab.click(".trace .fold")
    chat.ask("How many goats?")
    chat.wait("done")
    assert not chat.tab.is_visible(".turn:nth-child(2) .trace .text")
    chat.reload()
    chat.wait("done")
    assert chat.tab.evaluate(FOLD) == "closed"
    chat.tab.click(".turn:last-child .trace .fold")
    chat.tab.wait_for_selector(".turn:last-child .trace .text >> text=Let me count the sheep.")


@pytest.mark.slow
def test_a_fold_at_the_end_of_a_long_thought_leads_back_to_its_beginning(chat: Visit) -> None:
    chat.tab.set_viewport_size({"width": 390, "height": 844})
    chat.ask("LONG")
    chat.wait("done")
    chat.tab.click(".trace .size")
    chat.tab.wait_for_selector(".trace .finished .step")
    chat.tab.evaluate("document.scrollingElement.scrollTop = document.scrollingElement.scrollHeight / 2")
    for control in (".trace .fold", ".trace .foot"):
        box = chat.tab.locator(control).bounding_box()
        assert box and 0 <= box["y"] < 844, f"{control} is out of reach"
    chat.tab.click(".trace .foot >> text=Fold")
    assert chat.tab.evaluate("document.activeElement.className") == "fold"
    box = chat.tab.locator(".trace .fold").bounding_box()
    assert box and 0 <= box["y"] < 844
    chat.tab.set_viewport_size({"width": 1280, "height": 860})


def test_a_peek_stays_where_the_reader_scrolled_and_follows_again_from_its_end(chat: Visit) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    chat.tab.wait_for_function(f"{BOX}.scrollTop > 200")
    chat.tab.locator(".trace .text").hover()

    def turn(delta: int, moves: str) -> bool:
        """Whether the wheel did: a turn may be lost where what lies under it moves."""
        chat.tab.mouse.wheel(0, delta)
        chat.tab.wait_for_timeout(500)
        return bool(chat.tab.evaluate(moves))

    chat.until(lambda: turn(-120, f"{BELOW} > 100"))
    # The wheel glides.
    before, top = None, chat.tab.evaluate(f"{BOX}.scrollTop")
    while top != before:
        chat.tab.wait_for_timeout(200)
        before, top = top, chat.tab.evaluate(f"{BOX}.scrollTop")
    height = chat.tab.evaluate(f"{BOX}.scrollHeight")
    chat.tab.wait_for_function(f"height => {BOX}.scrollHeight > height + 60", arg=height)
    assert chat.tab.evaluate(f"{BOX}.scrollTop") == top
    chat.until(lambda: turn(10_000, f"{BELOW} < 48"))
    chat.tab.wait_for_function(f"height => {BOX}.scrollHeight > height + 200 && {BELOW} < 48", arg=height)


def test_a_thought_with_emojis_is_whole_and_not_fetched_once_more(chat: Visit) -> None:
    fetched: list[str] = []
    chat.tab.on("request", lambda request: fetched.append(request.url) if request.method == "GET" else None)
    chat.ask("EMOJI")
    chat.wait("done")
    chat.tab.wait_for_timeout(300)
    assert chat.thought().count("😀") == 60
    assert [url for url in fetched if "/page/messages/" in url] == []


def test_a_thought_that_cannot_be_fetched_says_so_beside_what_there_is_of_it(chat: Visit) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    chat.tab.keyboard.press("Escape")
    chat.wait("stopped")
    kept = chat.thought()
    # It goes on and ends while nobody looks.
    chat.tab.evaluate(HIDE, True)
    reply = chat.json(f"/page/conversations/{chat.conversation}")["path"][-1]
    route = f"{chat.url}/page/messages/{reply['id']}"
    chat.tab.context.request.post(f"{route}/continue", data={})
    chat.until(lambda: chat.json(f"/page/messages/{reply['id']}")["reasoning_chars"] > len(kept) + 100)
    chat.tab.context.request.post(f"{route}/control", data={"action": "stop"})
    chat.tab.route(route, lambda route: route.abort())
    chat.tab.evaluate(HIDE, False)
    chat.tab.wait_for_selector(".trace .body > .alarm")
    assert chat.thought() == kept
    chat.tab.unroute(route)
    chat.tab.click(".trace .fold")
    chat.tab.click(".trace .fold")
    chat.tab.wait_for_selector(".trace .body > .alarm", state="hidden")
    whole = chat.json(f"/page/messages/{reply['id']}")["reasoning"]
    chat.until(lambda: chat.thought().strip() == whole.strip())
    chat.take_complaints()


def test_on_a_wide_window_the_answer_stands_left_of_its_thought(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    answer, thought = (chat.tab.locator(part).bounding_box() for part in (".answer", ".trace"))
    assert answer and thought
    assert answer["x"] + answer["width"] <= thought["x"] and abs(answer["y"] - thought["y"]) < 40


def test_an_open_thought_can_be_gone_on_with_from_a_sentence(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    reply = chat.json(f"/page/conversations/{chat.conversation}")["path"][-1]
    forked = chat.tab.evaluate(
        """id => fetch(`/page/messages/${id}/fork`, { method: 'POST', headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ at: 23, text: ' There are goats, too.' }) }).then((told) => told.status)""",
        reply["id"],
    )
    assert forked == 200
    chat.tab.wait_for_selector(".branches .at >> text=2 / 2")
    chat.wait("done")
    assert chat.thought().startswith("Let me count the sheep. There are goats, too.")
    assert "edited thought" in chat.text(".notes")
