"""Votes over HTTP on the bundled model: the reply, the stream, and what is refused."""

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

APPLES = [
    {
        "role": "user",
        "content": "Emily buys 3 apples and 2 oranges. Each orange costs $2. The total is $13. "
        "What is the cost of each apple?",
    }
]


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


def post(server: LiveServer, **fields: Any) -> httpx2.Response:
    body = {"messages": APPLES, "seed": 3, "vote": {"n": 8}, **fields}
    return httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)


def test_the_reply_is_the_winner_s_with_tally_and_thoughts(demo: LiveServer) -> None:
    reply = post(demo).json()
    [choice], vote, usage = reply["choices"], reply["vote"], reply["usage"]
    assert vote["answer"] == "3" and "\\boxed{3}" in choice["message"]["content"]
    winner = vote["thoughts"][vote["choice"]]
    assert (winner["reasoning"], winner["content"]) == (choice["message"]["reasoning"], choice["message"]["content"])
    assert (vote["n"], len(vote["thoughts"])) == (8, 8)
    assert vote["n_stopped"] == sum(thought["finish_reason"] == "stopped" for thought in vote["thoughts"])
    assert sum(option["votes"] for option in vote["tally"]) <= vote["n_finished"]
    assert usage["completion_tokens"] == sum(thought["completion_tokens"] for thought in vote["thoughts"])
    n_prompt = usage["prompt_tokens"]
    assert sum(n_prompt - thought["cached_tokens"] for thought in vote["thoughts"]) <= n_prompt + 7


def test_stopping_changes_no_answer_and_costs_no_tokens(demo: LiveServer) -> None:
    voted = post(demo, temperature=1.2).json()
    whole = post(demo, temperature=1.2, vote=None, n=8).json()
    said = [choice["message"]["content"] for choice in whole["choices"]]
    for thought in voted["vote"]["thoughts"]:
        if thought["finish_reason"] == "stop":
            assert thought["content"] == said[thought["index"]], "the same seeds draw the same"
    # on a machine that is busy enough all end before they could be stopped
    assert voted["usage"]["completion_tokens"] <= whole["usage"]["completion_tokens"]


def test_a_stream_tells_how_the_vote_stands_and_then_the_winner(demo: LiveServer) -> None:
    whole = post(demo).json()
    answer = post(demo, stream=True, stream_options={"include_usage": True})
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    votes = [chunk["vote"] for chunk in chunks if "vote" in chunk]
    *standings, last = votes
    assert [vote["n_finished"] for vote in standings] == list(range(1, len(standings) + 1))
    assert all(vote["choice"] is None and vote["thoughts"] == [] for vote in standings)
    assert (last["answer"], len(last["thoughts"])) == (whole["vote"]["answer"], 8)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    winner = last["thoughts"][last["choice"]]
    assert "".join(delta.get("reasoning") or "" for delta in deltas) == winner["reasoning"]
    assert "".join(delta.get("content") or "" for delta in deltas) == winner["content"]
    assert chunks[-1]["usage"]["completion_tokens"] == sum(t["completion_tokens"] for t in last["thoughts"])


def test_the_sdk_takes_a_vote_s_reply_and_its_stream(demo: LiveServer) -> None:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none", _strict_response_validation=True) as sdk:
        fields: dict[str, Any] = {"model": "demo", "messages": APPLES, "seed": 3, "extra_body": {"vote": {"n": 4}}}
        reply = sdk.chat.completions.create(**fields)
        assert reply.choices[0].message.content
        streamed = "".join(
            chunk.choices[0].delta.content or ""
            for chunk in sdk.chat.completions.create(stream=True, **fields)
            if chunk.choices
        )
        assert "\\boxed" in streamed


def test_hidden_thoughts_are_hidden_in_the_vote_too(demo: LiveServer) -> None:
    shown = post(demo).json()["choices"][0]["message"]["reasoning"]
    reply = post(demo, reasoning_format="hidden").json()
    assert reply["choices"][0]["message"]["reasoning"] is None
    assert all(thought["reasoning"] is None for thought in reply["vote"]["thoughts"])
    assert json.dumps(shown) not in json.dumps(reply)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"temperature": 0}, "temperature"),
        ({"vote": {"n": 1}}, "vote.n"),
        ({"vote": {"n": 65}}, "vote.n"),
        ({"vote": {"extract": "vibes"}}, "vote.extract"),
        ({"vote": {"m": 3}}, "vote.m"),
    ],
)
def test_a_vote_that_makes_no_sense_is_refused(demo: LiveServer, fields: dict[str, Any], param: str) -> None:
    answer = post(demo, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
