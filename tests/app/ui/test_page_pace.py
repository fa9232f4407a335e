"""A long thought costs the same per token at its end as at its beginning. Counted, not timed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import PageServer, Visit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

WATCH = """() => {
    const seen = window.seen = { looks: 0, records: 0, removed: 0, rewritten: 0, began: performance.now() };
    const watch = (box) => new MutationObserver((records) => {
        seen.looks += 1;
        seen.records += records.length;
        seen.lasted = performance.now() - seen.began;
        for (const record of records) {
            seen.removed += record.removedNodes.length;
            if (record.type === 'characterData' && !record.target.data.startsWith(record.oldValue)) seen.rewritten += 1;
        }
    }).observe(box, { childList: true, subtree: true, characterData: true, characterDataOldValue: true });
    new MutationObserver((_, self) => {
        const box = document.querySelector('.trace .text');
        if (box) { self.disconnect(); watch(box); }
    }).observe(document.querySelector('.turns'), { childList: true, subtree: true });
}"""


@dataclass(frozen=True)
class LongTurn:
    """One turn with a long thought, as the page drew it and as it came over the wire."""

    seen: dict[str, float]
    sizes: list[int]
    trace: str


def wire_sizes(tab: Page) -> list[int]:
    """Grows by the length of each event that comes for a turn. A busy browser takes several in one read."""
    sizes: list[int] = []
    streams: set[str] = set()

    def on_response(event: dict[str, Any]) -> None:
        if event["response"]["url"].endswith("/events"):
            streams.add(event["requestId"])

    def on_event(event: dict[str, Any]) -> None:
        if event["requestId"] in streams:
            sizes.append(len(event["data"]))

    session = tab.context.new_cdp_session(tab)
    session.on("Network.responseReceived", on_response)
    session.on("Network.eventSourceMessageReceived", on_event)
    session.send("Network.enable")
    return sizes


@pytest.fixture(scope="module")
def turn(window: BrowserContext, server: PageServer) -> Iterator[LongTurn]:
    with window.new_page() as tab:
        visit = Visit(tab, server.url)
        sizes = wire_sizes(tab)
        tab.evaluate(WATCH)
        visit.ask("LASTING")
        visit.wait("done")
        assert visit.complaints == visit.foreign == []
        yield LongTurn(tab.evaluate("window.seen"), sizes, visit.thought())


def test_the_trace_grows_by_appending_about_ten_times_a_second(turn: LongTurn) -> None:
    seen = turn.seen
    assert seen["removed"] == seen["rewritten"] == 0
    assert 5 < seen["looks"] < 12 * seen["lasted"] / 1000 + 5
    lines = len(re.findall("\n", turn.trace)) + 1
    # One change per look, and a few for every new line: the block, its text and now and then a chunk.
    assert seen["records"] <= 2 * seen["looks"] + 3 * lines


def test_the_wire_carries_additions_only(turn: LongTurn) -> None:
    # The first event sets the turn up, and the last one repeats the finished state once.
    pieces = turn.sizes[1:-1]
    assert len(pieces) > 10
    assert median(pieces[len(pieces) // 2 :]) < len(turn.trace) / 3
    assert sum(pieces) < 2 * len(turn.trace) + 300 * len(pieces)
