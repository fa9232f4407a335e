"""Log probabilities on the wire: OpenAI's shape, one entry for each token that was drawn, thought and answer apart."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from live_server import LiveServer, start_model

from r1chat.serve.models.catalog import BUNDLED

pytestmark = pytest.mark.model

QUESTION: list[Any] = [{"role": "user", "content": "What is 15% of 240?"}]


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


def post(server: LiveServer, **fields: Any) -> httpx2.Response:
    body = {"messages": QUESTION, "temperature": 0, **fields}
    return httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)


def text_of(entries: list[dict[str, Any]]) -> str:
    return b"".join(bytes(entry["bytes"]) for entry in entries).decode()


def test_the_tokens_spell_thought_and_answer(demo: LiveServer) -> None:
    choice = post(demo, logprobs=True, top_logprobs=3).json()["choices"][0]
    message, logprobs = choice["message"], choice["logprobs"]
    assert message["reasoning"] in text_of(logprobs["reasoning_content"])
    assert message["content"] in text_of(logprobs["content"])
    assert "</think>" not in text_of(logprobs["content"])
    for entry in [*logprobs["reasoning_content"], *logprobs["content"]]:
        assert entry["logprob"] <= 1e-6 and len(entry["top_logprobs"]) == 3
        best = entry["top_logprobs"][0]
        assert (best["token"], best["bytes"]) == (entry["token"], entry["bytes"]), "greedy draws the likeliest"
        assert sum(math.exp(top["logprob"]) for top in entry["top_logprobs"]) < 1 + 1e-4


def test_streamed_and_whole_they_are_the_same(demo: LiveServer) -> None:
    whole = post(demo, logprobs=True, top_logprobs=2, deterministic=True).json()["choices"][0]["logprobs"]
    text = post(demo, logprobs=True, top_logprobs=2, deterministic=True, stream=True).text
    parts = [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: {")]
    told = [part["choices"][0]["logprobs"] for part in parts if part["choices"] and part["choices"][0]["logprobs"]]
    for channel in ("content", "reasoning_content"):
        assert [entry for one in told for entry in one[channel]] == whole[channel]


def test_none_are_sent_unasked_and_none_of_the_others_without_a_number(demo: LiveServer) -> None:
    assert post(demo).json()["choices"][0]["logprobs"] is None
    alone = post(demo, logprobs=True).json()["choices"][0]["logprobs"]
    assert alone["content"] and not any(entry["top_logprobs"] for entry in alone["content"])


def test_how_many_without_that_is_a_contradiction(demo: LiveServer) -> None:
    for fields in ({"top_logprobs": 2}, {"top_logprobs": 2, "logprobs": False}):
        answer = post(demo, **fields)
        assert answer.status_code == 400 and answer.json()["error"]["param"] == "top_logprobs"
    assert post(demo, logprobs=True, top_logprobs=21).status_code == 400


def test_the_sdk_reads_them(demo: LiveServer) -> None:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none", _strict_response_validation=True) as sdk:
        reply = sdk.chat.completions.create(model="demo", messages=QUESTION, logprobs=True, top_logprobs=1)
        logprobs = reply.choices[0].logprobs
        assert logprobs and logprobs.content and logprobs.content[0].top_logprobs[0].logprob <= 1e-6
