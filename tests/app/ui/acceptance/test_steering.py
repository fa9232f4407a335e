"""T6, T7, T8 and T16: a reply under the person's hand, before its first token, amid its thought and behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ..conftest import LABEL, PageServer, Visit
from .conftest import TOKENS_PER_S, Figures, Watched, watched
from .gauges import reaction, watch_reaction
from .scripts import SCRIPTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TURN = "document.querySelector('.turn:last-child')"
IDLE = f"{TURN}.dataset.state === 'stopped' && !document.querySelector('#ask').hidden"
PREFILL_S = 0.05


@pytest.fixture(scope="module")
def slow_reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """Takes a twentieth of a second for each token of a prompt."""
    record = tmp_path_factory.mktemp("record") / "engine.jsonl"
    config = watched(record, SCRIPTS, tokens_per_s=TOKENS_PER_S, prefill_s=PREFILL_S)
    with PageServer(config, LABEL, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.mark.timed
def test_t06_answer_now_ends_the_thought_at_once_and_keeps_it(chat: Visit, figures: Figures) -> None:
    chat.ask("STEPS please")
    chat.wait("thinking")
    chat.tab.wait_for_timeout(2000)
    begun = f"['answering', 'done'].includes({TURN}.dataset.state) && {TURN}.querySelector('.answer').innerText"
    watch_reaction(chat.tab, begun)
    chat.tab.click(".answer-now")
    took = reaction(chat.tab)
    assert not chat.tab.is_visible(".answer-now")
    assert chat.tab.get_attribute(".turn:last-child", "data-state") == "answering", "the button left in mid-answer"
    chat.wait("done")
    assert "word50 " in chat.text(".trace .text") and "word899" not in chat.text(".trace .text")
    assert chat.text(".answer").startswith("said0 ")
    assert "You asked for the answer" in chat.text(".notes")
    figures.at_most("answer begins after", took, 500 + 1000 / TOKENS_PER_S, "ms")
    figures.judge()


@pytest.mark.timed
def test_t07_stop_is_idle_at_once_and_continue_has_the_same_beginning(
    chat: Visit, server: PageServer, record: Watched, figures: Figures
) -> None:
    chat.ask("STEPS please")
    chat.wait("thinking")
    chat.tab.wait_for_timeout(1500)
    watch_reaction(chat.tab, IDLE)
    chat.tab.click("#stop")
    took = reaction(chat.tab)
    assert re.match(r"Stopped after [\d.]+ s", chat.text(".trace .header"))
    assert not chat.tab.is_visible(".turn:last-child .wait"), "nothing turns any more"
    reply = chat.json(f"/page/conversations/{chat.conversation}")["path"][-1]
    kept = server.services.store.message("", reply["id"])
    thought = SCRIPTS["STEPS"].partition("\n</think>")[0]
    assert kept.state == "stopped" and "word50 " in kept.reasoning and thought.startswith(kept.reasoning)
    first = record.prompts[-1]
    chat.tab.click(".go-on")
    chat.wait("done")
    assert record.prompts[-1] == first + kept.reasoning
    assert chat.json(f"/page/messages/{reply['id']}")["reasoning"].split() == thought.split()
    figures.at_most("idle after", took, 500, "ms")
    figures.judge()


@pytest.mark.timed
def test_t08_stop_while_the_prompt_is_read_is_told_at_once_and_the_next_question_is_answered(
    browser: Browser, slow_reader: PageServer, figures: Figures
) -> None:
    """The runner refuses to be entered twice; the engine would have had to start it again."""
    with browser.new_context() as context:
        visit = Visit(context.new_page(), slow_reader.url)
        visit.ask("much " * 160)
        visit.wait("waiting")
        visit.tab.wait_for_timeout(1500)
        watch_reaction(visit.tab, f"{TURN}.querySelector('.trace .header').innerText === 'Stopping…' || {IDLE}")
        visit.tab.click("#stop")
        told = reaction(visit.tab)
        visit.wait("stopped")
        visit.ask("SHORT please")
        visit.wait("done")
        assert visit.text(".answer") == "It is twelve."
        stats = slow_reader.stats()
        assert (stats["restarts"], stats["running"], stats["waiting"]) == (0, 0, 0)
        assert visit.complaints == [] and visit.foreign == []
    figures.at_most("Stopping told after", told, 300, "ms")
    figures.judge()


def test_t16_an_edited_thought_goes_on_from_exactly_what_it_then_says(chat: Visit, record: Watched) -> None:
    chat.tab.evaluate("localStorage.setItem('r1chat.trace', 'open')")
    chat.ask("EDIT please")
    chat.wait("done")
    first = record.prompts[-1]
    chat.tab.click(".finished .sentence >> nth=1")
    chat.tab.click(".do-edit")
    chat.tab.fill(".rewrite textarea", "Seven and five make twelve,")
    chat.tab.click(".rewrite .primary")
    chat.tab.wait_for_selector(".reply .branches .at >> text=2 / 2")
    chat.wait("done")
    assert record.prompts[-1] == f"{first}I look at it first. Seven and five make twelve,"
    chat.tab.wait_for_selector(".finished .sentence >> text=Seven and five make twelve,")
    chat.tab.click(".reply .branches button >> nth=0")
    chat.tab.wait_for_selector(".reply .branches .at >> text=1 / 2")
    chat.tab.wait_for_selector(".finished .sentence >> text=Seven and five make thirteen.")
