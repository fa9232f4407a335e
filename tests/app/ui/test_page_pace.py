"""A long thought costs the same per token at its end as at its beginning. Counted, not timed."""

from __future__ import annotations

import re
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conftest import Visit

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


def test_the_trace_grows_by_appending_about_ten_times_a_second(visit: Visit) -> None:
    visit.tab.evaluate(WATCH)
    visit.ask("LONG")
    visit.wait("done")
    seen = visit.tab.evaluate("window.seen")
    assert seen["removed"] == seen["rewritten"] == 0
    assert 5 < seen["looks"] < 12 * seen["lasted"] / 1000 + 5
    lines = len(re.findall("\n", visit.text(".trace .text"))) + 1
    # One change per look, and two for every new line: the block and its text.
    assert seen["records"] <= 2 * seen["looks"] + 3 * lines


def test_the_wire_carries_additions_only(visit: Visit) -> None:
    sizes: list[int] = []
    streams: set[str] = set()

    def on_response(event: dict[str, Any]) -> None:
        if "queue/data" in event["response"]["url"]:
            streams.add(event["requestId"])

    def on_data(event: dict[str, Any]) -> None:
        if event["requestId"] in streams:
            sizes.append(event["dataLength"])

    session = visit.tab.context.new_cdp_session(visit.tab)
    session.on("Network.responseReceived", on_response)
    session.on("Network.dataReceived", on_data)
    session.send("Network.enable")
    visit.ask("LONG")
    visit.wait("done")
    length = len(visit.text(".trace .text"))
    # The first messages set the turn up, and the last one repeats the finished state once.
    early, late = sizes[3:13], sizes[-14:-4]
    assert len(sizes) > 25
    assert median(late) < 1.5 * median(early)
    assert median(late) < length / 3
