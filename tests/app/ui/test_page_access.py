"""Everyone can use the page: contrast and names by axe, small screens, screen readers, keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from r1chat.app.conversations.records import Message

from .conftest import TOO_LONG, PageServer, Visit
from .test_page import wait_for_growth

if TYPE_CHECKING:
    from playwright.sync_api import Page

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


@pytest.fixture
def calm(chat: Visit) -> Iterator[Visit]:
    """Without motion: text that is still fading in has no contrast to speak of."""
    chat.tab.emulate_media(reduced_motion="reduce")
    yield chat
    chat.tab.emulate_media(reduced_motion="no-preference")


@pytest.fixture
def dark(calm: Visit) -> Iterator[Visit]:
    calm.tab.emulate_media(color_scheme="dark", reduced_motion="reduce")
    calm.reload()
    assert calm.tab.evaluate("document.body.classList.contains('dark')")
    yield calm
    calm.tab.emulate_media(color_scheme="light")
    calm.reload()


@pytest.fixture
def small(chat: Visit) -> Iterator[Visit]:
    yield chat
    chat.tab.set_viewport_size({"width": 1280, "height": 860})


@pytest.mark.slow
def test_axe_finds_nothing_serious_before_during_and_after_a_turn(calm: Visit) -> None:
    assert serious(calm.tab) == []
    calm.ask("ENDLESS")
    calm.wait("thinking")
    assert serious(calm.tab) == []
    calm.tab.keyboard.press("Escape")
    calm.wait("stopped")
    all_there_is(calm)
    assert serious(calm.tab) == []


@pytest.mark.slow
def test_axe_finds_nothing_serious_in_the_dark(dark: Visit) -> None:
    all_there_is(dark)
    assert serious(dark.tab) == []


def all_there_is(visit: Visit) -> None:
    visit.ask("MARKUP")
    visit.wait("done")
    visit.ask(TOO_LONG)
    visit.wait("failed")


def test_nothing_scrolls_sideways_on_a_phone(small: Visit) -> None:
    asked = False
    for width in (390, 320):
        small.tab.set_viewport_size({"width": width, "height": 844})
        if not asked:
            assert small.tab.evaluate("document.documentElement.scrollWidth") <= width
            small.ask(f"WIDE {'q' * 300}")
            small.wait("done")
            asked = True
        assert small.tab.evaluate("document.documentElement.scrollWidth") <= width
        for wide in (".answer p:has(math)", ".answer ul"):
            node = small.tab.locator(wide).last
            assert node.evaluate("node => node.scrollWidth > node.clientWidth && node.tabIndex === 0")
        for control in ("#ask", "#new-chat", ".trace .fold", ".copy", ".thinking label >> nth=0"):
            box = small.tab.locator(control).bounding_box()
            assert box and box["height"] >= 24 and box["x"] >= 0 and box["x"] + box["width"] <= width


def test_a_turn_is_announced_in_a_few_words_and_not_token_by_token(chat: Visit) -> None:
    chat.tab.evaluate(
        """() => {
            window.said = [];
            for (const node of document.querySelectorAll(
                '[aria-live]:not([aria-live=off]), [role=status], [role=log], [role=alert]')) {
                new MutationObserver(() => said.push(node.textContent)).observe(node,
                    { childList: true, subtree: true, characterData: true });
            }
        }"""
    )
    chat.ask("ENDLESS")
    chat.wait("thinking")
    chat.tab.wait_for_function("said.includes('Thinking')")
    wait_for_growth(chat)
    chat.tab.keyboard.press("Control+.")
    chat.tab.wait_for_function("said.at(-1).startsWith('Done')")
    said = chat.tab.evaluate("window.said")
    assert said[:1] == ["Waiting"] and said[-1].startswith("Done")
    assert len(said) < 10
    assert chat.tab.get_attribute(".turns", "aria-live") == "off"


FOCUSED = "document.activeElement.id === 'question'"


def test_the_box_has_the_focus_at_first_after_a_turn_and_when_a_button_leaves_with_it(chat: Visit) -> None:
    chat.tab.wait_for_function(FOCUSED)
    chat.tab.fill("#question", "ENDLESS")
    chat.tab.click("#ask")
    chat.wait("thinking")
    chat.tab.focus(".answer-now")
    chat.tab.keyboard.press("Enter")
    chat.wait("done")
    assert chat.tab.evaluate(FOCUSED)
    chat.new_chat()
    chat.tab.wait_for_function(FOCUSED)


def test_everything_is_reached_and_done_by_keyboard(chat: Visit) -> None:
    chat.tab.keyboard.type("How many sheep?")
    chat.tab.keyboard.press("Enter")
    chat.wait("done")
    reached = []
    for _ in range(60):
        chat.tab.keyboard.press("Shift+Tab")
        name = chat.tab.evaluate("document.activeElement.className + '#' + document.activeElement.id")
        reached.append(name)
        assert chat.tab.evaluate("document.activeElement.matches(':focus-visible')"), name
        if "fold" in name.split("#")[0].split():
            break
    for control in ("copy", "copy-thought", "again", "same-thought", "text", "size", "fold"):
        assert any(control in name.split("#")[0].split() for name in reached), control
    chat.tab.keyboard.press("Space")
    assert not chat.tab.is_visible(".trace .text")
    chat.tab.keyboard.press("Enter")
    assert chat.tab.is_visible(".trace .text")


def test_escape_closes_a_dialog_before_it_stops_the_reply(chat: Visit) -> None:
    chat.ask("ENDLESS")
    chat.wait("thinking")
    chat.tab.keyboard.press("Control+/")
    chat.tab.wait_for_selector("dialog[open]")
    chat.tab.keyboard.press("Escape")
    chat.tab.wait_for_selector("dialog", state="detached")
    assert chat.text(".trace .header").startswith("Thinking")
    chat.tab.keyboard.press("Escape")
    chat.wait("stopped")


def test_the_box_grows_with_its_lines_and_an_input_methods_enter_asks_nothing(chat: Visit) -> None:
    height = "document.querySelector('#question').offsetHeight"
    before = chat.tab.evaluate(height)
    chat.tab.keyboard.type("one")
    chat.tab.keyboard.press("Shift+Enter")
    chat.tab.keyboard.type("two")
    assert chat.tab.input_value("#question") == "one\ntwo"
    assert chat.tab.evaluate(height) > before
    chat.tab.evaluate(
        """() => document.querySelector('#question').dispatchEvent(
            new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true, cancelable: true }))"""
    )
    chat.tab.wait_for_timeout(200)
    assert chat.tab.locator(".turn").count() == 0
    assert chat.tab.input_value("#question") == "one\ntwo"


# Whether the last letter stands left of the first one, of all that the page shows there.
FROM_RIGHT = """(selector) => [...document.querySelectorAll(selector)].map((block) => {
    const text = document.createNodeIterator(block, NodeFilter.SHOW_TEXT);
    const letters = [];
    for (let node = text.nextNode(); node; node = text.nextNode()) {
        [...node.data].forEach((letter, at) => { if (letter.trim()) letters.push([node, at]); });
    }
    const [first, last] = [letters[0], letters.at(-1)].map(([node, at]) => {
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + 1);
        return range.getBoundingClientRect();
    });
    return last.left < first.left;
})"""


def test_what_is_written_from_right_to_left_is_laid_out_so(chat: Visit, server: PageServer) -> None:
    store = server.services.store
    about: dict[str, Any] = {"conversation": store.create("").id}
    store.add(Message(id="rtl-asked", parent=None, role="user", content="כמה כבשים יש?", **about))
    answer = "התשובה היא 9.\n\n- אחת!\n\n| אבא. | And so on. |\n|---|---|\n| כן. | No. |"
    thought = "אני חושב. עוד חושב!\n\nI think."
    store.add(Message(id="rtl-said", parent="rtl-asked", role="assistant", content=answer, reasoning=thought,
                      reasoning_tokens=9, **about))  # fmt: skip
    chat.tab.evaluate("localStorage.setItem('r1chat.trace', 'peek')")
    chat.tab.goto(f"{chat.url}/?c={about['conversation']}")
    chat.wait("done")
    for selector, seen in {
        ".question": [True],
        ".toolbar .title": [True],
        ".trace .text p:not(:empty)": [True, False],
        ".answer p:not(.tail)": [True],
        ".answer li": [True],
        ".answer :is(th, td)": [True, False] * 2,
    }.items():
        assert chat.tab.evaluate(FROM_RIGHT, selector) == seen, selector
    chat.tab.click(".trace .size")
    chat.tab.wait_for_selector(".sentence")
    assert chat.tab.evaluate(FROM_RIGHT, ".sentence") == [True, True, False]
    chat.tab.fill("#question", "ועוד?")
    assert chat.tab.evaluate("getComputedStyle(document.querySelector('#question')).direction") == "rtl"


@pytest.fixture
def contrast(chat: Visit) -> Iterator[Visit]:
    chat.tab.emulate_media(forced_colors="active")
    yield chat
    chat.tab.emulate_media(forced_colors="none")


def test_what_is_chosen_and_how_much_is_spent_can_be_seen_in_high_contrast(contrast: Visit) -> None:
    line = "nodes => nodes.map((node) => getComputedStyle(node).outlineStyle)"
    lines = contrast.tab.locator(".thinking label span").evaluate_all(line)
    assert lines == ["solid", "none", "none"]
    contrast.tab.wait_for_selector("nav.list .where", state="attached")
    where = contrast.tab.locator(".where label span").evaluate_all(line)
    assert sorted(where, reverse=True) == ["solid"] + ["none"] * (len(where) - 1)
    colours = contrast.tab.evaluate(
        """async () => {
            const { Gauge } = await import('/page/assets/chat/gauge.js');
            const gauge = new Gauge();
            gauge.show(50, 100);
            document.querySelector('.pane').append(gauge.node);
            const seen = [gauge.node, gauge.fill].map((node) => getComputedStyle(node).backgroundColor);
            gauge.node.remove();
            return seen;
        }"""
    )
    assert colours[0] != colours[1]


def test_motion_stops_for_those_who_ask_for_less(calm: Visit) -> None:
    calm.ask("ENDLESS")
    calm.wait("thinking")
    running = "document.querySelector('.turns').getAnimations({ subtree: true }).length"
    assert calm.tab.evaluate(running) == 0
    calm.tab.keyboard.press("Escape")
    calm.wait("stopped")
