"""POST /v1/chat/completions over real sockets, as SDKs use it: shapes, order of events, errors."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx2
import openai
import pytest
from live_server import QUESTION, LiveServer, StartServer, eventually

REASONING = "Let me count the sheep.\nAll but nine ran away, so nine are left."
CONTENT = "The answer is \\boxed{9}."


def post(server: LiveServer, **fields: Any) -> httpx2.Response:
    body = {"messages": QUESTION, **fields}
    return httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=30)


def events(response: httpx2.Response) -> list[str]:
    return [line.removeprefix("data: ") for line in response.text.split("\n") if line.startswith("data: ")]


def test_a_whole_reply_has_thought_and_answer_apart(live: LiveServer) -> None:
    body = post(live).json()
    message = body["choices"][0]["message"]
    assert message["reasoning_content"] == message["reasoning"] == REASONING
    assert (message["role"], message["content"]) == ("assistant", CONTENT)
    assert body["id"].startswith("chatcmpl-") and body["object"] == "chat.completion"
    assert body["choices"][0]["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]
    assert body["timings"]["predicted_n"] == usage["completion_tokens"]


def test_a_stream_goes_role_thought_answer_finish_usage_done(live: LiveServer) -> None:
    response = post(live, stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    *data, done = events(response)
    assert done == "[DONE]"
    *chunks, finish, usage = [json.loads(line) for line in data]
    (ended,) = [chunk["choices"][0] for chunk in chunks if "reasoning_end" in chunk["choices"][0]]
    assert ended["delta"] == {} and (ended["reasoning_end"], ended["reasoning_tokens"]) == ("natural", 14)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": None}
    kinds = ["reasoning" if "reasoning" in delta else "content" if delta else "end" for delta in deltas[1:]]
    n_thought = kinds.count("reasoning")
    assert kinds == ["reasoning"] * n_thought + ["end"] + ["content"] * (len(kinds) - n_thought - 1)
    assert "".join(delta.get("reasoning", "") for delta in deltas) == REASONING
    assert all(delta.get("reasoning") == delta.get("reasoning_content") for delta in deltas)
    assert "".join(delta.get("content") or "" for delta in deltas) == CONTENT
    assert all(chunk["usage"] is None and chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
    why = {"reasoning_end": "natural", "reasoning_end_evidence": None}
    assert finish["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop", **why}
    assert finish["timings"] == usage["timings"] and finish["timings"]["reasoning_ms"] > 0
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] > len(deltas) - 2
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in [*chunks, finish, usage]}) == 1


def test_without_include_usage_no_chunk_speaks_of_it(live: LiveServer) -> None:
    data = events(post(live, stream=True))
    assert all("usage" not in json.loads(line) for line in data[:-1])
    assert json.loads(data[-2])["choices"][0]["finish_reason"] == "stop"


def test_streamed_and_whole_reply_are_the_same(live: LiveServer) -> None:
    deltas = [json.loads(line)["choices"][0]["delta"] for line in events(post(live, stream=True))[:-1]]
    message = post(live).json()["choices"][0]["message"]
    for field in ("reasoning", "content"):
        assert "".join(delta.get(field) or "" for delta in deltas) == message[field]


def test_a_thought_that_max_tokens_leaves_no_room_for_gives_way_to_the_answer(live: LiveServer) -> None:
    choice = post(live, max_tokens=4).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert not choice["message"]["reasoning"] and CONTENT.startswith(choice["message"]["content"])


def test_stop_strings_end_the_answer_but_not_the_thought(live: LiveServer) -> None:
    message = post(live, stop=["nine", " is"]).json()["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == (REASONING, "The answer")


def test_text_is_whole_json_whatever_the_model_says(start_server: StartServer) -> None:
    script = 'a "quote" \\ back\u2028line 👩‍👩‍👧 \u0000 </think> ünï\x7f\x85 "end"'
    server = start_server({"script": script})
    message = post(server).json()["choices"][0]["message"]
    deltas = [json.loads(line)["choices"][0]["delta"] for line in events(post(server, stream=True))[:-1]]
    assert message["content"] == "".join(delta.get("content") or "" for delta in deltas)
    assert message["reasoning"] + "</think>" + message["content"] == script


def test_the_sync_sdk_streams_reasoning_and_content(live: LiveServer) -> None:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none") as sdk:
        assert [model.id for model in sdk.models.list()] == ["demo"]
        reasoning = content = ""
        with sdk.chat.completions.create(
            model="demo", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        ) as stream:
            for chunk in stream:
                usage = chunk.usage
                for choice in chunk.choices:
                    reasoning += getattr(choice.delta, "reasoning_content", None) or ""
                    content += choice.delta.content or ""
    assert (reasoning, content) == (REASONING, CONTENT)
    assert usage and usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens == 14


async def _ask(sdk: openai.AsyncOpenAI) -> tuple[str, str, list[str | None]]:
    reasoning = content = ""
    finished: list[str | None] = []
    stream = await sdk.chat.completions.create(model="demo", messages=QUESTION, stream=True)
    async for chunk in stream:
        delta = chunk.choices[0].delta
        reasoning += getattr(delta, "reasoning", None) or ""
        content += delta.content or ""
        finished += [chunk.choices[0].finish_reason] if chunk.choices[0].finish_reason else []
    return reasoning, content, finished


@pytest.mark.anyio
async def test_sixteen_parallel_sdk_streams_all_end_once(live: LiveServer) -> None:
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as sdk:
        answers = await asyncio.gather(*(_ask(sdk) for _ in range(16)))
    assert answers == [(REASONING, CONTENT, ["stop"])] * 16
    assert eventually(lambda: live.stats()["sequences"] == 0)


def test_sixteen_raw_streams_have_one_terminal_event_each(live: LiveServer) -> None:
    async def ask(client: httpx2.AsyncClient) -> list[str]:
        body = {"messages": QUESTION, "stream": True}
        return events(await client.post(f"{live.url}/v1/chat/completions", json=body))

    async def ask_all() -> list[list[str]]:
        async with httpx2.AsyncClient(timeout=30) as client:
            return await asyncio.gather(*(ask(client) for _ in range(16)))

    for lines in asyncio.run(ask_all()):
        assert lines[-1] == "[DONE]" and lines.count("[DONE]") == 1
        assert not any('"error"' in line for line in lines)


def test_a_prompt_too_long_says_both_numbers_before_any_event(start_server: StartServer) -> None:
    server = start_server({"n_ctx": 64})
    for stream in (False, True):
        response = post(server, messages=[{"role": "user", "content": "word " * 200}], stream=stream)
        error = response.json()["error"]
        assert response.status_code == 400 and error["code"] == "context_length_exceeded"
        assert error["n_ctx"] == 64 and error["n_prompt_tokens"] > 200
        n_prompt = error["n_prompt_tokens"]
        assert error["message"].startswith(f"prompt is too long: {n_prompt} tokens > 64 maximum."), "as Anthropic says"
        assert "maximum context length is 64 tokens" in error["message"], "as OpenAI says"


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_a_stop_string_cut_off_is_no_call_to_make(start_server: StartServer, stream: bool) -> None:
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "find_weather", "parameters": city}}
    call = '<tool_call>\n{"name": "find_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    server = start_server({"script": f"Look.\n</think>\n\n{call}"})
    for stop, reason in (("Rome", "stop"), ("Oslo", "tool_calls")):
        answer = post(server, tools=[tool], stop=stop, stream=stream)
        choice = (json.loads(events(answer)[-2]) if stream else answer.json())["choices"][0]
        assert choice["finish_reason"] == reason


def test_the_model_is_checked_by_name_and_may_be_left_out(live: LiveServer) -> None:
    assert post(live, model="demo").status_code == post(live, model=None).status_code == 200
    response = post(live, model="../../etc/passwd")
    assert response.status_code == 404 and response.json()["error"]["code"] == "model_not_found"


def test_unknown_fields_are_ignored_and_named_in_one_log_line(
    live: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "r1chat.serve.api.fields"):
        assert post(live, **{"user": "me", "evil\nline": 1, "tier": "auto"}).status_code == 200
    (line,) = [record.getMessage() for record in caplog.records if "ignored" in record.getMessage()]
    assert line.endswith("'evil\\nline', 'tier'")
    with caplog.at_level(logging.INFO, "r1chat.serve.api.fields"):
        caplog.clear()
        assert post(live, **{"tier": "auto", "tear": "auto"}).status_code == 200
    (line,) = [record.getMessage() for record in caplog.records if "ignored" in record.getMessage()]
    assert line.endswith(": 'tear'"), "each is told once"


def test_a_body_that_is_no_json_is_told_where_it_breaks(live: LiveServer) -> None:
    answer = httpx2.post(
        f"{live.url}/v1/chat/completions", content=b'{"messages": [', headers={"content-type": "application/json"}
    )
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["param"] is None
    assert error["message"].startswith("The body is no JSON: ") and "at character 1" in error["message"]


def test_a_token_id_beyond_the_vocabulary_is_refused(live: LiveServer) -> None:
    response = post(live, logit_bias={"100000": 1})
    assert response.status_code == 400 and response.json()["error"]["param"] == "logit_bias"


def test_a_model_that_is_not_deterministic_says_so_before_any_event(live: LiveServer) -> None:
    for stream in (False, True):
        response = post(live, deterministic=True, stream=stream)
        error = response.json()["error"]
        assert (response.status_code, error["param"]) == (400, "deterministic") and "Q8_0" in error["message"]


def test_every_reply_says_whether_it_is_deterministic(live: LiveServer) -> None:
    assert post(live).json()["deterministic"] is False
    options = {"include_usage": True}
    *chunks, finish, usage = [json.loads(line) for line in events(post(live, stream=True, stream_options=options))[:-1]]
    assert finish["deterministic"] is usage["deterministic"] is False
    assert not any("deterministic" in chunk for chunk in chunks)


def test_the_model_card_tells_what_fits(live: LiveServer) -> None:
    (card,) = httpx2.get(live.url + "/v1/models").json()["data"]
    assert card["meta"].pop("reasoning_efforts")["low"] == 1024
    assert card["meta"] == {"n_ctx": 8192, "n_params": 0, "n_threads": 1, "deterministic": False}


@pytest.mark.parametrize("priority", ["interactive", "batch", "background"])
def test_every_priority_is_answered(live: LiveServer, priority: str) -> None:
    assert post(live, priority=priority).json()["choices"][0]["message"]["content"] == CONTENT


def test_old_reasoning_stays_out_of_the_prompt(live: LiveServer) -> None:
    def prompt_tokens(**extra: str) -> int:
        old = {"role": "assistant", "content": "Nine.", **extra}
        return post(live, messages=[*QUESTION, old, *QUESTION], max_tokens=1).json()["usage"]["prompt_tokens"]

    assert prompt_tokens() == prompt_tokens(reasoning="a b c d e") == prompt_tokens(reasoning_content="f g h")


def test_developer_counts_as_system(live: LiveServer) -> None:
    def usage(role: str) -> int:
        messages = [{"role": role, "content": "Be brief."}, *QUESTION]
        return post(live, messages=messages, max_tokens=1).json()["usage"]["prompt_tokens"]

    assert usage("developer") == usage("system") > post(live, max_tokens=1).json()["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"[" * 100_000,
        b"9" * 5000,
        b'{"m":"\xff\xfe"}',
        b"\xff\xfe{\x00}\x00",
        b"\x1f\x8b",
    ],
    ids=lambda body: repr(body[:8]),
)
def test_a_broken_body_is_a_400_in_the_openai_shape(live: LiveServer, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = httpx2.post(f"{live.url}/v1/chat/completions", content=body, headers=headers)
    assert response.status_code == 400
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_an_error_names_the_field_and_not_the_value(live: LiveServer) -> None:
    response = post(live, messages=[{"role": "user", "content": [{"type": "image_url", "secret": "hunter2"}]}])
    assert response.json()["error"]["param"] == "messages[0].content[0]"
    assert response.json()["error"]["type"] == "not_supported"
    assert "hunter2" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405), ("PUT", "/health", 405)],
)
def test_routing_errors_have_the_openai_shape(live: LiveServer, method: str, path: str, status: int) -> None:
    response = httpx2.request(method, live.url + path)
    assert response.status_code == status and response.json()["error"]["type"] == "invalid_request_error"


def test_every_response_carries_a_request_id(live: LiveServer) -> None:
    ids = [httpx2.get(live.url + path).headers["x-request-id"] for path in ("/health", "/v1/models", "/none")]
    assert len(set(ids)) == 3


def test_the_schema_is_published(live: LiveServer) -> None:
    schema = httpx2.get(live.url + "/openapi.json").json()
    control = {"/v1/chat/completions/control", "/v1/chat/completions/{completion_id}/control"}
    assert set(schema["paths"]) >= {"/v1/chat/completions", *control, "/v1/models", "/metrics", "/health"}
