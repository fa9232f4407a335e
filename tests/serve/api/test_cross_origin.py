"""Pages of other origins: none may call, but those that were let in by name, and they can read what they get."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from live_server import QUESTION, StartServer, unstarted

from r1chat.serve.api.server import ServerConfig, create_app
from r1chat.serve.errors import InvalidRequestError

PAGE = "http://localhost:3000"
ASKED = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}


def call(method: str, path: str, headers: dict[str, str], **config: Any) -> httpx2.Response:
    app = create_app(ServerConfig(**config), unstarted())

    async def send() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


@pytest.mark.parametrize("page", [PAGE, "app://obsidian.md", "chrome-extension://abcdef", "tauri://localhost"])
def test_a_page_let_in_by_name_may_ask_and_read(page: str) -> None:
    answer = call("GET", "/v1/models", {"origin": page, "sec-fetch-site": "cross-site"}, cors_origins=(page,))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == page and "origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers, "cookies are for our own page"
    readable = answer.headers["access-control-expose-headers"]
    assert "x-request-id" in readable and "x-should-retry" in readable, "or the SDK asks again in vain"


def test_its_preflight_needs_no_key_and_the_request_does() -> None:
    given: dict[str, Any] = {"cors_origins": (PAGE,), "api_key": "k"}
    preflight = call("OPTIONS", "/v1/chat/completions", {"origin": PAGE, **ASKED}, **given)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-headers"] == "authorization, content-type"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    refused = call("GET", "/v1/models", {"origin": PAGE}, **given)
    assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == PAGE
    assert call("GET", "/v1/models", {"origin": PAGE, "authorization": "Bearer k"}, **given).status_code == 200


@pytest.mark.parametrize("origin", ["http://localhost:3001", "https://localhost:3000", f"{PAGE}.evil.example", "null"])
def test_no_other_origin_slips_in_beside_it(origin: str) -> None:
    for method in ("GET", "OPTIONS"):
        answer = call(method, "/v1/models", {"origin": origin, **ASKED}, cors_origins=(PAGE,))
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "origin", ["*", "localhost:3000", f"{PAGE}/", "file://", "http://", "http://a b", "3d://a", "null"]
)
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no origin"):
        create_app(ServerConfig(cors_origins=(origin,)), unstarted())


def test_a_stream_can_be_read_by_such_a_page(start_server: StartServer) -> None:
    server = start_server(cors_origins=(PAGE,))
    body = {"messages": QUESTION, "stream": True, "max_tokens": 3}
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, headers={"origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == PAGE and answer.text.endswith("[DONE]\n\n")
