"""A person asks, watches the thought, reads the answer, stops, begins anew."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from r1chat.app.ui.page import EXAMPLES

from .conftest import TOKENS_PER_S

if TYPE_CHECKING:
    from .conftest import PageServer, Visit


def tokens(visit: Visit) -> int:
    """The count in the trace's header."""
    found = re.search(r"(\d+) tok\b", visit.text("summary"))
    assert found
    return int(found[1])


def test_trace_grows_while_the_model_thinks_and_the_answer_follows(visit: Visit) -> None:
    visit.ask("How many sheep? LONG")
    visit.wait("thinking")
    lengths = []
    for _ in range(3):
        visit.tab.wait_for_timeout(400)
        lengths.append(len(visit.text(".trace .text")))
    assert lengths[0] < lengths[1] < lengths[2]
    assert "Thinking" in visit.text("summary") and "tok" in visit.text("summary")
    visit.wait("done")
    assert visit.text(".answer") == "done"
    assert visit.text("summary").startswith("Thought ") and visit.text("summary").endswith(" tok/s")
    assert "word399" in visit.text(".trace .text")
    assert "think>" not in visit.text("")


def test_trace_folds_and_unfolds_by_mouse_and_keyboard(visit: Visit) -> None:
    visit.ask("How many sheep?")
    visit.wait("done")
    trace, summary = visit.tab.locator(".trace .text"), visit.tab.locator(".trace summary")
    assert trace.is_visible()
    summary.click()
    assert not trace.is_visible()
    summary.press("Enter")
    assert trace.is_visible()
    summary.press("Space")
    assert not trace.is_visible()


def test_a_folded_trace_stays_folded_for_the_next_question(visit: Visit) -> None:
    visit.ask("How many sheep?")
    visit.wait("done")
    visit.tab.click(".trace summary")
    visit.ask("How many goats?")
    visit.wait("done")
    assert not visit.tab.is_visible(".turn:nth-child(2) .trace .text")


def test_stop_keeps_the_thought_so_far_and_frees_the_engine(visit: Visit, server: PageServer) -> None:
    visit.ask("LONG")
    visit.wait("thinking")
    visit.tab.wait_for_timeout(500)
    before = tokens(visit)
    visit.tab.click("#stop")
    visit.wait("stopped")
    visit.tab.wait_for_selector("#ask")
    assert visit.text("summary").startswith("Stopped after ")
    assert tokens(visit) - before < TOKENS_PER_S
    kept = visit.text(".trace .text")
    assert "word1 " in kept
    assert server.stats()["running"] == 0
    visit.ask("How many sheep?")
    visit.wait("done")
    assert visit.tab.inner_text(".turn:first-child .trace .text") == kept


def test_escape_stops_too(visit: Visit) -> None:
    visit.ask("LONG")
    visit.wait("thinking")
    visit.tab.keyboard.press("Escape")
    visit.wait("stopped")


def test_new_chat_in_the_middle_of_a_thought_leaves_an_empty_page(visit: Visit, server: PageServer) -> None:
    visit.ask("LONG")
    visit.wait("thinking")
    visit.tab.click("#new-chat")
    visit.tab.wait_for_selector(".welcome", state="visible")
    visit.tab.wait_for_timeout(500)
    assert visit.tab.locator(".turn").count() == 0
    assert server.stats()["running"] == 0
    visit.ask("How many sheep?")
    visit.wait("done")
    assert visit.tab.locator(".turn").count() == 1


def test_closing_the_tab_stops_the_engine(visit: Visit, server: PageServer) -> None:
    visit.ask("LONG")
    visit.wait("thinking")
    visit.tab.close()
    deadline = time.monotonic() + 5
    while server.stats()["running"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.stats()["running"] == 0


def test_an_example_is_asked_by_a_click(visit: Visit) -> None:
    visit.tab.click(f".example >> text={EXAMPLES[0]}")
    visit.wait("done")
    assert visit.text(".question") == EXAMPLES[0]
    assert not visit.tab.is_visible(".welcome")


def test_an_empty_question_is_not_asked(visit: Visit) -> None:
    visit.tab.fill("#question textarea", "   ")
    visit.tab.press("#question textarea", "Enter")
    visit.tab.wait_for_timeout(500)
    assert visit.tab.is_visible(".welcome")


def test_formulas_and_code_are_drawn(visit: Visit) -> None:
    visit.ask("MARKUP")
    visit.wait("done")
    answer = visit.tab.locator(".answer")
    assert answer.locator("math mfrac").count() == 1
    assert answer.locator("menclose").text_content() == "36"
    assert answer.locator("pre code").inner_text() == "if x < 2:\n\tprint(36)\n"
    assert answer.locator("strong").inner_text() == "36"


def test_a_crash_of_the_engine_is_told_and_the_next_question_works(visit: Visit) -> None:
    visit.ask("LONG")
    visit.wait("thinking")
    visit.tab.wait_for_timeout(300)
    visit.tab.keyboard.press("Escape")
    visit.wait("stopped")
    visit.ask("CUT")
    visit.wait("failed")
    assert "I begin to think" in visit.text(".trace .text")
    assert visit.text(".error")
    visit.ask("How many sheep?")
    visit.wait("done")


def test_too_long_a_question_is_told_with_both_numbers(visit: Visit) -> None:
    visit.ask("sheep " * 5000)
    visit.wait("failed")
    assert "4096" in visit.text(".error")


def test_two_tabs_do_not_share_a_conversation(visit: Visit) -> None:
    visit.ask("How many sheep?")
    visit.wait("done")
    other = visit.tab.context.new_page()
    other.goto(visit.url)
    other.wait_for_selector(".welcome", state="visible")
    assert other.locator(".turn").count() == 0
