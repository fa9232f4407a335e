"""The page as part of a server: the bundled model behind it, the API beside it. Behind a key: test_page_key."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser

from r1chat.app.ui.page import build_page
from r1chat.serve.engine.process import EngineConfig
from r1chat.serve.models.catalog import BUNDLED

from .conftest import LABEL, PageServer, Visit, scripted


@pytest.mark.slow
@pytest.mark.model
def test_the_bundled_model_answers_the_farmers_riddle_beside_its_thought(browser: Browser, tmp_path: Path) -> None:
    engine = EngineConfig(model_path=BUNDLED)
    with PageServer(engine, "bundled demo model", tmp_path) as server, browser.new_context() as context:
        # One of its draws may be wrong.
        context.request.put(f"{server.url}/page/settings", data={"settings": {"temperature": 0}})
        visit = Visit(context.new_page(), server.url)
        visit.tab.click(".example >> nth=0")
        visit.wait("done")
        assert visit.tab.locator(".answer menclose").text_content() == "9"
        assert "9" in visit.thought()
        assert visit.foreign == [] and visit.complaints == []


@pytest.mark.slow
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


def test_the_api_beside_the_page_keeps_its_routes(server: PageServer) -> None:
    with httpx2.Client(base_url=server.url, trust_env=False) as client:
        assert client.get("/health").json()["status"] == "ok"
        assert client.get("/v1/models").json()["object"] == "list"
        assert client.get("/v1/nothing").status_code == 404


def test_a_browser_asks_whether_a_module_is_still_the_same(server: PageServer) -> None:
    with httpx2.Client(base_url=server.url, trust_env=False) as client:
        first = client.get("/page/assets/chat/start.js")
        again = client.get("/page/assets/chat/start.js", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-cache"


def test_nothing_can_be_uploaded_and_gradio_has_nothing_to_call(server: PageServer) -> None:
    file = {"files": ("a.txt", b"0123456789", "text/plain")}
    assert httpx2.post(f"{server.url}/gradio_api/upload", files=file, trust_env=False).status_code == 404
    call = httpx2.post(f"{server.url}/gradio_api/queue/join", json={"data": []}, trust_env=False)
    assert call.status_code == 404 and call.json()["error"]["message"]


def test_the_page_reports_to_nobody() -> None:
    assert build_page("none").analytics_enabled is False


def test_a_server_that_nobody_uses_sleeps(tmp_path: Path) -> None:
    with PageServer(scripted({}), LABEL, tmp_path) as server:
        n_wakes = server.count_wakes(for_s=2.0)
    assert n_wakes < 100
