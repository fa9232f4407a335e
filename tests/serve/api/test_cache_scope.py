"""Who finds whose prompts in the cache: a fast first token must not tell one client what another has asked."""

from __future__ import annotations

from typing import Any

import httpx2
from live_server import QUESTION, LiveServer, StartServer


def cached(server: LiveServer, key: str = "", **fields: Any) -> int:
    """Tokens of the question that were in the cache."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    body = {"messages": QUESTION, "max_tokens": 2, **fields}
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"])


def test_without_a_salt_all_share(start_server: StartServer) -> None:
    server = start_server(api_key="a", more_keys=("b",))
    assert (cached(server, "a"), cached(server, "b") > 0) == (0, True)


def test_a_salt_shares_with_itself_alone(start_server: StartServer) -> None:
    server = start_server()
    cached(server)
    assert [cached(server, cache_salt="x"), cached(server, cache_salt="y")] == [0, 0]
    assert cached(server, cache_salt="x") > 0
    assert cached(server, cache_salt="") == cached(server, cache_salt=None) > 0


def test_keys_share_with_themselves_alone_where_the_server_says_so(start_server: StartServer) -> None:
    server = start_server(api_key="a", more_keys=("b",), scope_by_key=True)
    assert (cached(server, "a"), cached(server, "b"), cached(server, "a") > 0) == (0, 0, True)


def test_equal_salts_of_two_keys_are_two_salts(start_server: StartServer) -> None:
    server = start_server(api_key="a", more_keys=("b",), scope_by_key=True)
    assert [cached(server, "a", cache_salt="x"), cached(server, "b", cache_salt="x")] == [0, 0]


def test_every_key_lets_in_and_no_other_does(start_server: StartServer) -> None:
    server = start_server(api_key="a", more_keys=("b",))
    answers = [
        httpx2.get(f"{server.url}/v1/models", headers={"authorization": f"Bearer {key}"}).status_code for key in "abc"
    ]
    assert answers == [200, 200, 401]
