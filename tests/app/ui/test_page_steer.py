"""Thinking under the person's hand: answer now, think more, off, a budget and its gauge."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Route

    from .conftest import Visit

# In the page: whoever asks from outside may come when the thought is over.
PRESS_WHEN_SHOWN = """(selector) => new MutationObserver((_, self) => {
    const shown = document.querySelector(selector);
    if (shown) { self.disconnect(); shown.click(); }
}).observe(document.querySelector('.turns'), { attributes: true, childList: true, subtree: true })"""


def think(chat: Visit, mode: str) -> None:
    chat.tab.click(f".thinking label:has(input[value={mode}])")


def set_budget(chat: Visit, n_tokens: int) -> None:
    chat.tab.fill(".budget input[type=number]", str(n_tokens))
    chat.tab.press(".budget input[type=number]", "Tab")


def test_enter_in_the_budget_means_the_budget_and_asks_nothing(chat: Visit) -> None:
    chat.tab.fill("#question", "How many sh")
    think(chat, "budget")
    chat.tab.fill(".budget input[type=number]", "500")
    chat.tab.press(".budget input[type=number]", "Enter")
    chat.tab.focus(".thinking input[value=auto]")
    chat.tab.keyboard.press("Enter")
    chat.tab.wait_for_timeout(200)
    assert chat.tab.locator(".turn").count() == 0 and chat.tab.input_value("#question") == "How many sh"
    assert chat.tab.input_value(".budget input[type=number]") == "500"


@pytest.mark.slow
def test_answer_now_ends_the_thought_and_keeps_it(chat: Visit) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    chat.tab.wait_for_timeout(300)
    chat.tab.click(".answer-now")
    chat.wait("done")
    assert chat.text(".answer") == "done"
    assert "word1 " in chat.thought() and "word3999" not in chat.thought()
    assert "You asked for the answer" in chat.text(".notes")
    assert not chat.tab.is_visible(".answer-now")


def test_answer_now_has_a_key(chat: Visit) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    chat.tab.keyboard.press("Control+.")
    chat.wait("done")
    assert "You asked for the answer" in chat.text(".notes")


@pytest.mark.slow
def test_think_more_lets_it_go_on_where_it_would_have_ended(chat: Visit) -> None:
    chat.tab.evaluate(PRESS_WHEN_SHOWN, ".steer:not([hidden]) .think-more")
    chat.ask("LASTING")
    chat.wait("done")
    assert re.search(r"word1499\W+Wait", chat.thought())


def test_a_budget_ends_the_thought_and_its_gauge_shows_how_near_that_is(chat: Visit) -> None:
    think(chat, "budget")
    set_budget(chat, 120)
    chat.ask("ENDLESS")
    chat.wait("done")
    # It is near for a moment, and hidden behind the end.
    gauge = chat.tab.locator(".gauge.near")
    assert gauge.get_attribute("aria-valuemax") == "120"
    assert not gauge.is_visible()
    assert "budget" in chat.text(".notes")
    assert "word3999" not in chat.thought()


def test_what_goes_on_with_another_budget_shows_that_one(chat: Visit) -> None:
    think(chat, "budget")
    set_budget(chat, 9000)
    chat.ask("ENDLESS")
    chat.wait("thinking")
    chat.tab.wait_for_selector(".gauge[aria-valuemax='9000']")
    chat.tab.keyboard.press("Escape")
    chat.wait("stopped")
    set_budget(chat, 8000)
    chat.until(
        lambda: chat.json(f"/page/conversations/{chat.conversation}")["conversation"]["settings"]["budget"] == 8000
    )
    chat.tab.click(".go-on")
    chat.tab.wait_for_selector(".gauge[aria-valuemax='8000']")


def test_of_two_budgets_the_later_one_holds_however_slow_the_first_is(chat: Visit) -> None:
    chat.ask("How many sheep?")
    chat.wait("done")
    think(chat, "budget")
    path = f"/page/conversations/{chat.conversation}"

    def budget() -> int:
        return int(chat.json(path)["conversation"]["settings"]["budget"])

    held: list[Route] = []
    chat.tab.route(f"**{path}", lambda route: route.continue_() if held else held.append(route))
    set_budget(chat, 111)
    chat.until(lambda: held)
    set_budget(chat, 222)
    chat.tab.wait_for_timeout(200)
    held[0].continue_()
    chat.until(lambda: budget() != 1024)
    chat.tab.wait_for_timeout(300)
    assert (budget(), chat.tab.input_value(".budget input[type=number]")) == (222, "222")
    chat.tab.unroute(f"**{path}")


@pytest.mark.slow
def test_a_budget_set_while_it_thinks_ends_that_thought(chat: Visit) -> None:
    # One that no thought reaches: to choose a budget sets the one that stands there.
    think(chat, "budget")
    set_budget(chat, 9000)
    think(chat, "auto")
    chat.ask("ENDLESS")
    chat.wait("thinking")
    assert not chat.tab.is_visible(".gauge")
    think(chat, "budget")
    chat.tab.wait_for_selector(".gauge[aria-valuemax='9000']")
    set_budget(chat, 100)
    chat.wait("done")
    assert "word3999" not in chat.thought()
    chat.reload()
    chat.wait("done")
    assert chat.tab.is_checked(".thinking input[value=budget]")
    assert chat.tab.input_value(".budget input[type=number]") == "100"


def test_without_thinking_there_is_an_answer_and_no_thought(chat: Visit) -> None:
    think(chat, "off")
    chat.ask("How many sheep?")
    chat.wait("done")
    assert chat.tab.locator(".answer menclose").text_content() == "9"
    assert not chat.tab.is_visible(".trace") and not chat.tab.is_visible(".copy-thought")
