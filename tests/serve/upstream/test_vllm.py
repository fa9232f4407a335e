"""vLLM as an upstream, as far as its wire goes: see vllm_stand_in, which is no vLLM."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from upstream_server import FrontServer, over
from vllm_stand_in import ANSWER, MODEL, THOUGHT, Refusal, VllmStandIn, error

from r1chat.serve.upstream.kinds import Kind, kind_by_card

QUESTION = [{"role": "user", "content": "How many sheep are left?"}]
TOO_LONG = (
    "This model's maximum context length is 4096 tokens. However, you requested 1 output tokens and your prompt "
    "contains at least 9000 input tokens, for a total of at least 9001 tokens. Please reduce the length of the input "
    "prompt or the number of requested output tokens. (parameter=input_tokens, value=9000)"
)
TOO_LONG_BEFORE = (
    "This model's maximum context length is 4096 tokens. However, you requested 9100 tokens (9000 in the messages, "
    "100 in the completion). Please reduce the length of the messages or completion."
)


@pytest.fixture(scope="module")
def vllm() -> Iterator[VllmStandIn]:
    with VllmStandIn() as server:
        yield server


@pytest.fixture(scope="module")
def other() -> Iterator[VllmStandIn]:
    with VllmStandIn() as server:
        yield server


@pytest.fixture(scope="module")
def shared_front(vllm: VllmStandIn) -> Iterator[FrontServer]:
    with over(vllm.url) as server:
        yield server


@pytest.fixture
def front(vllm: VllmStandIn, shared_front: FrontServer) -> FrontServer:
    vllm.refusals.clear()
    vllm.bodies.clear()
    return shared_front


def ask(front: FrontServer, path: str = "/v1/chat/completions", **fields: Any) -> httpx2.Response:
    body = {"messages": QUESTION, **fields} if path == "/v1/chat/completions" else fields
    return httpx2.post(f"{front.url}{path}", json=body, timeout=30)


def events(front: FrontServer, **fields: Any) -> list[dict[str, Any]]:
    text = ask(front, stream=True, **fields).text
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]


def test_its_models_are_found_and_its_thoughts_told_apart_and_counted(front: FrontServer) -> None:
    card = httpx2.get(f"{front.url}/v1/models").json()["data"][0]
    assert (card["id"], card["meta"]["n_ctx"], card["capabilities"]["engine"]) == (MODEL, 4096, "vLLM")
    reply = ask(front).json()
    message, usage = reply["choices"][0]["message"], reply["usage"]
    assert (message["reasoning"], message["content"]) == (THOUGHT, ANSWER)
    assert message["reasoning_content"] == THOUGHT
    assert usage["prompt_tokens"] == 12 and usage["completion_tokens"] == 9
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 5, "vLLM counted them as they came"
    assert reply["choices"][0]["reasoning_end"] == "natural"


def test_another_engine_whose_cards_look_like_its_own_is_not_taken_for_it() -> None:
    card = {"id": MODEL, "object": "model", "owned_by": "sglang", "max_model_len": 4096}
    assert kind_by_card(card) is Kind.OTHER
    assert kind_by_card({**card, "owned_by": "vllm"}) is kind_by_card({**card, "owned_by": "me"}) is Kind.VLLM


def test_without_a_reasoning_parser_the_template_tells_that_a_reply_begins_in_its_thought() -> None:
    with VllmStandIn(has_parser=False) as plain, over(plain.url) as front:
        message = ask(front).json()["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == (THOUGHT, ANSWER)


def test_a_first_reply_that_is_not_to_think_is_an_answer_and_no_thought() -> None:
    for text in ("\n\n", "</think>\n\n"):
        with VllmStandIn(deltas=[{"content": text}, {"content": ANSWER}]) as fresh, over(fresh.url) as front:
            message = ask(front, enable_thinking=False).json()["choices"][0]["message"]
        assert not message["reasoning"] and message["content"].strip() == ANSWER


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reasoning_budget_tokens": 64}, {"thinking_token_budget": 64}),
        (
            {"reasoning_effort": "low"},
            {
                "thinking_token_budget": 1024,
                "chat_template_kwargs": {"enable_thinking": True, "thinking": True},
            },
        ),
        (
            {"enable_thinking": False},
            {"thinking_token_budget": 0, "chat_template_kwargs": {"enable_thinking": False, "thinking": False}},
        ),
        ({"preserve_thinking": True}, {"chat_template_kwargs": {"preserve_thinking": True}}),
        (
            {"preserve_thinking": True, "enable_thinking": False},
            {"chat_template_kwargs": {"enable_thinking": False, "thinking": False, "preserve_thinking": True}},
        ),
        ({"regex": "[0-9]+"}, {"structured_outputs": {"regex": "[0-9]+"}}),
        ({"choice": ["yes", "no"]}, {"structured_outputs": {"choice": ["yes", "no"]}}),
        ({"stop": "END", "seed": 7, "max_tokens": 9}, {"stop": ["END"], "seed": 7, "max_tokens": 9}),
        ({"top_k": 5, "min_p": 0.1}, {"top_k": 5, "min_p": 0.1}),
        ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({}, {"temperature": 0.6, "top_p": 0.95, "model": MODEL}),
        ({"top_k": 0}, {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0}),
        ({"repeat_penalty": 1.2}, {"repetition_penalty": 1.2, "repeat_penalty": None}),
    ],
)
def test_it_is_asked_in_its_own_words(
    front: FrontServer, vllm: VllmStandIn, fields: dict[str, Any], words: dict[str, Any]
) -> None:
    assert ask(front, **fields).status_code == 200
    (body,) = vllm.bodies
    assert {name: body.get(name) for name in words} == words
    # an int there, and refused unless it schedules by priority; the client's own words stay here
    assert not body.keys() & {"priority", "deterministic", "reasoning_budget_tokens", "regex", "choice"}


def test_one_too_old_for_budgets_is_not_trusted_to_keep_them() -> None:
    with VllmStandIn(has_budget=False) as old, over(old.url) as front:
        answer = ask(front, reasoning_budget_tokens=64)
        assert answer.json()["error"]["code"] == "not_supported" and "vLLM" in answer.json()["error"]["message"]
        assert ask(front).status_code == 200


def test_a_schema_goes_as_response_format(front: FrontServer, vllm: VllmStandIn) -> None:
    schema = {"type": "object", "properties": {"total": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}}
    assert ask(front, response_format=form).status_code == 200
    assert vllm.bodies[0]["response_format"]["json_schema"]["schema"] == schema


def test_several_replies_are_several_requests_with_seeds_of_their_own(front: FrontServer, vllm: VllmStandIn) -> None:
    reply = ask(front, n=3, seed=4).json()
    assert [choice["message"]["content"] for choice in reply["choices"]] == [ANSWER] * 3
    assert sorted(body["seed"] for body in vllm.bodies) == [4, 5, 6]
    assert reply["usage"]["completion_tokens"] == 27


def test_a_vote_stops_what_can_change_nothing_and_counts_each_reply_once(front: FrontServer) -> None:
    for _ in range(5):
        reply = ask(front, vote={"n": 5}).json()
        thoughts = reply["vote"]["thoughts"]
        ends = [thought["finish_reason"] for thought in thoughts]
        assert len(ends) == 5 and set(ends) <= {"stop", "stopped"} and ends.count("stop") >= 3
        assert reply["vote"]["votes"] == ends.count("stop") and reply["vote"]["answer"] == "9"
        assert all(thought["completion_tokens"] == 9 for thought in thoughts if thought["finish_reason"] == "stop")
        assert front.models.running.n_replies == 0


def test_text_that_is_no_text_is_the_clients_fault(front: FrontServer) -> None:
    body = b'{"messages": [{"role": "user", "content": "\\ud800"}]}'
    headers = {"content-type": "application/json"}
    answer = httpx2.post(f"{front.url}/v1/chat/completions", content=body, headers=headers, timeout=30)
    assert answer.status_code == 400


def test_its_calls_of_tools_come_through() -> None:
    def call(piece: dict[str, Any]) -> dict[str, Any]:
        return {"tool_calls": [{"index": 0, **piece}]}

    deltas = [
        {"reasoning": "I call it."},
        call({"id": "call_7", "type": "function", "function": {"name": "add", "arguments": ""}}),
        call({"function": {"arguments": '{"a": '}}),
        call({"function": {"arguments": "1}"}}),
    ]
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
    with VllmStandIn(deltas=deltas) as vllm, over(vllm.url) as front:
        choice = ask(front, tools=[tool], tool_choice="required").json()["choices"][0]
        body = vllm.bodies[0]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["reasoning"] == "I call it."
    [made] = choice["message"]["tool_calls"]
    assert made["id"] == "call_7" and made["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert body["tool_choice"] == "required" and body["tools"][0]["function"]["name"] == "add"


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("message", [TOO_LONG, TOO_LONG_BEFORE])
def test_a_prompt_too_long_is_our_error_in_both_of_its_forms(
    front: FrontServer, vllm: VllmStandIn, message: str, old: bool
) -> None:
    vllm.refusals = [Refusal(400, error(400, message, old=old))]
    answer = ask(front)
    told = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (400, "context_length_exceeded")
    assert (told["n_prompt_tokens"], told["n_ctx"]) == (9000, 4096)


def test_what_else_it_refuses_is_told_in_its_words_and_with_its_name(front: FrontServer, vllm: VllmStandIn) -> None:
    said = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    vllm.refusals = [Refusal(400, error(400, said))]
    answer = ask(front)
    assert answer.status_code == 400 and said in answer.json()["error"]["message"]
    assert "127.0.0.1:" in answer.json()["error"]["message"]
    vllm.refusals = [Refusal(404, error(404, f"The model `{MODEL}` does not exist.", "NotFoundError"))]
    assert ask(front).json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("status", [502, 503, 429])
def test_a_busy_one_is_left_alone_and_the_other_asked(vllm: VllmStandIn, other: VllmStandIn, status: int) -> None:
    vllm.bodies.clear()
    other.bodies.clear()
    with over(vllm.url, other.url) as front:
        vllm.refusals = [Refusal(status, error(status, "busy"), {"retry-after": "30"})] * 5
        assert [ask(front).status_code for _ in range(4)] == [200] * 4
    assert (len(vllm.bodies), len(other.bodies)) == (1, 4)
    vllm.refusals.clear()


def test_where_all_are_busy_for_long_the_client_is_told_how_long(vllm: VllmStandIn, other: VllmStandIn) -> None:
    with over(vllm.url, other.url) as front:
        vllm.refusals = [Refusal(429, error(429, "busy"), {"retry-after": "55"})]
        other.refusals = [Refusal(429, error(429, "busy"), {"retry-after": "45"})]
        answer = ask(front)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
    assert 40 <= int(answer.headers["retry-after"]) <= 45


def test_where_all_are_busy_for_a_moment_the_request_waits(vllm: VllmStandIn) -> None:
    with over(vllm.url) as front:
        vllm.refusals = [Refusal(429, error(429, "busy"), {"retry-after": "1"})]
        began = time.monotonic()
        assert ask(front).status_code == 200
        assert time.monotonic() - began >= 0.9


def test_an_error_before_the_first_word_moves_the_request(vllm: VllmStandIn, other: VllmStandIn) -> None:
    vllm.refusals = [Refusal(after_chunks=0, body=error(500, "engine died", "InternalServerError"))]
    with over(vllm.url, other.url) as front:
        chunks = events(front)
    assert not any("error" in chunk for chunk in chunks)
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text == ANSWER


@pytest.mark.parametrize("breaks", [False, True])
def test_an_error_amid_the_reply_ends_it_with_an_error_event(
    vllm: VllmStandIn, other: VllmStandIn, breaks: bool
) -> None:
    vllm.refusals = [Refusal(after_chunks=4, breaks=breaks, body=error(500, "engine died", "InternalServerError"))]
    other.bodies.clear()
    with over(vllm.url, other.url) as front:
        *chunks, last = events(front)
    assert last["error"]["code"] == "upstream_error"
    thought = "".join(choice["delta"].get("reasoning") or "" for chunk in chunks for choice in chunk["choices"])
    assert thought and THOUGHT.startswith(thought) and not other.bodies, "nothing is told twice"


def test_redirects_are_not_followed(front: FrontServer, vllm: VllmStandIn, other: VllmStandIn) -> None:
    other.bodies.clear()
    vllm.refusals = [Refusal(307, {}, {"location": f"{other.url}/v1/chat/completions"})]
    answer = ask(front)
    assert answer.status_code == 503 and "redirects" in answer.json()["error"]["message"]
    assert not other.bodies
    deadline = time.monotonic() + 60
    while httpx2.get(f"{front.url}/health").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_event_without_end_is_cut_off() -> None:
    with VllmStandIn(deltas=[{"content": "x" * 5_000_000}]) as vllm, over(vllm.url) as front:
        answer = ask(front)
    assert answer.status_code == 503 and "limit" in answer.json()["error"]["message"]


def test_what_cannot_be_unpacked_is_the_upstreams_fault_and_another_is_asked(vllm: VllmStandIn) -> None:
    with VllmStandIn() as broken, over(broken.url, vllm.url) as front:
        broken.refusals = [Refusal(500, {}, {"content-encoding": "gzip"})]
        assert [ask(front).status_code for _ in range(2)] == [200, 200]
        assert broken.bodies


def test_what_vllm_lacks_is_refused_with_its_name(front: FrontServer) -> None:
    answer = ask(front, deterministic=True)
    assert answer.json()["error"]["code"] == "not_supported" and "vLLM" in answer.json()["error"]["message"]
    answer = ask(front, "/tokenize", content="a b", with_pieces=True)
    assert answer.json()["error"]["code"] == "not_supported"
    assert ask(front, "/tokenize", content="a b").json() == {"tokens": [0, 1]}
    assert ask(front, "/v1/models/load", model=MODEL).json()["error"]["code"] == "not_supported"
    answer = ask(front, "/v1/completions", prompt="All but", max_tokens=3, return_token_ids=True)
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("not_supported", "return_token_ids")


def test_plain_completions_go_there_too(front: FrontServer, vllm: VllmStandIn) -> None:
    reply = ask(front, "/v1/completions", prompt="All but", max_tokens=3).json()
    assert reply["choices"][0]["text"] == "nine are left" and vllm.bodies[0]["prompt"] == "All but"
