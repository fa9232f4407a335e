"""T1 to T5 and T24: how fast the page is there, keeps up with a fast model, and what it weighs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from ..conftest import LABEL, PageServer, Visit
from ..test_page_lasting import long_conversation
from .conftest import Figures, Watched, watched
from .gauges import (
    WATCH_GROWTH,
    WATCH_STREAM,
    WATCH_TYPING,
    Heap,
    Stream,
    percentile,
    reaction,
    watch_reaction,
)
from .scripts import N_LONG, paragraphs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from r1chat.app.conversations.records import Message

RUNS = 3
# With what a step costs beside its pause this comes to 500 and something.
TOKENS_PER_S = 800
FAST = {
    "PROSE": f"{paragraphs(N_LONG, 400)}\n</think>\n\nDone.",
    "FORMULAS": f"{paragraphs(N_LONG, 50)}\n</think>\n\nDone.",
}
FOCUSED = "document.activeElement?.id === 'question'"


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """A model that thinks 20,000 tokens at 500 a second."""
    record = tmp_path_factory.mktemp("record") / "engine.jsonl"
    config = watched(record, FAST, tokens_per_s=TOKENS_PER_S, n_ctx=65536)
    with PageServer(config, LABEL, tmp_path_factory.mktemp("data")) as running:
        yield running


@contextmanager
def fresh(browser: Browser, server: PageServer, fold: str = "peek") -> Iterator[Visit]:
    """A tab of its own, with thoughts shown as `fold` says."""
    with browser.new_context(viewport={"width": 1280, "height": 860}) as context:
        context.add_init_script(f"localStorage.setItem('r1chat.trace', '{fold}')")
        visit = Visit(context.new_page(), server.url)
        visit.tab.wait_for_function(FOCUSED)
        yield visit
        assert visit.complaints == [] and visit.foreign == []


class EndOfServer:
    """When the server had a reply whole: saved, so that it is there whatever happens."""

    def __init__(self, server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
        store = server.services.store
        finish = store.finish
        self.at = 0.0
        self.reached = threading.Event()

        def watched_finish(message: Message) -> Message:
            saved = finish(message)
            self.at = time.time()
            self.reached.set()
            return saved

        monkeypatch.setattr(store, "finish", watched_finish)


@pytest.mark.timed
def test_t01_a_cold_load_is_ready_to_type_and_asks_nobody_else(
    browser: Browser, server: PageServer, figures: Figures
) -> None:
    took = []
    for _ in range(RUNS):
        with browser.new_context() as context:
            began = time.monotonic()
            visit = Visit(context.new_page(), server.url)
            visit.tab.wait_for_function(FOCUSED)
            took.append(time.monotonic() - began)
            visit.tab.wait_for_load_state("networkidle")
            assert visit.complaints == [] and visit.foreign == []
    figures.at_most("input focused", median(took), 3, "s")
    figures.judge()


@pytest.mark.timed
def test_t02_twenty_thousand_tokens_of_thought_are_drawn_as_they_come(
    browser: Browser, swift: PageServer, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [stream(browser, swift, monkeypatch) for _ in range(RUNS)]
    figures.note("rate", median(N_LONG / run.took_s for run in runs), "tok/s")
    figures.at_most("p95 frame", median(run.p95 for run in runs), 34, "ms")
    figures.at_most("p99", median(run.p99 for run in runs), 100, "ms")
    figures.at_most("long tasks", median(run.long for run in runs) / 1000, 1.5, "s")
    figures.at_most("browser behind server", median(run.late_s for run in runs), 1, "s")
    figures.at_most("heap", median(run.heap_mb for run in runs), 60, "MB")
    figures.judge()


def stream(browser: Browser, swift: PageServer, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """One turn from the question to its end."""
    with fresh(browser, swift) as visit, monkeypatch.context() as patched:
        end = EndOfServer(swift, patched)
        heap = Heap(visit.tab)
        visit.tab.evaluate(WATCH_STREAM)
        visit.ask("PROSE please")
        visit.wait("thinking")
        began = time.time()
        visit.wait("done")
        visit.tab.wait_for_function("window.seen.over")
        seen = visit.tab.evaluate("window.seen")
        assert end.reached.is_set()
        assert visit.thought().split() == FAST["PROSE"].partition("</think>")[0].split()
        return Stream(
            p95=percentile(seen["gaps"], 0.95),
            p99=percentile(seen["gaps"], 0.99),
            long=seen["long"],
            late_s=seen["over"] / 1000 - end.at,
            took_s=end.at - began,
            heap_mb=heap.growth_mb,
        )


@pytest.mark.timed
def test_t03_an_open_thought_full_of_formulas_is_drawn_as_it_comes_and_stops_at_once(
    browser: Browser, swift: PageServer, figures: Figures
) -> None:
    p95s, stops = [], []
    for _ in range(RUNS):
        with fresh(browser, swift, "open") as visit:
            visit.tab.evaluate(WATCH_STREAM)
            visit.ask("FORMULAS please")
            # Near its end, where there is most to draw.
            visit.tab.wait_for_function(
                "Number(/([\\d,]+) token/.exec(document.querySelector('.trace .header')?.textContent)?.[1]"
                f".replaceAll(',', '')) > {0.9 * N_LONG}"
            )
            p95s.append(percentile(visit.tab.evaluate("window.seen.gaps"), 0.95))
            watch_reaction(
                visit.tab,
                "document.querySelector('#stop').textContent === 'Stopping…' || !document.querySelector('#ask').hidden",
            )
            visit.tab.click("#stop")
            stops.append(reaction(visit.tab))
            visit.wait("stopped")
            visit.tab.wait_for_selector(".trace .finished .step")
            # The text that reads as formulas is drawn once, at the end.
            assert visit.tab.locator(".trace .finished math mfrac").count() > 100
    figures.at_most("p95 frame", median(p95s), 50, "ms")
    figures.at_most("Stop told", median(stops), 300, "ms")
    figures.judge()


@pytest.mark.timed
def test_t04_typing_goes_on_while_it_streams(browser: Browser, swift: PageServer, figures: Figures) -> None:
    typed = "What I will ask next is how many sheep were left in the end."
    with fresh(browser, swift) as visit:
        visit.ask("PROSE please")
        visit.wait("thinking")
        visit.tab.wait_for_timeout(10_000)
        visit.tab.focus("#question")
        visit.tab.evaluate(WATCH_TYPING)
        visit.tab.keyboard.type(typed, delay=90)
        visit.tab.wait_for_function(f"window.typed.length >= {len(typed)}")
        assert visit.text(".trace .header").startswith("Thinking"), "it went on meanwhile"
        assert visit.tab.input_value("#question") == typed
        figures.at_most("key to paint p95", percentile(visit.tab.evaluate("window.typed"), 0.95), 50, "ms")
        visit.tab.keyboard.press("Escape")
        visit.wait("stopped")
    figures.judge()


@pytest.mark.timed
def test_t05_the_first_token_is_seen_at_once_and_more_about_ten_times_a_second(
    chat: Visit, record: Watched, figures: Figures
) -> None:
    late, often = [], []
    for _ in range(RUNS):
        chat.begin_anew()
        chat.tab.evaluate(WATCH_GROWTH)
        chat.ask("STEPS please")
        chat.wait("thinking")
        chat.tab.wait_for_timeout(4000)
        grown: dict[str, Any] = chat.tab.evaluate("window.grown")
        late.append(grown["first"] - 1000 * record.first_tokens[-1])
        often.append(1000 * (grown["looks"] - 1) / (grown["last"] - grown["first"]))
        chat.tab.keyboard.press("Escape")
        chat.wait("stopped")
    figures.at_most("first token seen after", median(late), 200, "ms")
    figures.at_least("grows", median(often), 5, "Hz")
    figures.at_most("grows", median(often), 15, "Hz")
    figures.judge()


@pytest.mark.timed
def test_t24_forty_long_turns_open_soon_and_are_light(chat: Visit, server: PageServer, figures: Figures) -> None:
    conversation = long_conversation(server)
    opened, expanded = [], []
    for _ in range(RUNS):
        began = time.monotonic()
        chat.tab.goto(f"{chat.url}/?c={conversation}")
        chat.tab.wait_for_selector(".turn >> nth=39")
        opened.append(time.monotonic() - began)
        n_nodes = chat.tab.evaluate("document.querySelectorAll('*').length")
        expanded.append(expand_first(chat.tab))
    sent: list[int] = []
    chat.tab.on("request", lambda asked: sent.append(len(asked.post_data or "")) if asked.method == "POST" else None)
    chat.ask("SHORT please")
    chat.wait("done")
    chat.tab.click(".turn:last-child .again")
    chat.tab.wait_for_selector(".turn:last-child .reply .branches .at >> text=2 / 2")
    chat.wait("done")
    assert len(sent) >= 2
    figures.at_most("opened", median(opened), 2, "s")
    figures.at_most("thought there", median(expanded), 0.5, "s")
    figures.at_most("nodes", n_nodes, 5000)
    figures.at_most("largest POST", max(sent) / 1000, 10, "KB")
    figures.judge()


def expand_first(tab: Page) -> float:
    """Seconds from the click on the oldest turn's fold until its text is there."""
    first = "document.querySelector('.turn .trace .text').textContent.includes('line 1 of a thought')"
    watch_reaction(tab, first)
    tab.click(".turn >> nth=0 >> .fold")
    return reaction(tab) / 1000
