"""Who is turned away: foreign hosts and origins, missing keys, huge bodies; on every route there is."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from live_server import QUESTION, LiveServer, StartServer, unstarted
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route

from r1chat.serve.api.security import MAX_BODY, MAX_FILE, Security, check_bind
from r1chat.serve.api.server import ServerConfig, create_app
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.errors import InvalidRequestError, ModelLoadError

BAD_HOSTS = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example:8000",
    "127.0.0.1/?x",
    "localhost#",
    "[::ffff:1.2.3.4]",
    "169.254.169.254",
    "10.0.0.1",
    "foo@localhost",
    "localhost.",
    "localhost:99999999",
    "localhost,evil.example",
    "[::1",
    "127.0.0.1 ",
    "",
]
GOOD_HOSTS = ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"]
BAD_ORIGINS = [
    "null",
    "https://evil.example",
    "http://localhost.evil.example",
    "http://notlocalhost",
    "file://",
    "http://127.0.0.1.evil.example",
    "chrome-extension://abc",
    "http://127.0.0.1:3000",
    "",
]
KEY = "s3cret-kéy"


def app_with_page(**config: Any) -> FastAPI:
    """The API, with something mounted at / as the page is."""
    app = create_app(
        ServerConfig(json_below=("/v1/", "/page/"), files_to=frozenset({"/page/import"}), **config), unstarted()
    )
    page = FastAPI(openapi_url=None)

    @page.get("/")
    async def index() -> str:
        return "page"

    app.mount("/", page)
    return app


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    def walk(found: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
        for route in found:
            path = prefix + getattr(route, "path", "")
            if isinstance(route, Route):
                yield from ((method, path) for method in sorted(route.methods or ()))
            else:
                # A mount has its routes itself; newer FastAPI keeps an included router whole.
                router: Any = getattr(route, "original_router", route)
                yield from walk(router.routes, path)

    yield from walk(app.routes)


def call(
    app: Any, method: str, path: str, headers: dict[str, str] | None = None, content: bytes = b""
) -> httpx2.Response:
    encoded = {name.encode(): value.encode() for name, value in (headers or {}).items()}

    async def send() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.request(method, path, headers=encoded, content=content)

    return asyncio.run(send())


def raw(server: LiveServer, head: str) -> bytes:
    """Sends bytes that no client library would."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(head.encode("latin-1"))
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while part := sock.recv(65536):
            answer += part
        return answer


