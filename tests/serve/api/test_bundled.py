"""The whole way on the bundled model: HTTP, template, llama.cpp in its child, parser, SSE, SDK."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from live_server import LiveServer, eventually, start_model

from r1chat.serve.client import Client, ContentDelta, Done, ReasoningDelta
from r1chat.serve.models.catalog import BUNDLED

pytestmark = pytest.mark.model

RIDDLE = "A farmer has 17 sheep. All but 9 run away. How many are left?"


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


def ask(server: LiveServer, text: str = RIDDLE, **fields: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], "temperature": 0, **fields}
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


def test_a_thought_that_nobody_controls_is_cut_off_without_an_answer(demo: LiveServer) -> None:
    kept, let_be = (
        ask(demo, "What is 3471 + 5894?", max_tokens=18, **fields)["choices"][0]
        for fields in ({}, {"thinking_control": False})
    )
    assert kept["message"]["content"]
    assert not let_be["message"]["content"] and let_be["finish_reason"] == "length"
    body = {"messages": [{"role": "user", "content": "Hi"}], "thinking_control": False, "reasoning_budget_tokens": 8}
    refused = httpx2.post(f"{demo.url}/v1/chat/completions", json=body, timeout=60)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "thinking_control")


def test_it_thinks_and_then_answers(demo: LiveServer) -> None:
    reply = ask(demo)
    message, usage = reply["choices"][0]["message"], reply["usage"]
    assert message["reasoning"] and "\\boxed{" in message["content"]
    assert not any(tag in message["reasoning"] + message["content"] for tag in ("<think>", "</think>", "<｜"))
    reasoning_tokens = usage["completion_tokens_details"]["reasoning_tokens"]
    assert 0 < reasoning_tokens < usage["completion_tokens"]
    assert reply["choices"][0]["finish_reason"] == "stop"


@pytest.mark.anyio
async def test_streamed_and_whole_greedy_replies_are_equal(demo: LiveServer) -> None:
    whole = ask(demo)
    async with openai.AsyncOpenAI(base_url=f"{demo.url}/v1", api_key="none") as sdk:
        stream = await sdk.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": RIDDLE}], temperature=0, stream=True
        )
        deltas = [chunk.choices[0].delta async for chunk in stream]
    message = whole["choices"][0]["message"]
    assert "".join(getattr(delta, "reasoning", None) or "" for delta in deltas) == message["reasoning"]
    assert "".join(delta.content or "" for delta in deltas) == message["content"]


@pytest.mark.slow
def test_sixteen_at_once_say_greedily_what_each_says_alone(demo: LiveServer) -> None:
    questions = [RIDDLE, "What is 15% of 240?", "What is 347 + 589?", "How many times does r appear in strawberry?"]
    alone = {question: ask(demo, question, max_tokens=300)["choices"][0]["message"] for question in questions}

    async def all_at_once() -> list[tuple[str, Any]]:
        async with Client(demo.url) as client:

            async def one(question: str) -> tuple[str, Any]:
                messages = [{"role": "user", "content": question}]
                return question, await client.complete(messages, temperature=0, max_tokens=300)

            return await asyncio.gather(*(one(question) for question in questions * 4))

    for question, reply in asyncio.run(all_at_once()):
        assert (reply.reasoning, reply.content) == (alone[question]["reasoning"], alone[question]["content"])
    assert eventually(lambda: demo.stats()["sequences"] == 0)


@pytest.mark.parametrize("marker", ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "<｜end▁of▁sentence｜>"])
def test_a_marker_in_the_text_is_many_plain_tokens_and_no_special_one(demo: LiveServer, marker: str) -> None:
    def prompt_tokens(text: str) -> int:
        return int(ask(demo, text, max_tokens=1)["usage"]["prompt_tokens"])

    assert prompt_tokens("a " + marker * 4) >= prompt_tokens("a ") + 4 * 3


def test_a_second_turn_finds_the_first_in_the_cache(demo: LiveServer) -> None:
    question = {"role": "user", "content": "What is 21 + 34? Show me."}
    first = ask(demo, messages=[question])
    turns = [question, first["choices"][0]["message"], {"role": "user", "content": "And 12 + 5?"}]
    second = ask(demo, messages=turns)
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] >= first["usage"]["prompt_tokens"] - 4


def computed(usage: dict[str, Any]) -> int:
    return int(usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"])


def test_after_a_pause_a_further_turn_computes_its_question_alone(demo: LiveServer) -> None:
    turns: list[dict[str, Any]] = []
    for text in ("What is 23 + 45?", "And what is 12 + 5?", "What is 15% of 80?"):
        turns.append({"role": "user", "content": text})
        before = demo.stats()["prepared_tokens_total"]
        reply = ask(demo, messages=turns, max_tokens=400)
        if len(turns) > 1:
            # bos and <｜User｜> begin every prompt; the rest is the question and its frame
            own = ask(demo, text, max_tokens=1)["usage"]["prompt_tokens"] - 2
            assert computed(reply["usage"]) <= own + 1
        assert reply["choices"][0]["message"]["content"]
        turns.append({"role": "assistant", "content": reply["choices"][0]["message"]["content"]})
        demo.wait_until_prepared(beyond=before)


def test_a_prepared_turn_is_answered_as_one_that_was_not(demo: LiveServer) -> None:
    question = {"role": "user", "content": "What is 61 + 17? Show me."}
    before = demo.stats()["prepared_tokens_total"]
    first = ask(demo, messages=[question])
    demo.wait_until_prepared(beyond=before)
    turns = [question, first["choices"][0]["message"], {"role": "user", "content": "What is 7 + 8?"}]
    warm = ask(demo, messages=turns)
    cold = ask(demo, messages=turns, cache_salt="nobody else's")
    assert computed(warm["usage"]) < computed(cold["usage"]) == cold["usage"]["prompt_tokens"]
    assert warm["choices"][0]["message"] == cold["choices"][0]["message"]


@pytest.mark.parametrize("name", ["reasoning_budget_tokens", "thinking_budget_tokens"])
def test_a_budget_ends_the_thought_and_an_answer_follows(demo: LiveServer, name: str) -> None:
    free = ask(demo)["usage"]["completion_tokens_details"]["reasoning_tokens"]
    for budget in (0, 8):
        fields: dict[str, Any] = {name: budget}
        reply = ask(demo, max_tokens=200, **fields)
        assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] <= budget + budget // 4 < free
        assert reply["choices"][0]["message"]["content"].strip()


def test_a_deterministic_reply_is_the_same_alone_and_in_company(demo: LiveServer) -> None:
    fields = {"temperature": 0.8, "deterministic": True, "max_tokens": 80}
    alone = ask(demo, RIDDLE, **fields)
    assert alone["deterministic"] is True

    async def in_company() -> list[Any]:
        async with Client(demo.url) as client:
            others = [
                client.complete([{"role": "user", "content": f"What is {n} + {n}?"}], max_tokens=60) for n in range(7)
            ]
            mine = client.complete([{"role": "user", "content": RIDDLE}], **fields)
            return await asyncio.gather(*others, mine)

    reply = asyncio.run(in_company())[-1]
    message = alone["choices"][0]["message"]
    assert (reply.reasoning, reply.content) == (message["reasoning"], message["content"])


def test_the_model_card_says_that_deterministic_replies_are_to_be_had(demo: LiveServer) -> None:
    (card,) = httpx2.get(f"{demo.url}/v1/models").json()["data"]
    assert card["meta"]["deterministic"] is True and card["meta"]["n_params"] > 1_000_000


def test_dropped_sockets_free_their_sequences(demo: LiveServer) -> None:
    async def drop(client: Client, after: int) -> None:
        stream = client.stream([{"role": "user", "content": RIDDLE}])
        for _ in range(after):
            assert isinstance(await anext(stream, None), (ReasoningDelta, ContentDelta, Done, type(None)))
        await stream.aclose()

    async def drop_all() -> None:
        async with Client(demo.url) as client:
            await asyncio.gather(*(drop(client, 1 + i) for i in range(8)))

    asyncio.run(drop_all())
    assert eventually(lambda: demo.stats()["sequences"] == 0)


@pytest.mark.slow
def test_the_next_request_after_a_kill_is_answered_by_a_new_child(demo: LiveServer) -> None:
    child = demo.pid
    before = ask(demo)["choices"][0]["message"]
    os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while demo.engine.state == "ready" and demo.engine.pid == child:
        assert time.monotonic() < deadline, "nobody notices"
        time.sleep(0.01)
    assert ask(demo)["choices"][0]["message"] == before
    assert demo.pid != child
