"""The browser's way past the key: a form once, then a cookie that is not the key and cannot be forged."""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from fastapi import FastAPI, Request
from live_server import unstarted
from starlette.types import Message

from r1chat.app.commands import serve
from r1chat.serve.api import security, sign_in
from r1chat.serve.api.security import owner_of
from r1chat.serve.api.server import ServerConfig, create_app

KEY = "s3cret-kéy"
BROWSER = {"accept": "text/html,application/xhtml+xml"}


def app(*keys: str) -> FastAPI:
    """The API with a page at /, behind `keys`."""
    config = ServerConfig(api_key=keys[0] if keys else None, more_keys=keys[1:])
    made = create_app(config, unstarted())
    page = FastAPI(openapi_url=None)

    @page.get("/")
    async def index(request: Request) -> str:
        return owner_of(request)

    made.mount("/", page)
    return made


def call(app: FastAPI, method: str, path: str, headers: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
    async def send() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.request(method, path, headers=headers, **body)

    return asyncio.run(send())


def signed_in(app: FastAPI, key: str) -> httpx2.Response:
    return call(app, "POST", "/sign-in", BROWSER, data={"key": key})


def cookie_of(answer: httpx2.Response) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def test_a_browser_gets_a_form_and_a_program_an_error() -> None:
    served = app(KEY)
    form = call(served, "GET", "/", BROWSER)
    assert form.status_code == 401 and form.headers["content-type"].startswith("text/html")
    assert 'action="/sign-in"' in form.text and 'type="password"' in form.text
    assert "www-authenticate" not in form.headers, "the browser would ask in its own way, and every time anew"
    assert "default-src 'none'" in form.headers["content-security-policy"]
    for path in ("/v1/models", "/v1/chat/completions"):
        assert call(served, "GET", path, BROWSER).json()["error"]["type"] == "authentication_error"


def test_the_key_is_asked_for_once() -> None:
    served = app(KEY)
    answer = signed_in(served, KEY)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    for path in ("/", "/v1/models", "/openapi.json"):
        assert call(served, "GET", path, {"cookie": cookie_of(answer)}).status_code == 200, path


def test_the_cookie_is_for_our_pages_alone_and_tells_no_script() -> None:
    header = signed_in(app(KEY), KEY).headers["set-cookie"]
    (morsel,) = SimpleCookie(header).values()
    assert morsel["httponly"] and morsel["samesite"].lower() == "strict" and morsel["path"] == "/"
    assert int(morsel["max-age"]) > 24 * 3600 and not morsel["domain"]
    assert KEY not in header and "s3cret" not in header


def test_a_wrong_key_gets_the_form_again_and_no_cookie() -> None:
    for key in ("wrong", "", "s3cret", KEY + "x"):
        answer = signed_in(app(KEY), key)
        assert answer.status_code == 401 and "not the key" in answer.text and "set-cookie" not in answer.headers


def forged(cookie: str, kind: str) -> str:
    name, _, value = cookie.partition("=")
    expires, _, signature = value.partition(".")
    return {
        "of another time": f"{name}={int(expires) + 1}.{signature}",
        "with another signature": f"{name}={expires}.{signature[:-1]}{'0' if signature[-1] != '0' else '1'}",
        "of another name": f"other={value}",
        "of another port": f"r1chat_9000={value}",
        "empty": f"{name}=",
        "cut short": f"{name}={expires}.",
        "of odd digits": f"{name}=１２３.{signature}",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    "of another time|with another signature|of another name|of another port|empty|cut short|of odd digits".split("|"),
)
def test_a_forged_cookie_opens_nothing(kind: str) -> None:
    served = app(KEY)
    cookie = forged(cookie_of(signed_in(served, KEY)), kind)
    assert call(served, "GET", "/v1/models", {b"cookie": cookie.encode()}).status_code == 401  # type: ignore[dict-item]


def test_a_cookie_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    served = app(KEY)
    cookie = cookie_of(signed_in(served, KEY))
    later = time.time() + sign_in.COOKIE_S + 1
    monkeypatch.setattr(sign_in.time, "time", lambda: later)
    assert call(served, "GET", "/v1/models", {"cookie": cookie}).status_code == 401


def test_a_cookie_outlives_the_server_but_not_its_key() -> None:
    cookie = cookie_of(signed_in(app(KEY), KEY))
    assert call(app(KEY), "GET", "/v1/models", {"cookie": cookie}).status_code == 200
    assert call(app("another"), "GET", "/v1/models", {"cookie": cookie}).status_code == 401


def test_each_key_has_cookies_of_its_own_and_its_own_owner() -> None:
    served = app("one", "two")
    owners = {
        call(served, "GET", "/", {"cookie": cookie_of(signed_in(served, key))}).text: key for key in ("one", "two")
    }
    by_bearer = {call(served, "GET", "/", {"authorization": f"Bearer {key}"}).text: key for key in ("one", "two")}
    assert owners == by_bearer and len(owners) == 2


def test_whoever_sets_or_changes_the_key_stays_who_they_are_and_other_keys_are_others() -> None:
    def owner(key: str, *keys: str) -> str:
        return call(app(*keys), "GET", "/", {"authorization": f"Bearer {key}"}).text

    assert owner("") == owner("one", "one") == owner("new", "new", "two")
    assert owner("two", "one", "two") == owner("two", "new", "three", "two") != owner("one", "one", "two")


def test_another_site_cannot_sign_a_browser_in() -> None:
    headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    answer = call(app(KEY), "POST", "/sign-in", headers, data={"key": KEY})
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_a_huge_form_is_refused_without_being_kept() -> None:
    answer = call(app(KEY), "POST", "/sign-in", BROWSER, content=urlencode({"key": KEY, "x": "y" * 10_000}))
    assert answer.status_code == 401 and "set-cookie" not in answer.headers


def test_without_a_key_there_is_nothing_to_sign_in_to() -> None:
    free = create_app(ServerConfig(), unstarted())
    assert call(free, "POST", "/sign-in", data={"key": "x"}).status_code == 404


def test_no_picture_of_the_form_leaks_what_was_typed() -> None:
    text = signed_in(app(KEY), "<script>alert(1)</script>").text
    assert not re.search("<script", text)


@pytest.mark.anyio
async def test_a_form_that_comes_too_slowly_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "BODY_S", 0.05)
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(60)
        return {"type": "http.request", "body": b"", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/x-www-form-urlencoded")]
    where = {"type": "http", "method": "POST", "path": "/sign-in", "query_string": b"", "server": ("127.0.0.1", 8000)}
    await app(KEY)({**where, "headers": headers, "scheme": "http", "http_version": "1.1"}, receive, send)
    assert sent[0]["status"] == 408


def test_blanks_round_a_key_are_no_part_of_it() -> None:
    assert signed_in(app(KEY), f" {KEY}\n").status_code == 303
    assert serve.key(f" {KEY}\r\n") == KEY
    with pytest.raises(argparse.ArgumentTypeError):
        serve.key(" ")