def test_the_list_of_routes_is_the_one_that_was_thought_about() -> None:
    assert set(routes(app_with_page())) == {
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/control"),
        ("POST", "/v1/chat/completions/input_tokens"),
        ("POST", "/v1/chat/completions/{completion_id}/control"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/reasoning/fork"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/responses/input_tokens"),
        *(
            ("POST", f"{prefix}/{name}")
            for prefix in ("", "/v1")
            for name in ("tokenize", "detokenize", "apply-template")
        ),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{model_id:path}"),
        ("POST", "/v1/models/load"),
        ("POST", "/v1/models/unload"),
        ("GET", "/v1/memory"),
        ("GET", "/metrics"),
        *((method, "/v1/{rest:path}") for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
        ("GET", "/health"),
        ("GET", "/openapi.json"),
        ("HEAD", "/openapi.json"),
        ("GET", "/"),
    }


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_no_route_answers_to_a_foreign_host(host: str) -> None:
    app = app_with_page()
    for method, path in routes(app):
        assert call(app, method, path, {"host": host}).status_code == 403, (method, path)


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_this_machine_answers_to_its_own_names(host: str) -> None:
    assert call(app_with_page(), "GET", "/", {"host": host}).status_code == 200


def test_two_hosts_or_none_are_refused(live: LiveServer) -> None:
    two = raw(live, "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    none = raw(live, "GET /health HTTP/1.0\r\n\r\n")
    assert b" 200 " not in two.split(b"\r\n")[0] and b" 403 " in none.split(b"\r\n")[0]


@pytest.mark.parametrize("origin", BAD_ORIGINS)
def test_no_route_answers_to_another_sites_page(origin: str) -> None:
    app = app_with_page()
    for method, path in routes(app):
        answer = call(app, method, path, {"origin": origin})
        assert answer.status_code == 403, (method, path)
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_our_own_page_may_call(host: str) -> None:
    assert call(app_with_page(), "GET", "/", {"host": host, "origin": f"http://{host}"}).status_code == 200


def test_embedding_from_another_site_is_refused_but_a_link_may_lead_here() -> None:
    app = app_with_page()
    cross = {"sec-fetch-site": "cross-site"}
    assert call(app, "GET", "/", {**cross, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}).status_code == 403
    assert call(app, "GET", "/", {**cross, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}).status_code == 403
    assert call(app, "POST", "/", {**cross, "sec-fetch-mode": "navigate"}).status_code == 403
    assert (
        call(app, "GET", "/", {**cross, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}).status_code == 200
    )


def test_a_preflight_grants_nothing() -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = call(app_with_page(), "OPTIONS", "/v1/chat/completions", headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_can_send_is_refused(content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = call(app_with_page(), "POST", "/v1/chat/completions", headers, b'{"messages": []}')
    assert answer.status_code == 415


def test_without_the_key_only_health_answers() -> None:
    app = app_with_page(api_key=KEY)
    statuses = {(method, path): call(app, method, path).status_code for method, path in routes(app)}
    assert {route for route, status in statuses.items() if status != 401} == {("GET", "/health")}


def test_why_a_model_failed_is_told_to_those_with_the_key() -> None:
    models = unstarted(EngineConfig(model_path=Path("/secret/place.gguf")))
    with pytest.raises(ModelLoadError):
        asyncio.run(models.start())
    app = create_app(ServerConfig(api_key=KEY), models)
    assert "/secret/place.gguf" in call(app, "GET", "/health", {"authorization": f"Bearer {KEY}"}).text
    stranger = call(app, "GET", "/health")
    assert stranger.status_code == 503 and "secret" not in stranger.text


@pytest.mark.parametrize(
    "path",
    ["//v1/models", "/v1//models", "/%76%31/models", "/v1/models/", "/health/../v1/models", "/health/", "/HEALTH"],
)
def test_no_spelling_of_a_path_goes_round_the_key(path: str) -> None:
    assert call(app_with_page(api_key=KEY), "GET", path).status_code in (401, 404)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Token {KEY}",
        KEY,
        "Basic !!!",
        "Basic " + base64.b64encode(b"x").decode(),
    ],
)
def test_a_wrong_key_is_refused(header: str) -> None:
    headers = {"authorization": header}
    answer = call(app_with_page(api_key=KEY), "GET", "/v1/models", headers)
    assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", [f"Bearer {KEY}", f"bearer {KEY}", "Basic " + base64.b64encode(f"me:{KEY}".encode()).decode()]
)
def test_the_key_opens_as_bearer_and_as_a_browsers_password(header: str) -> None:
    headers = {"authorization": header}
    assert call(app_with_page(api_key=KEY), "GET", "/v1/models", headers).status_code == 200


def test_a_browser_is_asked_for_the_key() -> None:
    answer = call(app_with_page(api_key=KEY), "GET", "/")
    assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic ")


def test_keys_are_compared_by_their_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    from r1chat.serve.api import security

    compared: list[tuple[int, int]] = []

    class Spy:
        @staticmethod
        def compare_digest(a: bytes, b: bytes) -> bool:
            compared.append((len(a), len(b)))
            return a == b

    monkeypatch.setattr(security, "hmac", Spy)
    app = app_with_page(api_key="abc")
    for key in ("a", "abc", "abcdef" * 100):
        call(app, "GET", "/v1/models", {"authorization": f"Bearer {key}"})
    assert compared == [(32, 32)] * 3


@pytest.mark.parametrize(("headers", "closed"), [([], False), ([(b"origin", b"https://evil.example")], True)])
def test_websockets_are_checked_like_everything_else(headers: list[tuple[bytes, bytes]], closed: bool) -> None:
    reached = False
    sent: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        nonlocal reached
        reached = True

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/ws", "headers": [(b"host", b"localhost"), *headers]}
    asyncio.run(Security(inner, host="127.0.0.1")(scope, receive, send))
    assert reached is not closed
    assert [message["type"] for message in sent] == (["websocket.close"] if closed else [])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_loopback_needs_no_key(host: str) -> None:
    check_bind(host, None)
    create_app(ServerConfig(host=host), unstarted())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "myhost", ""])
