"""T9 to T12 and T25: what was asked and said outlives a reload, a closed tab and a kill, and is its owner's alone."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest
from served import served

from ..conftest import LABEL, PageServer, Visit
from .conftest import Figures, Watched, watched
from .scripts import SCRIPTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ANN, BOB = "ann-s-key", "bob-s-key"
RUNS = 3
LINES = "[...document.querySelectorAll('.trace .text p')].map((line) => line.textContent).join('\\n')"


@pytest.mark.timed
def test_t09_reloads_amid_a_thought_lose_nothing_and_a_second_tab_sees_the_same(chat: Visit, figures: Figures) -> None:
    thought = SCRIPTS["HOURS"].partition("\n</think>")[0].rstrip("\n")
    chat.ask("HOURS please")
    chat.wait("thinking")
    other = Visit(chat.tab.context.new_page(), chat.tab.url)
    took = []
    for _ in range(RUNS):
        began = time.monotonic()
        chat.tab.reload(wait_until="commit")
        chat.tab.wait_for_selector(".turn[data-state=thinking] .trace .text p >> text=word1")
        took.append(time.monotonic() - began)
    before = chat.text(".trace .header")
    chat.tab.wait_for_timeout(600)
    assert chat.text(".trace .header") != before, "it goes on"
    for visit in (chat, other):
        visit.wait("done")
        assert visit.tab.evaluate(LINES) == thought
        assert visit.text(".answer") == "That was it."
    reply = chat.json(f"/page/conversations/{chat.conversation}")["path"][-1]
    assert chat.json(f"/page/messages/{reply['id']}")["reasoning"] == thought
    other.tab.close()
    figures.at_most("seen again after", median(took), 2, "s")
    figures.judge()


@pytest.mark.timed
def test_t10_a_closed_tab_comes_back_to_a_finished_answer(chat: Visit) -> None:
    leaving = Visit(chat.tab.context.new_page(), chat.url)
    leaving.ask("SPEECH please")
    leaving.wait("thinking")
    address = leaving.tab.url
    leaving.tab.close()
    chat.tab.wait_for_timeout(5000)
    back = Visit(chat.tab.context.new_page(), address)
    back.wait("done")
    assert back.text(".answer").split() == SCRIPTS["SPEECH"].partition("</think>")[2].split()
    assert back.complaints == []
    back.tab.close()


@pytest.mark.timed
def test_t11_a_killed_server_comes_back_with_what_was_asked_set_and_begun(
    browser: Browser, noise_model: Path, tmp_path: Path
) -> None:
    """The command itself, killed with all its processes; more of them, without a browser, are in the store's tests."""
    arguments = ("serve", "--model", str(noise_model), "--data", str(tmp_path / "data"))
    with browser.new_context() as context:
        with served(*arguments) as first:
            visit = Visit(context.new_page(), first.url())
            visit.tab.click(".thinking label:has(input[value=budget])")
            visit.tab.fill(".budget input[type=number]", "70000")
            visit.tab.press(".budget input[type=number]", "Tab")
            think_long(visit)
            conversation = visit.conversation
            reply = visit.json(f"/page/conversations/{conversation}")["path"][-1]
            time.sleep(0.5)
            assert first.stop(signal.SIGKILL) < 0
        with served(*arguments) as second:
            back = Visit(context.new_page(), f"{second.url().rstrip('/')}/?c={conversation}")
            back.wait("interrupted")
            assert back.text(".question") == "How many sheep?"
            kept = context.request.get(f"{second.url().rstrip('/')}/page/messages/{reply['id']}").json()
            assert kept["state"] == "interrupted" and len(kept["reasoning"]) > 100
            assert back.tab.is_visible(".go-on")
            assert "The server ended while this was written" in back.text(".notes")
            assert back.tab.input_value(".budget input[type=number]") == "70000"
            assert back.complaints == []
            back.tab.close()


def think_long(visit: Visit) -> None:
    """Asks until a thought grows; those of random weights may end at any moment."""
    for _ in range(10):
        visit.ask("How many sheep?")
        visit.tab.wait_for_function(
            """() => {
                const turn = document.querySelector('.turn:last-child');
                return turn.dataset.state === 'thinking' ? turn.querySelector('.trace .text').textContent.length > 200
                    : ['done', 'failed'].includes(turn.dataset.state);
            }"""
        )
        if visit.tab.locator(".turn:last-child[data-state=thinking]").count():
            return
    raise AssertionError("no thought lasts")


@pytest.mark.slow
def test_t12_the_engine_gets_earlier_thoughts_only_where_they_are_kept(chat: Visit, record: Watched) -> None:
    chat.ask("HOURS please")
    chat.wait("thinking")
    chat.tab.keyboard.press("Escape")
    chat.wait("stopped")
    chat.ask("SHORT then")
    chat.wait("done")
    assert roles(record.prompts[-1]) == ["User", "Assistant"], "what was not answered is left out"
    chat.ask("SHORT again")
    chat.wait("done")
    without = record.prompts[-1]
    assert "seven and five" not in without and "It is twelve." in without
    assert roles(without) == ["User", "Assistant", "User", "Assistant"]
    chat.tab.click("#open-settings")
    chat.tab.check("dialog label:has-text('Send earlier thoughts along') input")
    chat.tab.click("dialog .primary")
    chat.tab.wait_for_selector("dialog", state="detached")
    chat.ask("SHORT more")
    chat.wait("done")
    assert record.prompts[-1].count("I add seven and five.") == 2
    assert roles(record.prompts[-1]) == ["User", "Assistant"] * 3


def roles(prompt: str) -> list[str]:
    """Who speaks, in order."""
    return re.findall(r"<｜(User|Assistant)｜>", prompt)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """One reply at a time, for two people."""
    record = tmp_path_factory.mktemp("record") / "engine.jsonl"
    config = watched(record, SCRIPTS, tokens_per_s=150, n_seq_max=1)
    with PageServer(config, LABEL, tmp_path_factory.mktemp("data"), api_keys=(ANN, BOB)) as running:
        yield running


@pytest.mark.timed
def test_t25_two_people_share_an_engine_and_nothing_else(browser: Browser, shared: PageServer) -> None:
    with (
        browser.new_context(extra_http_headers={"authorization": f"Bearer {ANN}"}) as of_ann,
        browser.new_context(extra_http_headers={"authorization": f"Bearer {BOB}"}) as of_bob,
    ):
        ann, bob = Visit(of_ann.new_page(), shared.url), Visit(of_bob.new_page(), shared.url)
        ann.ask("HOURS for Ann")
        ann.wait("thinking")
        bob.ask("SHORT for Bob")
        bob.tab.wait_for_selector(".turn .trace .header >> text=1 ahead")
        bob.tab.wait_for_selector("nav.list .row >> text=for Bob")
        assert bob.tab.locator("nav.list .row").count() == 1
        assert of_bob.request.get(f"{shared.url}/page/conversations/{ann.conversation}").status == 404
        assert bob.json("/page/search?q=Ann")["hits"] == []
        ann.tab.keyboard.press("Escape")
        ann.wait("stopped")
        bob.wait("done")
        assert bob.text(".answer") == "It is twelve."
        assert bob.text(".trace .text").split() == SCRIPTS["SHORT"].partition("</think>")[0].split()
        assert "for Bob" not in ann.tab.inner_text("body") and "for Ann" not in bob.tab.inner_text("body")
        bob.tab.goto(f"{shared.url}/?c={ann.conversation}")
        bob.tab.wait_for_selector("#composer .alarm >> text=not here")
        assert bob.tab.locator(".turn").count() == 0
