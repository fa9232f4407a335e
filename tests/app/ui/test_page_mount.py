"""The page as part of a server: the bundled model behind it, a key in front of it, the API beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from r1chat.app.ui.page import build_page
from r1chat.serve.engine.process import EngineConfig
from r1chat.serve.models.catalog import BUNDLED

from .conftest import LABEL, PageServer, Visit, scripted

KEY = "correct horse"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    with PageServer(scripted({}), LABEL, tmp_path_factory.mktemp("data"), api_keys=(KEY,)) as server:
        yield server


@pytest.mark.model
def test_the_bundled_model_answers_the_farmers_riddle_beside_its_thought(browser: Browser, tmp_path: Path) -> None:
    engine = EngineConfig(model_path=BUNDLED)
    with PageServer(engine, "bundled demo model", tmp_path) as server, browser.new_context() as context:
        visit = Visit(context.new_page(), server.url)
        visit.tab.click(".example >> nth=0")
        visit.wait("done")
        assert visit.tab.locator(".answer menclose").text_content() == "9"
        assert "9" in visit.thought()
        assert visit.foreign == [] and visit.complaints == []


def test_the_page_says_which_model_answers(visit: Visit) -> None:
    assert visit.tab.inner_text("#masthead p") == LABEL


def test_a_question_asked_while_the_model_loads_is_answered_when_it_has(browser: Browser, tmp_path: Path) -> None:
    gate = tmp_path / "loaded"
    with (
        PageServer(scripted({"load_gate": str(gate)}), LABEL, tmp_path, loaded=False) as server,
        browser.new_context() as context,
    ):
        visit = Visit(context.new_page(), server.url)
        visit.ask("How many sheep?")
        visit.wait("waiting")
        assert context.request.get(f"{server.url}/health").status == 503
        gate.touch()
        visit.wait("done")


def test_with_the_key_as_a_password_in_the_header_the_page_works(browser: Browser, locked: PageServer) -> None:
    """As a proxy sends it, or a browser that was given it with the address. Asked, a person types it: test_page_key."""
    given = "Basic " + base64.b64encode(f":{KEY}".encode()).decode()
    with browser.new_context(extra_http_headers={"authorization": given}) as context:
        visit = Visit(context.new_page(), locked.url)
        visit.ask("How many sheep?")
        visit.wait("done")


def test_without_the_key_there_is_no_page(browser: Browser, locked: PageServer) -> None:
    with browser.new_context() as context:
        answer = context.request.get(locked.url)
        assert answer.status == 401
        assert "r1chat" not in answer.text().replace('realm="r1chat"', "")


def test_the_api_beside_the_page_keeps_its_routes(browser: Browser, server: PageServer) -> None:
    with browser.new_context() as context:
        assert context.request.get(f"{server.url}/health").json()["status"] == "ok"
        assert context.request.get(f"{server.url}/v1/models").json()["object"] == "list"
        assert context.request.get(f"{server.url}/v1/nothing").status == 404


def test_nothing_can_be_uploaded(browser: Browser, server: PageServer) -> None:
    file = {"name": "a.txt", "mimeType": "text/plain", "buffer": b"0123456789"}
    with browser.new_context() as context:
        answer = context.request.post(f"{server.url}/gradio_api/upload", multipart={"files": file})
        assert answer.status == 413


def test_the_page_reports_to_nobody() -> None:
    assert build_page("none").analytics_enabled is False
