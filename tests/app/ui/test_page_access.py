"""Everyone can use the page: contrast and names by axe, small screens, screen readers, keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe

from .conftest import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from .conftest import PageServer

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def serious(tab: Page) -> list[str]:
    """What axe finds serious or critical, as 'rule: where'."""
    violations = Axe().run(tab, options=RULES).response["violations"]
    return [
        f"{found['id']}: {node['html'][:200]}"
        for found in violations
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"]
    ]


@pytest.fixture(params=["light", "dark"])
def themed(browser: Browser, server: PageServer, request: pytest.FixtureRequest) -> Iterator[Visit]:
    # Text that is still fading in has no contrast to speak of.
    with browser.new_context(color_scheme=request.param, reduced_motion="reduce") as context:
        visit = Visit(context.new_page(), server.url)
        dark = visit.tab.evaluate("document.body.classList.contains('dark')")
        assert dark == (request.param == "dark")
        yield visit


def test_axe_finds_nothing_serious_before_during_and_after_a_turn(themed: Visit) -> None:
    assert serious(themed.tab) == []
    themed.ask("LONG")
    themed.wait("thinking")
    themed.tab.wait_for_timeout(300)
    assert serious(themed.tab) == []
    themed.tab.keyboard.press("Escape")
    themed.wait("stopped")
    themed.ask("MARKUP")
    themed.wait("done")
    themed.ask("sheep " * 5000)
    themed.wait("failed")
    assert serious(themed.tab) == []


@pytest.mark.parametrize("width", [390, 320])
def test_nothing_scrolls_sideways_on_a_phone(browser: Browser, server: PageServer, width: int) -> None:
    with browser.new_context(viewport={"width": width, "height": 844}) as context:
        visit = Visit(context.new_page(), server.url)
        assert visit.tab.evaluate("document.documentElement.scrollWidth") <= width
        visit.ask(f"WIDE {'q' * 300}")
        visit.wait("done")
        assert visit.tab.evaluate("document.documentElement.scrollWidth") <= width
        for control in ("#ask", "#new-chat", ".trace summary", ".copy"):
            box = visit.tab.locator(control).bounding_box()
            assert box and box["height"] >= 24 and box["x"] >= 0 and box["x"] + box["width"] <= width


def test_a_turn_is_announced_in_a_few_words_and_not_token_by_token(visit: Visit) -> None:
    visit.tab.evaluate(
        """() => {
            window.said = [];
            for (const node of document.querySelectorAll('[aria-live], [role=status], [role=log], [role=alert]')) {
                new MutationObserver(() => said.push(node.textContent)).observe(node,
                    { childList: true, subtree: true, characterData: true });
            }
        }"""
    )
    visit.ask("SPEECH")
    visit.wait("done")
    said = visit.tab.evaluate("window.said")
    assert said[:1] == ["Waiting"] and "Thinking" in said and said[-1].startswith("Done. Thought ")
    assert len(said) < 10


def test_the_box_has_the_focus_at_first_and_after_a_turn(visit: Visit) -> None:
    focused = "document.activeElement.closest('#question') !== null"
    visit.tab.wait_for_function(focused)
    visit.tab.fill("#question textarea", "How many sheep?")
    visit.tab.click("#ask")
    visit.wait("done")
    assert visit.tab.evaluate(focused)
    visit.tab.click("#new-chat")
    visit.tab.wait_for_selector(".welcome", state="visible")
    visit.tab.wait_for_function(focused)


def test_motion_stops_for_those_who_ask_for_less(browser: Browser, server: PageServer) -> None:
    with browser.new_context(reduced_motion="reduce") as context:
        visit = Visit(context.new_page(), server.url)
        visit.ask("LONG")
        visit.wait("thinking")
        running = "document.querySelector('.turns').getAnimations({ subtree: true }).length"
        assert visit.tab.evaluate(running) == 0
