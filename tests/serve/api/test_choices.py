"""Several replies to one question: each under its index, each with draws of its own, the prompt computed once."""

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

QUESTION: list[Any] = [{"role": "user", "content": "A farmer has 17 sheep. All but 9 run away. How many are left?"}]
SAMPLED: dict[str, Any] = {"temperature": 1.2, "max_tokens": 60, "seed": 7}


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


def ask(server: LiveServer, **fields: Any) -> dict[str, Any]:
    url, body = f"{server.url}/v1/chat/completions", {"messages": QUESTION, **fields}
    answer = httpx2.post(url, json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


def chunks(server: LiveServer, **fields: Any) -> list[dict[str, Any]]:
    body = {"messages": QUESTION, "stream": True, "stream_options": {"include_usage": True}, **fields}
    text = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).text
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: {")]


def said(parts: list[dict[str, Any]], index: int) -> str:
    deltas = [c["delta"] for part in parts for c in part["choices"] if c["index"] == index]
    return "".join((delta.get("reasoning") or "") + (delta.get("content") or "") for delta in deltas)


def test_each_reply_has_its_index_its_own_words_and_its_own_end(demo: LiveServer) -> None:
    choices = ask(demo, n=4, **SAMPLED)["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
    texts = [str(choice["message"]["reasoning"]) + choice["message"]["content"] for choice in choices]
    assert len(set(texts)) > 1 and all(texts)
    assert all(choice["reasoning_end"] and choice["finish_reason"] for choice in choices)


def test_the_same_seed_gives_the_same_replies_streamed_or_whole(demo: LiveServer) -> None:
    whole = [c["message"] for c in ask(demo, n=3, deterministic=True, **SAMPLED)["choices"]]
    parts = chunks(demo, n=3, deterministic=True, **SAMPLED)
    assert [said(parts, i) for i in range(3)] == [(m["reasoning"] or "") + m["content"] for m in whole]
    heads = [part["choices"][0] for part in parts[:3]]
    assert [(head["index"], head["delta"]["role"]) for head in heads] == [(i, "assistant") for i in range(3)]
    assert sorted(c["index"] for part in parts for c in part["choices"] if c["finish_reason"]) == [0, 1, 2]


def test_the_first_of_several_is_the_one_that_would_have_come_alone(demo: LiveServer) -> None:
    alone = ask(demo, deterministic=True, **SAMPLED)["choices"][0]["message"]
    assert ask(demo, n=3, deterministic=True, **SAMPLED)["choices"][0]["message"] == alone


def test_the_prompt_counts_once_and_the_replies_all(demo: LiveServer) -> None:
    one, four = (ask(demo, n=n, deterministic=True, **SAMPLED)["usage"] for n in (1, 4))
    assert four["prompt_tokens"] == one["prompt_tokens"]
    assert four["completion_tokens"] > 2 * one["completion_tokens"]
    assert four["total_tokens"] == four["prompt_tokens"] + four["completion_tokens"]
    streamed = chunks(demo, n=4, deterministic=True, **SAMPLED)[-1]
    assert streamed["choices"] == [] and streamed["usage"]["completion_tokens"] == four["completion_tokens"]


def test_the_sdk_reads_several_streamed_replies(demo: LiveServer) -> None:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none", _strict_response_validation=True) as sdk:
        texts = {0: "", 1: ""}
        ends: dict[int, str] = {}
        for chunk in sdk.chat.completions.create(model="demo", messages=QUESTION, n=2, stream=True, seed=1):
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                if choice.finish_reason:
                    ends[choice.index] = choice.finish_reason
    assert set(ends) == {0, 1} and all(texts.values())
