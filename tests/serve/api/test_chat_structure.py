"""Forms of the answer, tools and votes through the chat route, on the bundled model: whole, streamed, by the SDK."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema_rs
import openai
import pytest
from live_server import LiveServer, start_model

from r1chat.serve.models.catalog import BUNDLED

pytestmark = pytest.mark.model

QUESTION: list[Any] = [{"role": "user", "content": "What is 12 + 5?"}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"sure": {"type": "boolean"}, "size": {"enum": ["small", "large"]}},
    "required": ["sure", "size"],
    "additionalProperties": False,
}
FORMAT: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": SCHEMA}}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "keep",
        "parameters": {
            "type": "object",
            "properties": {"colour": {"enum": ["red", "blue"]}},
            "required": ["colour"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


def post(server: LiveServer, **fields: Any) -> httpx2.Response:
    body = {"messages": QUESTION, "temperature": 0, "max_tokens": 200, **fields}
    return httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)


def choice_of(server: LiveServer, **fields: Any) -> dict[str, Any]:
    answer = post(server, **fields)
    assert answer.status_code == 200, answer.text
    choice: dict[str, Any] = answer.json()["choices"][0]
    return choice


def deltas(server: LiveServer, **fields: Any) -> list[dict[str, Any]]:
    text = post(server, stream=True, **fields).text
    parts = [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: {")]
    return [part["choices"][0] for part in parts if part["choices"]]


@pytest.mark.parametrize("thinking", [{}, {"reasoning_budget_tokens": 8}, {"think": False}], ids=str)
def test_an_answer_keeps_to_its_schema_behind_every_thought(demo: LiveServer, thinking: dict[str, Any]) -> None:
    choice = choice_of(demo, response_format=FORMAT, **thinking)
    assert set(json.loads(choice["message"]["content"])) == {"sure", "size"}
    assert bool(choice["message"]["reasoning"]) is (thinking != {"think": False})
    streamed = deltas(demo, response_format=FORMAT, **thinking)
    assert json.loads("".join(one["delta"].get("content") or "" for one in streamed))


BOUNDED: list[dict[str, Any]] = [
    SCHEMA,
    {
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3},
            "unit": {"type": "string", "pattern": "^[a-z]{1,8}$"},
            "note": {"type": ["string", "null"], "maxLength": 12},
        },
        "required": ["steps", "unit", "note"],
        "additionalProperties": False,
    },
]


async def _thought_and_answer(client: httpx2.AsyncClient, url: str, body: dict[str, Any]) -> tuple[str, str, str]:
    text = (await client.post(url, json=body)).text
    if not body["stream"]:
        choice = json.loads(text)["choices"][0]
        return choice["message"]["reasoning"] or "", choice["message"]["content"], choice["reasoning_end"]
    parts = [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: {")]
    told = [part["choices"][0]["delta"] for part in parts]
    reasoning, content = ("".join(delta.get(name) or "" for delta in told) for name in ("reasoning", "content"))
    return reasoning, content, parts[-1]["choices"][0]["reasoning_end"]


async def _all(server: LiveServer, bodies: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    places = asyncio.Semaphore(12)

    async def one(client: httpx2.AsyncClient, body: dict[str, Any]) -> tuple[str, str, str]:
        async with places:
            return await _thought_and_answer(client, f"{server.url}/v1/chat/completions", body)

    async with httpx2.AsyncClient(timeout=120) as client:
        return await asyncio.gather(*(one(client, body) for body in bodies))


@pytest.mark.slow
def test_two_hundred_thoughts_and_answers_of_a_schema_are_all_whole(demo: LiveServer) -> None:
    rng = random.Random(4)
    bodies: list[dict[str, Any]] = [
        {
            "messages": [{"role": "user", "content": f"What is {rng.randrange(99)} + {rng.randrange(99)}?"}],
            "response_format": {"type": "json_schema", "json_schema": {"schema": BOUNDED[i % 2]}},
            "stream": i % 4 < 2,
            "max_tokens": 300,
            "temperature": 0.8,
            "seed": i,
            "reasoning_budget_tokens": rng.randrange(1, 30) if i % 3 else None,
            "reasoning_grace_tokens": rng.choice([0, 32]),
        }
        for i in range(200)
    ]
    ends: Counter[str] = Counter()
    for body, (reasoning, content, end) in zip(bodies, asyncio.run(_all(demo, bodies)), strict=True):
        jsonschema_rs.validate(body["response_format"]["json_schema"]["schema"], json.loads(content))
        assert reasoning.strip(), body
        ends[end] += 1
    assert ends["natural"] > 20 and ends["budget"] + ends["soft_landing"] > 50, ends


def test_a_pattern_and_a_choice_bind_the_answer_too(demo: LiveServer) -> None:
    assert re.fullmatch("[0-9]{2} sheep", choice_of(demo, regex="[0-9]{2} sheep")["message"]["content"])
    assert choice_of(demo, choice=["yes", "no"])["message"]["content"] in ("yes", "no")


def test_a_schema_that_nobody_can_keep_is_a_400(demo: LiveServer) -> None:
    child = demo.pid
    broken = {"type": "json_schema", "json_schema": {"schema": {"type": "string", "pattern": "("}}}
    for stream in (False, True):
        answer = post(demo, response_format=broken, stream=stream)
        assert answer.status_code == 400 and answer.json()["error"]["param"] == "response_format", answer.text
    assert demo.pid == child


@pytest.mark.parametrize("asked", ["required", {"type": "function", "function": {"name": "keep"}}], ids=str)
def test_a_call_that_must_come_comes_with_arguments_of_its_schema(demo: LiveServer, asked: Any) -> None:
    choice = choice_of(demo, tools=[TOOL], tool_choice=asked, parallel_tool_calls=False)
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None
    assert call["type"] == "function" and call["id"] and call["function"]["name"] == "keep"
    assert json.loads(call["function"]["arguments"])["colour"] in ("red", "blue")
    assert choice["message"]["reasoning"]


def test_a_streamed_call_adds_up_to_the_whole_one(demo: LiveServer) -> None:
    fields: dict[str, Any] = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
    streamed = deltas(demo, deterministic=True, **fields)
    pieces = [call for one in streamed for call in one["delta"].get("tool_calls") or ()]
    assert pieces[0]["index"] == 0 and pieces[0]["id"] and pieces[0]["function"]["name"] == "keep"
    assert not any("id" in piece for piece in pieces[1:])
    arguments = "".join(piece["function"]["arguments"] for piece in pieces)
    whole = choice_of(demo, deterministic=True, **fields)["message"]["tool_calls"][0]
    assert json.loads(arguments) == json.loads(whole["function"]["arguments"])
    assert streamed[-1]["finish_reason"] == "tool_calls"


@pytest.mark.slow
def test_what_a_tool_returned_goes_into_the_prompt(demo: LiveServer) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "keep", "arguments": '{"colour": "red"}'}}
    asked = [*QUESTION, {"role": "assistant", "content": None, "reasoning_content": "Red.", "tool_calls": [call]}]
    short, long = (
        post(demo, tools=[TOOL], messages=[*asked, {"role": "tool", "tool_call_id": "call_1", "content": text}]).json()
        for text in ("kept", "kept, kept and kept again")
    )
    assert long["usage"]["prompt_tokens"] > short["usage"]["prompt_tokens"]


def test_the_sdk_parses_forms_and_calls(demo: LiveServer) -> None:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none", _strict_response_validation=True) as sdk:
        reply = sdk.chat.completions.create(
            model="demo", messages=QUESTION, tools=[TOOL], tool_choice="required", parallel_tool_calls=False
        )
        assert reply.choices[0].message.tool_calls
        with sdk.chat.completions.stream(
            model="demo", messages=QUESTION, tools=[TOOL], tool_choice="required", parallel_tool_calls=False
        ) as stream:
            for _ in stream:
                pass
            assert stream.get_final_completion().choices[0].message.tool_calls


def test_a_vote_answers_once_and_tells_how_it_came_out(demo: LiveServer) -> None:
    fields: dict[str, Any] = {"vote": {"n": 4}, "temperature": 0.8, "seed": 3}
    reply = post(demo, **fields).json()
    assert len(reply["choices"]) == 1 and reply["choices"][0]["message"]["content"]
    vote = reply["vote"]
    assert vote["answer"] and len(vote["thoughts"]) == 4 and vote["n_finished"] + vote["n_stopped"] == 4
    assert reply["usage"]["completion_tokens"] == sum(t["completion_tokens"] for t in vote["thoughts"])


def test_a_streamed_vote_tells_how_it_stands(demo: LiveServer) -> None:
    text = post(demo, stream=True, vote={"n": 3}, temperature=0.8, seed=3).text
    parts = [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: {")]
    votes = [part["vote"] for part in parts if "vote" in part]
    assert [vote["n_finished"] for vote in votes] == sorted(vote["n_finished"] for vote in votes) and votes
    assert votes[-1]["choice"] is not None and len(votes[-1]["thoughts"]) == 3
    assert "".join(part["choices"][0]["delta"].get("content") or "" for part in parts if part["choices"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"vote": {"n": 4}, "n": 2}, "n"),
        ({"vote": {"n": 4}, "tools": [TOOL]}, "vote"),
        ({"vote": {"n": 1}}, "vote.n"),
        ({"vote": {"n": 4}, "temperature": 0}, "temperature"),
        ({"response_format": FORMAT, "regex": "a"}, "regex"),
        ({"tools": [TOOL], "regex": "a"}, "regex"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tools": [TOOL, TOOL]}, "tools"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_a_400_that_names_the_field(
    demo: LiveServer, fields: dict[str, Any], param: str
) -> None:
    answer = post(demo, **{"temperature": 0.6, **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
