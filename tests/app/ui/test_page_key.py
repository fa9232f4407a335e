"""A page behind a key, in a real browser: it asks once, in a form that everyone can use, and then works."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe

from .conftest import LABEL, PageServer, Visit, scripted

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

KEY = "open sésame & co"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    with PageServer(scripted({"tokens_per_s": 500}), LABEL, tmp_path_factory.mktemp("data"), api_keys=(KEY,)) as server:
        yield server


@pytest.fixture
def tab(browser: Browser, guarded: PageServer) -> Iterator[Page]:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(guarded.url)
        # keys that are pressed before the field has the focus are lost
        page.wait_for_selector("#key:focus")
        yield page


@pytest.mark.slow
def test_with_the_key_as_a_password_in_the_header_the_page_works(browser: Browser, guarded: PageServer) -> None:
    """As a proxy sends it, or a browser that was given it with the address."""
    given = "Basic " + base64.b64encode(f":{KEY}".encode()).decode()
    with browser.new_context(extra_http_headers={"authorization": given}) as context:
        visit = Visit(context.new_page(), guarded.url)
        visit.ask("How many sheep?")
        visit.wait("done")


def test_without_the_key_there_is_no_page(guarded: PageServer) -> None:
    answer = httpx2.get(guarded.url, trust_env=False)
    assert answer.status_code == 401
    assert "r1chat" not in answer.text.replace('realm="r1chat"', "")


def test_the_form_can_be_used_by_keyboard_and_screen_reader(tab: Page) -> None:
    assert tab.evaluate("document.activeElement.name") == "key"
    assert tab.get_by_label("This server asks for its key").count() == 1
    assert Axe().run(tab).response["violations"] == []


def test_a_wrong_key_is_told_and_asked_for_again(tab: Page) -> None:
    tab.keyboard.type("sesame")
    tab.keyboard.press("Enter")
    assert tab.get_by_role("alert").inner_text() == "That is not the key."
    assert tab.context.cookies() == []


@pytest.mark.slow
def test_the_key_opens_the_page_and_a_reload_does_not_ask_again(tab: Page, guarded: PageServer) -> None:
    tab.keyboard.type(KEY)
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#question")
    visit = Visit(tab, guarded.url)
    visit.ask("How many sheep are left?")
    visit.wait("done")
    (cookie,) = [cookie for cookie in tab.context.cookies() if cookie["name"].startswith("r1chat_")]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert cookie["name"] not in tab.evaluate("document.cookie")
