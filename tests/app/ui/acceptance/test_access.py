"""T20 to T23 and the frame: for every eye, hand and screen, in every room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ..conftest import PageServer, Visit
from ..test_page import copied
from ..test_page_access import serious
from .conftest import Figures

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOMS = ("stars", "runs", "shelf")
# What is there only when the server has told what belongs there.
FILLED = {
    "stars": ".filter:not(:empty)",
    "runs": "header .primary:not([disabled])",
    "shelf": ".row",
}
FOCUSED = "document.activeElement"
# What can be reached with Tab. Of radio buttons of one name that is the chosen one.
STOPS = """[...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
    .filter((node) => node.tabIndex >= 0 && !node.disabled && node.checkVisibility({ visibilityProperty: true })
    && !(node.type === 'radio' && !node.checked && document.querySelector(`[name="${node.name}"]:checked`)))"""
SMALL = """[...document.querySelectorAll('button, input, select, textarea, summary, label:has(input), nav a, .view a')]
    .filter((node) => node.checkVisibility({ visibilityProperty: true })
        && !node.closest('.unseen, p, .answer') && !(node.matches('input') && node.closest('label')))
    .map((node) => ({ node, box: node.getBoundingClientRect() }))
    .filter(({ box }) => box.width && box.height && (box.height < 24 || box.width < 24))
    .map(({ node, box }) => `${node.outerHTML.slice(0, 120)}: ${box.width.toFixed(1)} x ${box.height.toFixed(1)}`)"""
MOVING = """[...document.querySelectorAll('*')].flatMap((node) => node.getAnimations())
    .filter(({ playState }) => playState === 'running').map(({ effect }) => effect.target.outerHTML.slice(0, 120))"""


@pytest.mark.timed
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_t20_axe_finds_nothing_serious_in_any_state_of_any_room(
    browser: Browser, server: PageServer, scheme: Any
) -> None:
    with browser.new_context(color_scheme=scheme, reduced_motion="reduce") as context:
        visit = Visit(context.new_page(), server.url)
        found = {"idle": serious(visit.tab)}
        visit.ask("HOURS please")
        visit.wait("thinking")
        visit.tab.wait_for_timeout(500)
        found["streaming"] = serious(visit.tab)
        visit.tab.keyboard.press("Escape")
        visit.wait("stopped")
        found["stopped"] = serious(visit.tab)
        visit.ask("SHORT please")
        visit.wait("done")
        visit.tab.wait_for_selector(".turn:last-child .star")
        found["finished"] = serious(visit.tab)
        visit.tab.click(".turn:last-child .trace .size")
        visit.tab.wait_for_selector(".finished .step")
        found["thought open"] = serious(visit.tab)
        for opener in ("#open-settings", "#open-shortcuts", ".turn:last-child .star"):
            visit.tab.click(opener)
            visit.tab.wait_for_selector("dialog[open]")
            found[opener] = serious(visit.tab)
            visit.tab.keyboard.press("Escape")
            visit.tab.wait_for_selector("dialog", state="detached")
        for name in ROOMS:
            enter(visit.tab, name)
            found[name] = serious(visit.tab)
        assert {state: violations for state, violations in found.items() if violations} == {}
        assert visit.complaints == [] and visit.foreign == []


def enter(tab: Page, name: str) -> None:
    """Shows a room and waits until it is filled."""
    tab.click(f"#room-{name}-button")
    tab.wait_for_selector(f"#{name} {FILLED[name]}")


@pytest.mark.slow
def test_t21_everything_is_done_with_the_keyboard_alone(chat: Visit) -> None:
    tab = chat.tab
    tab.wait_for_function(f"{FOCUSED}.id === 'question'")
    tab.keyboard.type("SHORT please")
    tab.keyboard.press("Enter")
    chat.wait("done")
    first = chat.conversation
    assert tab.evaluate(f"{FOCUSED}.id") == "question", "the end of a stream leaves the focus where it was"
    back_to(tab, "copy")
    assert copied(chat, ".copy", lambda: tab.keyboard.press("Enter")) == "It is twelve."
    back_to(tab, "fold")
    for key, shown in (("Space", False), ("Enter", True)):
        tab.keyboard.press(key)
        assert tab.is_visible(".trace .text") == shown
    tab.keyboard.press("Control+Shift+O")
    tab.wait_for_selector(".welcome")
    tab.keyboard.type("STEPS please")
    tab.keyboard.press("Enter")
    chat.wait("thinking")
    tab.keyboard.press("Control+.")
    chat.tab.wait_for_selector(".turn:last-child .answer:not([hidden])")
    tab.keyboard.press("?")
    assert tab.input_value("#question").endswith("?"), "in the box it is a letter"
    tab.keyboard.press("Backspace")
    tab.keyboard.press("Control+/")
    tab.wait_for_selector("dialog[open]")
    tab.keyboard.press("Escape")
    tab.wait_for_selector("dialog", state="detached")
    chat.wait("done")
    assert "Stopped" not in chat.text(".notes"), "Esc closed the dialog and stopped nothing"
    # Another chat: the list is one stop, arrows go on from there.
    while not tab.evaluate(f"{FOCUSED}.matches('nav.list .row a')"):
        tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate(f"{FOCUSED}.getAttribute('href')") == f"?c={first}"
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".answer >> text=It is twelve.")
    assert chat.conversation == first


def back_to(tab: Page, name: str) -> None:
    """Shift+Tab until a control of that class has the focus, which shows at every stop."""
    for _ in range(60):
        if tab.evaluate(f"{FOCUSED}.classList.contains('{name}')"):
            return
        tab.keyboard.press("Shift+Tab")
        assert tab.evaluate(f"{FOCUSED}.matches(':focus-visible')")
    raise AssertionError(f"{name} is not reached")


@pytest.mark.parametrize("room", ["chat", *ROOMS])
def test_t21_tab_reaches_every_control_of_a_room_and_the_focus_shows(chat: Visit, room: str) -> None:
    tab = chat.tab
    if room == "chat":
        chat.ask("SHORT please")
        chat.wait("done")
        tab.wait_for_selector(".turn:last-child .star")
    else:
        enter(tab, room)
    tab.evaluate(f"{STOPS}.forEach((node) => {{ node.dataset.missed = ''; }})")
    tab.focus(f"#room-{room}-button")
    n_stops = tab.locator("[data-missed]").count()
    assert n_stops >= 4
    for _ in range(n_stops + 5):
        tab.evaluate(f"delete {FOCUSED}.dataset.missed")
        tab.keyboard.press("Tab")
        seen = tab.evaluate(f"{FOCUSED} === document.body || {FOCUSED}.matches(':focus-visible')")
        assert seen, tab.evaluate(f"{FOCUSED}.outerHTML")
    # What could not be pressed any more by then need not be reached.
    missed = tab.evaluate(f"{STOPS}.filter(({{ dataset }}) => 'missed' in dataset).map((node) => node.outerHTML)")
    tab.evaluate("document.querySelectorAll('[data-missed]').forEach((node) => { delete node.dataset.missed; })")
    tab.click("#room-chat-button")
    assert missed == []


@pytest.mark.timed
def test_t22_a_turn_is_announced_in_a_few_words(chat: Visit, figures: Figures) -> None:
    chat.tab.evaluate(
        """() => {
            window.said = [];
            const live = '[aria-live]:not([aria-live=off]), [role=status], [role=log], [role=alert]';
            new MutationObserver((records) => {
                for (const { target } of records) {
                    const node = (target.nodeType === 1 ? target : target.parentElement)?.closest(live);
                    if (node) said.push(node.textContent);
                }
            }).observe(document.body, { childList: true, subtree: true, characterData: true });
        }"""
    )
    chat.ask("SPEECH please")
    chat.wait("done")
    chat.tab.wait_for_timeout(500)
    said = chat.tab.evaluate("window.said")
    assert "Thinking" in said and "Answering" in said
    assert said[-1].startswith("Done, ") and said[-1].endswith("second" if said[-1] == "Done, 1 second" else "seconds")
    assert chat.tab.get_attribute(".turns", "aria-live") == "off"
    figures.at_most("announcements", len(said), 9)
    figures.judge()


@pytest.fixture(params=["390x844", "320x700", "200 %"])
def small(browser: Browser, server: PageServer, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A phone, a smaller one, and a window of 1280 x 860 at 200 % zoom; dark, and with less motion."""
    sizes: dict[str, dict[str, Any]] = {
        "390x844": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
        "320x700": {"viewport": {"width": 320, "height": 700}},
        "200 %": {"viewport": {"width": 640, "height": 430}, "device_scale_factor": 2},
    }
    with browser.new_context(color_scheme="dark", reduced_motion="reduce", **sizes[request.param]) as context:
        visit = Visit(context.new_page(), server.url)
        yield visit
        assert visit.complaints == [] and visit.foreign == []


@pytest.mark.timed
def test_t23_on_a_small_screen_everything_fits_and_can_be_hit(small: Visit) -> None:
    tab = small.tab
    assert tab.evaluate("document.body.classList.contains('dark')")
    look(tab)
    small.ask("HOURS please")
    small.wait("thinking")
    tab.wait_for_timeout(500)
    look(tab)
    assert tab.evaluate(MOVING) == []
    covered = """(() => {
        const { left, top, width, height } = document.querySelector('#question').getBoundingClientRect();
        return !document.elementFromPoint(left + width / 2, top + height / 2)?.closest('#composer');
    })()"""
    assert not tab.evaluate(covered), "nothing lies over the box"
    tab.click("#stop")
    small.wait("stopped")
    small.ask("SHORT please")
    small.wait("done")
    tab.click(".turn:last-child .trace .size")
    tab.wait_for_selector(".finished .step")
    look(tab)
    tab.click("#open-settings")
    in_dialog(tab)
    tab.keyboard.press("Control+/")
    in_dialog(tab)
    for name in ROOMS:
        enter(tab, name)
        look(tab)


def in_dialog(tab: Page) -> None:
    """Looks at the one that was opened, and closes it."""
    tab.wait_for_selector("dialog[open]")
    look(tab)
    tab.keyboard.press("Escape")
    tab.wait_for_selector("dialog", state="detached")


def look(tab: Page) -> None:
    """Nothing is wider than the window, and nothing that can be pressed is smaller than a finger."""
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    assert tab.evaluate(SMALL) == []


def test_the_frame_has_one_heading_its_rooms_are_reached_by_keyboard_and_none_complains(visit: Visit) -> None:
    tab = visit.tab
    assert tab.locator("h1").count() == 1
    tab.focus("#room-chat-button")
    for name in (*ROOMS, "chat"):
        for _ in range(4):
            tab.keyboard.press("Tab" if name != "chat" else "Shift+Tab")
            if tab.evaluate(f"{FOCUSED}.id") == f"room-{name}-button":
                break
        assert tab.evaluate(f"{FOCUSED}.matches('[role=tab]:focus-visible')")
        tab.keyboard.press("Enter")
        tab.wait_for_selector(f"#room-{name}-button[aria-selected=true]")
        tab.wait_for_selector(f"#{name} > *")
        assert tab.locator("h1:visible").count() == 1
    tab.wait_for_load_state("networkidle")
