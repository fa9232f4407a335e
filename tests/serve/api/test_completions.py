"""POST /v1/completions: text continued as it stands, through the SDK and on raw sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from live_server import LiveServer, start_model

from r1chat.serve.api.completions.writer import CompletionsWriter
from r1chat.serve.api.outputs import Output, Reply
from r1chat.serve.engine.request import (
    Channel,
    Finished,
    FinishReason,
    ThoughtEnded,
    Timings,
    TokenLogprob,
    TokenOutput,
    Usage,
)
from r1chat.serve.models.catalog import BUNDLED

pytestmark = pytest.mark.model

CHAT = "<｜User｜>What is 3 + 4?<｜Assistant｜>"
THINKING = f"{CHAT}<think>\n"
LONG = "word " * 20_000
TOO_LONG: dict[str, dict[str, Any]] = {
    "/v1/completions": {"prompt": LONG},
    "/v1/responses": {"input": LONG},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": LONG}]},
}


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


@pytest.fixture(scope="module")
def sdk(demo: LiveServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none", _strict_response_validation=True) as client:
        yield client


def post(server: LiveServer, **fields: Any) -> httpx2.Response:
    body = {"prompt": THINKING, "temperature": 0, "max_tokens": 200, **fields}
    return httpx2.post(f"{server.url}/v1/completions", json=body, timeout=60)


def chunks(response: httpx2.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_prompt_is_continued_raw_with_its_thought_inside_the_tags(sdk: openai.OpenAI) -> None:
    reply = sdk.completions.create(model="demo", prompt=THINKING, temperature=0, max_tokens=200)
    (choice,) = reply.choices
    thought, tag, answer = choice.text.partition("\n</think>\n\n")
    assert thought and tag and "\\boxed{7}" in answer
    assert "<think>" not in choice.text and choice.finish_reason == "stop"
    assert reply.usage is not None and reply.usage.completion_tokens_details is not None
    assert 0 < (reply.usage.completion_tokens_details.reasoning_tokens or 0) < reply.usage.completion_tokens


def test_special_tokens_may_be_spelled_and_the_first_one_is_not_doubled(demo: LiveServer) -> None:
    bare = post(demo).json()["usage"]["prompt_tokens"]
    with_bos = post(demo, prompt=f"<｜begin▁of▁sentence｜>{THINKING}").json()["usage"]["prompt_tokens"]
    chat = httpx2.post(
        f"{demo.url}/v1/chat/completions",
        json={"messages": [{"role": "user", "content": "What is 3 + 4?"}], "max_tokens": 99},
    ).json()
    assert bare == with_bos == chat["usage"]["prompt_tokens"]


def test_a_stream_says_what_the_whole_says(demo: LiveServer) -> None:
    whole = post(demo).json()
    *parts, last, usage = chunks(post(demo, stream=True, stream_options={"include_usage": True}))
    assert "".join(part["choices"][0]["text"] for part in [*parts, last]) == whole["choices"][0]["text"]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert all(part["object"] == "text_completion" for part in parts)


def test_a_thought_that_may_have_no_token_is_closed_in_the_text(demo: LiveServer) -> None:
    text = post(demo, reasoning_budget_tokens=0).json()["choices"][0]["text"]
    assert text.startswith("</think>\n\n") and text.removeprefix("</think>").strip()
    parts = chunks(post(demo, reasoning_budget_tokens=0, stream=True))
    assert "".join(part["choices"][0]["text"] for part in parts) == text


def test_choices_of_several_prompts_come_in_their_order_and_each_prompt_counts_once(demo: LiveServer) -> None:
    prompts = [f"<｜User｜>What is {n} + 1?<｜Assistant｜><think>\n" for n in (2, 5)]
    alone = [post(demo, prompt=prompt).json() for prompt in prompts]
    both = post(demo, prompt=prompts, n=2).json()
    assert [choice["index"] for choice in both["choices"]] == [0, 1, 2, 3]
    texts = [reply["choices"][0]["text"] for reply in alone]
    assert [choice["text"] for choice in both["choices"]] == [texts[0], texts[0], texts[1], texts[1]]
    assert both["usage"]["prompt_tokens"] == sum(reply["usage"]["prompt_tokens"] for reply in alone)
    assert both["usage"]["completion_tokens"] == 2 * sum(reply["usage"]["completion_tokens"] for reply in alone)
    streamed = chunks(post(demo, prompt=prompts, stream=True))
    for index, text in enumerate(texts):
        said = [part["choices"][0] for part in streamed]
        assert "".join(choice["text"] for choice in said if choice["index"] == index) == text


def test_sixteen_tokens_are_the_default_as_with_openai(demo: LiveServer) -> None:
    for more in ({}, {"max_tokens": None}):
        body = {"prompt": "1 2 3", "temperature": 0, "logit_bias": {"0": 100}, **more}
        reply = httpx2.post(f"{demo.url}/v1/completions", json=body).json()
        assert reply["usage"]["completion_tokens"] == 16 and reply["choices"][0]["finish_reason"] == "length"


def test_a_stop_string_ends_the_text(demo: LiveServer) -> None:
    reply = post(demo, stop=["\\boxed"]).json()
    assert not reply["choices"][0]["text"].endswith("}") and reply["choices"][0]["finish_reason"] == "stop"


def test_token_ids_are_all_that_was_drawn_and_spell_the_text(demo: LiveServer) -> None:
    (choice,) = post(demo, return_token_ids=True, logprobs=0).json()["choices"]
    ids, logprobs = choice["token_ids"], choice["token_id_logprobs"]
    assert len(ids) == len(logprobs) and all(value <= 0 for value in logprobs)
    told = [detokenized(demo, part) for part in (choice["prompt_token_ids"], ids[:-1], ids[-1:])]
    assert told[0].endswith(THINKING) and told[1].split() == choice["text"].split() and "end" in told[2]
    assert len(choice["logprobs"]["tokens"]) < len(ids)  # which leaves out the tags
    *_, last = chunks(post(demo, return_token_ids=True, logprobs=0, stream=True))
    assert last["choices"][0]["token_ids"] == ids
    assert post(demo).json()["choices"][0]["token_ids"] is None


def test_tokens_that_nobody_drew_have_no_log_probability(demo: LiveServer) -> None:
    (choice,) = post(demo, return_token_ids=True, logprobs=0, reasoning_budget_tokens=0).json()["choices"]
    forced = [at for at, value in enumerate(choice["token_id_logprobs"]) if value is None]
    assert forced == list(range(len(forced))) and forced
    assert detokenized(demo, [choice["token_ids"][at] for at in forced]) == "</think>\n\n"


def test_a_thought_that_nobody_controls_is_cut_off_in_its_middle(demo: LiveServer) -> None:
    long = {"prompt": "<｜User｜>What is 3471 + 5894?<｜Assistant｜><think>\n"}
    (kept,) = post(demo, **long, max_tokens=18).json()["choices"]
    (let_be,) = post(demo, **long, max_tokens=18, thinking_control=False, return_token_ids=True).json()["choices"]
    assert "</think>" in kept["text"] and "</think>" not in let_be["text"]
    assert let_be["finish_reason"] == "length" and len(let_be["token_ids"]) == 18
    refused = post(demo, thinking_control=False, reasoning_budget_tokens=8)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "thinking_control")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", TOO_LONG)
def test_a_prompt_that_is_too_long_is_told_by_the_name_that_the_route_has_for_it(
    demo: LiveServer, path: str, stream: bool
) -> None:
    answer = httpx2.post(f"{demo.url}{path}", json={**TOO_LONG[path], "stream": stream}, timeout=60)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "context_length_exceeded")
    assert [error["param"]] == list(TOO_LONG[path])


def detokenized(server: LiveServer, ids: list[int]) -> str:
    return str(httpx2.post(f"{server.url}/detokenize", json={"tokens": ids}).json()["content"])


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": [1, 2, 3]},
        {"prompt": [[1, 2], [3]]},
        {"suffix": "after"},
        {"echo": True},
        {"best_of": 3},
        {"vote": {"n": 4}},
        {"reasoning_format": "hidden"},
        {"prompt_embeds": "abc"},
        {"ignore_eos": True},
        {"min_tokens": 5},
        {"grammar": "root ::= x"},
    ],
    ids=str,
)
def test_what_is_not_to_be_had_is_said_so(demo: LiveServer, fields: dict[str, Any]) -> None:
    answer = post(demo, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (400, "not_supported", "not_supported")
    assert error["param"] == next(iter(fields))


@pytest.mark.parametrize("fields", [{"suffix": ""}, {"echo": False}, {"best_of": 1}, {"logit_bias": None}], ids=str)
def test_what_asks_for_nothing_is_no_error(demo: LiveServer, fields: dict[str, Any]) -> None:
    assert post(demo, max_tokens=4, **fields).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [{"prompt": []}, {"prompt": None}, {"max_tokens": 0}, {"n": 65}, {"prompt": ["a"] * 9, "n": 8}, {"stop": [""]}],
    ids=str,
)
def test_nonsense_is_refused(demo: LiveServer, fields: dict[str, Any]) -> None:
    answer = post(demo, **fields)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_offsets_point_at_the_tokens_in_the_text_also_behind_a_tag_put_in_front() -> None:
    """Of a model that opens the thought itself, whose tag the engine took out."""

    def writer() -> CompletionsWriter:
        return CompletionsWriter("c", "m", thinking=[False], n=1, include_usage=False, with_logprobs=True)

    thought, answer = (TokenLogprob(5, b"Hm", -1.0), TokenLogprob(6, b".", -1.0)), (TokenLogprob(7, b"9", -1.0),)
    end = Finished("r", FinishReason.STOP, Usage(), Timings(), "natural")
    whole = json.loads(writer().whole([Reply(end, "Hm.", "9", [], list(thought), list(answer))]))["choices"][0]
    streamed = writer()
    events: list[TokenOutput | ThoughtEnded] = [
        TokenOutput("r", Channel.REASONING, "Hm.", 2, thought),
        ThoughtEnded("r", "natural", 2),
        TokenOutput("r", Channel.CONTENT, "9", 1, answer),
    ]
    parts = [json.loads(streamed.frame(Output(0, event))[6:])["choices"][0] for event in events]
    offsets = [at for part in parts if part["logprobs"] for at in part["logprobs"]["text_offset"]]
    assert "".join(part["text"] for part in parts) == whole["text"]
    assert offsets == whole["logprobs"]["text_offset"]
    assert [whole["text"][at] for at in offsets] == ["H", ".", "9"]
