"""Tools on the bundled model, which knows none: its calls are calls all the same, and their results go on from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from live_server import LiveServer, start_model

from r1chat.serve.models.catalog import BUNDLED

pytestmark = pytest.mark.model

QUESTION = {"role": "user", "content": "What is 15% of 240?"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"enum": ["Paris", "Rome"]},
                "days": {"type": "integer", "maximum": 9, "minimum": 1},
            },
            "required": ["city", "days"],
        },
    },
}
NOW = {"type": "function", "function": {"name": "now"}}
NAMED = {"type": "function", "function": {"name": "get_weather"}}


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


def ask(server: LiveServer, messages: list[Any], **fields: Any) -> dict[str, Any]:
    body = {"messages": messages, "tools": [WEATHER, NOW], "max_tokens": 500, **fields}
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_required_call_is_a_call_behind_a_thought(demo: LiveServer, seed: int) -> None:
    choice = ask(demo, [QUESTION], tool_choice="required", parallel_tool_calls=False, seed=seed)["choices"][0]
    message = choice["message"]
    assert choice["finish_reason"] == "tool_calls"
    assert message["reasoning"] and not message["content"]
    [call] = message["tool_calls"]
    arguments = json.loads(call["function"]["arguments"])
    if call["function"]["name"] == "now":
        assert arguments == {}
    else:
        assert call["function"]["name"] == "get_weather"
        assert arguments["city"] in ("Paris", "Rome") and arguments["days"] in range(1, 10)


@pytest.mark.slow
def test_results_go_on_from_a_thought_and_a_call_that_are_cached(demo: LiveServer) -> None:
    """But for the call's closing tag, which nobody had to compute, and for thoughts whose text, cut anew, makes
    other tokens than this small model drew.
    """
    computed = []
    for seed in range(20):
        first = ask(demo, [QUESTION], tool_choice=NAMED, seed=seed)
        message = first["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sunny"}
        cached = ask(demo, [QUESTION, message, result], max_tokens=20)["usage"]["prompt_tokens_details"][
            "cached_tokens"
        ]
        computed.append(first["usage"]["prompt_tokens"] + first["usage"]["completion_tokens"] - cached)
        if computed[-1] <= 16:
            return
    raise AssertionError(computed)


def test_the_sdk_reads_streamed_calls(demo: LiveServer) -> None:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none") as sdk:
        stream = sdk.chat.completions.create(
            model="demo",
            messages=[{"role": "user", "content": "What is 15% of 240?"}],
            tools=[WEATHER, NOW],
            tool_choice=NAMED,
            seed=1,
            stream=True,
        )
        chunks = [chunk.choices[0] for chunk in stream if chunk.choices]
    pieces = [call for choice in chunks for call in choice.delta.tool_calls or []]
    assert pieces[0].id and pieces[0].function and pieces[0].function.name == "get_weather"
    assert not any(piece.id for piece in pieces[1:])
    texts = [piece.function.arguments or "" for piece in pieces if piece.function]
    assert len(texts) > 2, "arguments come as they are made"
    assert set(json.loads("".join(texts))) == {"city", "days"}
    assert chunks[-1].finish_reason == "tool_calls"
    assert not any(choice.delta.content for choice in chunks)


@pytest.mark.slow
def test_a_tool_whose_schema_cannot_be_kept_to_is_refused_and_the_child_lives(demo: LiveServer) -> None:
    parameters = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
    tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": parameters}}
    pid = demo.pid
    answer = httpx2.post(f"{demo.url}/v1/chat/completions", json={"messages": [QUESTION], "tools": [tool]}, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "tools"
    assert ask(demo, [QUESTION], tool_choice=NAMED, seed=0)["choices"][0]["message"]["tool_calls"]
    assert demo.pid == pid
