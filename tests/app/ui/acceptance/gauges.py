"""What a browser tells of itself while the page works: frames, long tasks, memory, and how soon it reacts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

MB = 2**20
# To be called before the question: frames and long tasks from here to the end of the turn, and when that was drawn.
WATCH_STREAM = """() => {
    const seen = window.seen = { gaps: [], long: 0, looks: 0, over: null };
    let last = null;
    const frame = (now) => {
        if (last !== null) seen.gaps.push(now - last);
        last = now;
        if (!seen.over) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) seen.long += duration; })
        .observe({ type: 'longtask' });
    const state = () => document.querySelector('.turn:last-child')?.dataset.state;
    const turns = new MutationObserver(() => {
        if (!['done', 'stopped', 'failed'].includes(state())) return;
        turns.disconnect();
        requestAnimationFrame(() => requestAnimationFrame(() => { seen.over = Date.now(); }));
    });
    const changes = { subtree: true, childList: true, attributeFilter: ['data-state'] };
    turns.observe(document.querySelector('.turns'), changes);
}"""
# When the first words of the thought were drawn, and how often it grew.
WATCH_GROWTH = """() => {
    const grown = window.grown = { first: null, last: null, looks: 0 };
    const box = () => document.querySelector('.turn:last-child .trace .text');
    new MutationObserver((records) => {
        if (!box()?.textContent || !records.some(({ target }) => box().contains(target))) return;
        grown.looks += 1;
        requestAnimationFrame(() => {
            grown.first ??= Date.now();
            grown.last = Date.now();
        });
    }).observe(document.querySelector('.turns'), { subtree: true, childList: true, characterData: true });
}"""
# From the next press of a key or a button to the first frame in which `holds` does.
WATCH_REACTION = """(holds) => {
    const isSo = new Function(`return ${holds}`);
    const types = ['pointerdown', 'keydown'];
    window.reaction = new Promise((resolve) => {
        const begin = ({ timeStamp }) => {
            for (const type of types) removeEventListener(type, begin, { capture: true });
            const look = () => {
                if (isSo()) setTimeout(() => resolve(performance.now() - timeStamp));
                else requestAnimationFrame(look);
            };
            requestAnimationFrame(look);
        };
        for (const type of types) addEventListener(type, begin, { capture: true });
    });
}"""
# From each press of a key to the frame after it.
WATCH_TYPING = """() => {
    window.typed = [];
    const channel = new MessageChannel();
    const began = [];
    channel.port1.onmessage = () => typed.push(performance.now() - began.shift());
    addEventListener('keydown', ({ timeStamp }) => {
        began.push(timeStamp);
        // A message that is sent within a frame comes once that has been drawn.
        requestAnimationFrame(() => channel.port2.postMessage(null));
    }, { capture: true });
}"""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class Stream:
    """How the browser got through one turn. Times in ms, but `late_s` and `took_s`."""

    p95: float
    p99: float
    long: float
    late_s: float
    took_s: float
    heap_mb: float


def watch_reaction(tab: Page, holds: str) -> None:
    """To be called before the press. `holds` is a JavaScript expression."""
    tab.evaluate(WATCH_REACTION, holds)


def reaction(tab: Page) -> float:
    """Milliseconds from the press until it held."""
    took: float = tab.evaluate("window.reaction")
    return took


class Heap:
    """The page's memory, without what is only waiting to be collected."""

    def __init__(self, tab: Page) -> None:
        self._session = tab.context.new_cdp_session(tab)
        self._session.send("Performance.enable")
        self._before = self._used()

    @property
    def growth_mb(self) -> float:
        return (self._used() - self._before) / MB

    def _used(self) -> float:
        self._session.send("HeapProfiler.collectGarbage")
        metrics: list[dict[str, Any]] = self._session.send("Performance.getMetrics")["metrics"]
        used: float = next(metric["value"] for metric in metrics if metric["name"] == "JSHeapUsedSize")
        return used
