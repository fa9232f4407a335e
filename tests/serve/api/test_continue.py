"""continue_final_message: a reply goes on where a client's last message ends, in the answer or amid the thought."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from live_server import LiveServer, start_model

from r1chat.serve.models.catalog import BUNDLED

pytestmark = pytest.mark.model

QUESTION = {"role": "user", "content": "What is 23 + 45?"}


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


def post(server: LiveServer, messages: list[dict[str, Any]], **fields: Any) -> httpx2.Response:
    body = {"messages": messages, "temperature": 0, "max_tokens": 400, "deterministic": True, **fields}
    return httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)


def message_of(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    message: dict[str, Any] = answer.json()["choices"][0]["message"]
    return message


def begun(**message: Any) -> list[dict[str, Any]]:
    return [QUESTION, {"role": "assistant", **message}]


@pytest.fixture(scope="module")
def free(demo: LiveServer) -> dict[str, Any]:
    """What the model says by itself."""
    return message_of(post(demo, [QUESTION]))


@pytest.mark.parametrize("how", [True, "reasoning_content"])
def test_a_thought_goes_on_as_it_would_have(demo: LiveServer, free: dict[str, Any], how: Any) -> None:
    at = free["reasoning"].index(" ", 20)
    start, rest = free["reasoning"][:at], free["reasoning"][at:]
    message = message_of(post(demo, begun(content=None, reasoning_content=start), continue_final_message=how))
    assert message["reasoning"] == rest and message["content"] == free["content"]


@pytest.mark.parametrize("how", [True, "content"])
def test_an_answer_goes_on_behind_its_closed_thought(demo: LiveServer, free: dict[str, Any], how: Any) -> None:
    at = free["content"].index(" ", 5)
    start, rest = free["content"][:at], free["content"][at:]
    messages = begun(content=start, reasoning=free["reasoning"])
    answer = post(demo, messages, continue_final_message=how, add_generation_prompt=False)
    message, choice = message_of(answer), answer.json()["choices"][0]
    assert message["reasoning"] is None and message["content"] == rest
    assert answer.json()["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
    assert choice["finish_reason"] == "stop"


def test_an_answer_may_be_begun_without_a_thought(demo: LiveServer) -> None:
    message = message_of(post(demo, begun(content="The answer is"), continue_final_message=True))
    assert message["reasoning"] is None and message["content"].strip()
    assert "think>" not in message["content"]


def test_a_closed_thought_may_wait_for_its_answer(demo: LiveServer, free: dict[str, Any]) -> None:
    messages = begun(content="", reasoning=free["reasoning"])
    message = message_of(post(demo, messages, continue_final_message="content"))
    assert message["reasoning"] is None and message["content"] == free["content"]


def test_words_put_into_a_thought_change_where_it_goes(demo: LiveServer, free: dict[str, Any]) -> None:
    other = "23 + 45. I add the tens first: 20 + 40 = 60."
    message = message_of(post(demo, begun(reasoning_content=other), continue_final_message=True))
    assert message["reasoning"] != free["reasoning"] and message["content"].strip()


def test_streamed_only_what_is_new_comes(demo: LiveServer, free: dict[str, Any]) -> None:
    at = free["reasoning"].index(" ", 20)
    messages = begun(reasoning_content=free["reasoning"][:at])
    text = post(demo, messages, continue_final_message=True, stream=True).text
    parts = [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: {")]
    deltas = [part["choices"][0]["delta"] for part in parts if part["choices"]]
    assert "".join(delta.get("reasoning") or "" for delta in deltas) == free["reasoning"][at:]
    assert "".join(delta.get("content") or "" for delta in deltas) == free["content"]


def test_a_budget_counts_only_what_is_new(demo: LiveServer, free: dict[str, Any]) -> None:
    messages = begun(reasoning_content=free["reasoning"][:30])
    reply = post(demo, messages, continue_final_message=True, reasoning_budget_tokens=8, reasoning_grace_tokens=0)
    message, usage = message_of(reply), reply.json()["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] <= 8 and message["content"].strip()


def test_without_the_field_the_last_message_is_history(demo: LiveServer) -> None:
    message = message_of(post(demo, begun(content="It is 68."), max_tokens=400))
    assert message["content"].strip()


@pytest.mark.parametrize(
    ("messages", "fields", "kind", "param"),
    [
        ([QUESTION], {"continue_final_message": True}, "invalid_request_error", "messages"),
        (begun(content="x"), {"continue_final_message": "reasoning_content"}, "invalid_request_error", None),
        (
            begun(content="x"),
            {"continue_final_message": True, "add_generation_prompt": True},
            "invalid_request_error",
            "add_generation_prompt",
        ),
        ([QUESTION], {"add_generation_prompt": False}, "not_supported", "add_generation_prompt"),
    ],
)
def test_what_cannot_be_continued_is_a_400(
    demo: LiveServer, messages: list[dict[str, Any]], fields: dict[str, Any], kind: str, param: str | None
) -> None:
    for stream in (False, True):
        answer = post(demo, messages, stream=stream, **fields)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, kind)
        assert param is None or answer.json()["error"]["param"] == param
