"""/tokenize, /detokenize and /apply-template: what the model sees of a text, in llama-server's shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from live_server import LiveServer, start_model

from r1chat.serve.models.catalog import BUNDLED

pytestmark = pytest.mark.model

TEXT = "What is 15% of 媽 🤗 ?"
BOS = "<｜begin▁of▁sentence｜>"
MESSAGES = [{"role": "user", "content": "What is 3 + 4?"}]


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


def post(server: LiveServer, path: str, **body: Any) -> Any:
    answer = httpx2.post(f"{server.url}{path}", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_tokens_of_a_text_become_the_text_again(demo: LiveServer, prefix: str) -> None:
    tokens = post(demo, f"{prefix}/tokenize", content=TEXT)["tokens"]
    assert len(tokens) > 5 and all(isinstance(token, int) for token in tokens)
    assert post(demo, f"{prefix}/detokenize", tokens=tokens) == {"content": TEXT}


def test_pieces_are_text_or_bytes_and_nothing_is_lost(demo: LiveServer) -> None:
    pieces = post(demo, "/tokenize", content=TEXT, with_pieces=True)["tokens"]
    raw = [piece["piece"].encode() if isinstance(piece["piece"], str) else bytes(piece["piece"]) for piece in pieces]
    assert b"".join(raw).decode() == TEXT
    assert any(isinstance(piece["piece"], list) for piece in pieces), "no token of this text is half a character"
    assert [piece["id"] for piece in pieces] == post(demo, "/tokenize", content=TEXT)["tokens"]


def test_a_spelled_special_token_is_one_token_or_plain_text(demo: LiveServer) -> None:
    assert len(post(demo, "/tokenize", content="<｜User｜>")["tokens"]) == 1
    assert len(post(demo, "/tokenize", content="<｜User｜>", parse_special=False)["tokens"]) > 1


def test_the_first_token_is_put_in_front_where_it_is_asked_for(demo: LiveServer) -> None:
    bos, *rest = post(demo, "/tokenize", content="one two", add_special=True)["tokens"]
    assert rest == post(demo, "/tokenize", content="one two")["tokens"]
    assert [bos] == post(demo, "/tokenize", content=BOS)["tokens"]


def test_no_text_is_no_token(demo: LiveServer) -> None:
    assert post(demo, "/tokenize", content="") == {"tokens": []}
    assert post(demo, "/detokenize", tokens=[]) == {"content": ""}


@pytest.mark.parametrize("token", [-1, 10**6, 2**31, 2**70])
def test_a_number_that_is_no_token_is_refused(demo: LiveServer, token: int) -> None:
    answer = httpx2.post(f"{demo.url}/detokenize", json={"tokens": [1, token]})
    assert answer.status_code == 400 and answer.json()["error"]["param"].startswith("tokens")


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_a_template_shows_the_prompt_that_a_chat_would_have(demo: LiveServer, prefix: str) -> None:
    prompt = post(demo, f"{prefix}/apply-template", messages=MESSAGES)["prompt"]
    assert prompt == f"{BOS}<｜User｜>What is 3 + 4?<｜Assistant｜><think>\n"
    tokens = post(demo, "/tokenize", content=prompt)["tokens"]
    chat = post(demo, "/v1/chat/completions", messages=MESSAGES, max_tokens=99)
    assert len(tokens) == chat["usage"]["prompt_tokens"]


def test_a_template_without_thinking_ends_behind_the_closed_thought(demo: LiveServer) -> None:
    prompt = post(demo, "/apply-template", messages=MESSAGES, think=False)["prompt"]
    assert prompt.endswith("<｜Assistant｜><think>\n</think>\n\n")


def test_a_template_shows_what_the_reply_begins_with(demo: LiveServer) -> None:
    begun = [*MESSAGES, {"role": "assistant", "content": "3 + 4 ="}]
    prompt = post(demo, "/apply-template", messages=begun, continue_final_message=True)["prompt"]
    assert prompt.endswith("<｜Assistant｜><think>\n\n</think>\n\n3 + 4 =")


def test_a_template_tells_of_tools(demo: LiveServer) -> None:
    tool = {"type": "function", "function": {"name": "find_weather", "parameters": {"type": "object"}}}
    assert "find_weather" in post(demo, "/apply-template", messages=MESSAGES, tools=[tool])["prompt"]


def test_null_stands_for_what_is_left_out(demo: LiveServer) -> None:
    plain = post(demo, "/tokenize", content=f"{BOS}one")
    assert post(demo, "/tokenize", content=f"{BOS}one", add_special=None, parse_special=None, with_pieces=None) == plain
