"""The page in a browser: what models wrote stays text, and everyone can read it."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from .conftest import FinishedRun

# What a colour scheme can change is contrast alone.
RULES = {
    "light": {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "dark": {"runOnly": {"type": "rule", "values": ["color-contrast"]}},
}
ACTIVE = "script, iframe, link, svg, base, form, object, plaintext, [onmouseover], [onerror]"
# Each tries to run `window.pwned = ...`, to reach evil.example, or to turn the page round.
HOSTILE = (
    """</div></details></style></title><img src=x onerror=window.pwned=1><script>window.pwned=2</script>"""
    """<svg onload=window.pwned=3></svg>" onmouseover="window.pwned=4" x='{{ 7*7 }}{% raw %}<iframe src="""
    """//evil.example></iframe><link rel=stylesheet href=//evil.example/a.css><base href=//evil.example>"""
    """<meta http-equiv=refresh content=0;url=//evil.example>[x](javascript:window.pwned=5) $\\frac{ &lt;b&gt; """
    """\u202e\u2066esrever\u0000\x1b[2J\ufeff<!-- <plaintext> 漢字🙂 ]]> Z\u0300\u0301\u0302\u0303\u0304"""
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = FinishedRun(tmp_path_factory.mktemp("hostile") / "run", HOSTILE)
    run.report()
    return f"file://{run.folder.report}/index.html"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", list(RULES))
def test_hostile_text_stays_text_and_axe_finds_nothing_serious(browser: Browser, address: str, scheme: str) -> None:
    fetched: list[str] = []
    with browser.new_context(color_scheme=scheme, viewport={"width": 1100, "height": 900}) as context:
        tab = context.new_page()
        tab.on("request", lambda request: fetched.append(request.url))
        tab.goto(address)
        tab.evaluate("document.querySelectorAll('details').forEach(found => found.open = true)")
        tab.wait_for_timeout(100)
        assert tab.evaluate("window.pwned") is None
        assert [url for url in fetched if not url.startswith("data:image/png")] == [address]
        assert tab.locator(ACTIVE).count() == 0
        assert (tab.locator("img").count(), tab.locator("meta").count()) == (5, 5)
        text = tab.inner_text("main")
        assert "<script>window.pwned=2</script>" in text and "{{ 7*7 }}{% raw %}" in text, "it stays readable"
        assert "\\u202e\\u2066esrever\\x00\\x1b[2J\\ufeff" in text
        assert not set(tab.content()) & set("\x00\x1b\u202e\u2066\ufeff")
        violations = Axe().run(tab, options=RULES[scheme]).response["violations"]
        serious = [(v["id"], v["nodes"][0]["html"][:200]) for v in violations if v["impact"] in ("serious", "critical")]
        assert serious == []
        tab.set_viewport_size({"width": 360, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
