"""T26: a page from elsewhere gets nothing done here, by whatever way it asks. All routes: serve/api/test_security."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from ..conftest import PageServer, Visit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

EVIL = "http://evil.example"
# What a page elsewhere can send without asking first, and what it cannot.
ATTEMPTS = """(url) => Promise.all([
    fetch(`${url}/page/ask`, { method: 'POST', mode: 'no-cors', body: '{"conversation":null,"text":"SHORT please"}' }),
    fetch(`${url}/page/ask`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }),
    fetch(`${url}/page/conversations`),
    fetch(`${url}/v1/models`),
].map((asked) => asked.then(({ type }) => type, () => 'refused')))"""


def n_conversations(server: PageServer) -> int:
    return len(server.services.store.list("", 1000))


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ({"origin": EVIL, "content-type": "application/json"}, {403}),
        ({"host": "evil.example", "content-type": "application/json"}, {403}),
        ({"origin": "null", "content-type": "application/json"}, {403}),
        ({"content-type": "text/plain"}, {415}),
        ({"content-type": "application/x-www-form-urlencoded"}, {415}),
    ],
    ids=["origin", "host", "null origin", "text/plain", "form"],
)
def test_t26_a_forged_request_is_refused_and_does_nothing(
    server: PageServer, headers: dict[str, str], statuses: set[int]
) -> None:
    before = n_conversations(server)
    answer = httpx2.post(
        f"{server.url}/page/ask", content=b'{"conversation": null, "text": "x"}', headers=headers, trust_env=False
    )
    assert answer.status_code in statuses and answer.json()["error"]["message"]
    assert "access-control-allow-origin" not in answer.headers
    assert n_conversations(server) == before


@pytest.mark.slow
def test_t26_another_sites_page_in_a_browser_gets_nothing_done(window: BrowserContext, server: PageServer) -> None:
    before = n_conversations(server)
    with window.new_page() as tab:
        tab.route(f"{EVIL}/**", lambda route: route.fulfill(body="<!doctype html><h1>evil", content_type="text/html"))
        tab.goto(f"{EVIL}/")
        told = tab.evaluate(ATTEMPTS, server.url)
        assert told[0] in ("opaque", "refused") and told[1:] == ["refused"] * 3
        tab.set_content(
            f"<form method=post enctype=text/plain action={server.url}/page/ask>"
            '<input name=\'{"conversation":null,"text":"SHORT\' value=\'please"}\'></form>'
        )
        with tab.expect_navigation():
            tab.evaluate("document.forms[0].submit()")
        assert "refused" in tab.inner_text("body")
    assert n_conversations(server) == before


def test_t26_the_pages_own_requests_and_programs_are_let_in(visit: Visit) -> None:
    own = httpx2.get(f"{visit.url}/v1/models", headers={"origin": visit.url}, trust_env=False)
    program = httpx2.get(f"{visit.url}/v1/models", trust_env=False)
    assert (own.status_code, program.status_code) == (200, 200)