@pytest.mark.parametrize("key", [None, ""])
def test_the_network_is_not_let_in_without_a_key(host: str, key: str | None) -> None:
    with pytest.raises(InvalidRequestError, match="R1CHAT_API_KEY=") as refused:
        check_bind(host, key)
    assert "=$(openssl" not in str(refused.value), "a key that is made anew at each start locks out who had the last"
    with pytest.raises(InvalidRequestError):
        create_app(ServerConfig(host=host, api_key=key), unstarted())
    check_bind(host, "key")


def test_a_network_bind_answers_to_addresses_and_to_the_names_it_was_given() -> None:
    app = app_with_page(host="0.0.0.0", api_key="k", allowed_hosts=("Box.lan",))
    key = {"authorization": "Bearer k"}
    for host, status in {"192.168.1.5:8000": 200, "[fe80::1]": 200, "box.lan": 200, "evil.example": 403}.items():
        assert call(app, "GET", "/v1/models", {**key, "host": host}).status_code == status, host


def test_a_large_body_is_refused_by_its_length() -> None:
    headers = {"content-type": "application/json"}
    answer = call(app_with_page(), "POST", "/v1/chat/completions", headers, b" " * (MAX_BODY + 1))
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "body_too_large"


@pytest.mark.parametrize(
    ("method", "path", "n_bytes", "status"),
    [
        ("POST", "/page/import", MAX_BODY + 1, 200),
        ("POST", "/page/import", MAX_FILE + 1, 413),
        ("POST", "/page/import/", MAX_BODY + 1, 413),
        ("POST", "/page/conversations", MAX_BODY + 1, 413),
        ("PUT", "/page/import", MAX_BODY + 1, 413),
    ],
)
def test_more_is_taken_where_a_person_brings_a_file_and_nowhere_else(
    method: str, path: str, n_bytes: int, status: int
) -> None:
    """By its length and, where that is missing, as it comes."""

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        while message.get("more_body"):
            message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(body: bytes | AsyncIterator[bytes]) -> int:
        app = Security(inner, host="127.0.0.1", files_to=frozenset({"/page/import"}))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8000") as client:
            try:
                answer = await client.request(method, path, content=body, headers={"content-type": "application/json"})
            except HTTPException as error:
                return error.status_code
            return answer.status_code

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, n_bytes, 1 << 20):
            yield b" " * min(1 << 20, n_bytes - at)

    assert asyncio.run(send(b" " * n_bytes)) == status
    assert asyncio.run(send(pieces())) == status


def test_a_body_without_a_length_is_counted_as_it_comes(live: LiveServer) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 65536
            yield b" " * 65536

    headers = {"content-type": "application/json"}
    try:
        answer = httpx2.post(f"{live.url}/v1/chat/completions", content=endless(), headers=headers)
        assert answer.status_code == 413
    except httpx2.TransportError:
        pass  # the server hung up on us, which is fine too
    assert sent < 20 * MAX_BODY
    assert httpx2.get(live.url + "/health").status_code == 200


def test_an_endless_header_is_cut_off(live: LiveServer) -> None:
    try:
        assert httpx2.get(live.url + "/health", headers={"x": "a" * 50_000_000}).status_code == 400
    except httpx2.TransportError:
        pass  # hung up while we were still sending
    assert httpx2.get(live.url + "/health").status_code == 200


def test_an_unexpected_failure_is_a_503_that_tells_nothing_of_the_inside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, start_server: StartServer
) -> None:
    from r1chat.serve.api import generation

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("at 0x7f00 in /home/me/secret.py")

    server = start_server()
    monkeypatch.setattr(generation, "render", broken)
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json={"messages": QUESTION})
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "internal_error"
    assert "0x7f00" not in answer.text and "secret" not in answer.text and "Traceback" not in answer.text
    assert answer.headers["x-request-id"] in answer.text
    (record,) = [record for record in caplog.records if answer.headers["x-request-id"] in record.getMessage()]
    assert record.exc_info and "0x7f00" in str(record.exc_info[1])


def test_the_key_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    app = app_with_page(api_key=KEY)
    call(app, "GET", "/v1/models", {"authorization": "Bearer nearly-" + "right"})
    assert KEY not in caplog.text and "nearly-right" not in caplog.text
