"""POST /v1/responses through OpenAI's SDK, which checks every answer, and on raw sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from live_server import LiveServer, StartServer, start_model
from pydantic import BaseModel

from r1chat.serve.api.responses.asking import ask_of
from r1chat.serve.api.responses.body import response_of
from r1chat.serve.api.responses.protocol import ResponsesRequest
from r1chat.serve.models.catalog import BUNDLED

QUESTION = "What is 3 + 4?"
WEATHER = {
    "type": "function",
    "name": "find_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"]},
}
CALLS = (
    "I need the weather.\n</think>\n\n"
    '<tool_call>\n{"name": "find_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    '\n<tool_call>\n{"name": "find_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
)


class Sum(BaseModel):
    total: int


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


@pytest.fixture(scope="module")
def sdk(demo: LiveServer) -> Iterator[openai.OpenAI]:
    with strict(demo) as client:
        yield client


def strict(server: LiveServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, _strict_response_validation=True)


def post(server: LiveServer, **fields: Any) -> httpx2.Response:
    body = {"input": QUESTION, "temperature": 0, **fields}
    return httpx2.post(f"{server.url}/v1/responses", json=body, timeout=60)


def events(response: httpx2.Response) -> list[dict[str, Any]]:
    """Whose names stand beside their data, too."""
    frames = [frame.split("\n") for frame in response.text.split("\n\n") if frame and not frame.startswith(":")]
    read = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [name.removeprefix("event: ") for name, _ in frames] == [event["type"] for event in read]
    return read


@pytest.mark.model
def test_a_reply_is_a_thought_and_a_message(sdk: openai.OpenAI) -> None:
    reply = sdk.responses.create(model="demo", input=QUESTION, temperature=0)
    thought, message = reply.output
    assert thought.type == "reasoning" and thought.content and "3+4" in thought.content[0].text
    assert thought.summary == []
    assert message.type == "message" and reply.output_text == "3 + 4 = \\boxed{7}"
    assert (reply.status, message.status, reply.incomplete_details) == ("completed", "completed", None)
    usage = reply.usage
    assert usage is not None and usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert 0 < usage.output_tokens_details.reasoning_tokens < usage.output_tokens


@pytest.mark.model
def test_a_stream_says_what_the_whole_says(sdk: openai.OpenAI) -> None:
    whole = sdk.responses.create(model="demo", input=QUESTION, temperature=0)
    with sdk.responses.stream(model="demo", input=QUESTION, temperature=0) as stream:
        seen = list(stream)
        final = stream.get_final_response()
    assert final.output_text == whole.output_text
    assert final.output[0].type == whole.output[0].type == "reasoning"
    assert final.output[0].content == whole.output[0].content
    deltas = [event.delta for event in seen if event.type == "response.reasoning_text.delta"]
    assert final.output[0].content and "".join(deltas) == final.output[0].content[0].text
    assert final.usage is not None and whole.usage is not None
    assert final.usage.output_tokens == whole.usage.output_tokens


@pytest.mark.model
def test_events_are_numbered_and_every_item_begins_grows_and_ends(demo: LiveServer) -> None:
    seen = events(post(demo, stream=True))
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    order = [event["type"].removeprefix("response.") for event in seen]
    once = [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name]
    item = ["output_item.added", "content_part.added"]
    done = ["content_part.done", "output_item.done"]
    assert once == [
        "created",
        "in_progress",
        *item,
        "reasoning_text.delta",
        "reasoning_text.done",
        *done,
        *item,
        "output_text.delta",
        "output_text.done",
        *done,
        "completed",
    ]
    for index, kind in enumerate(("reasoning_text", "output_text")):
        said = "".join(event["delta"] for event in seen if event["type"] == f"response.{kind}.delta")
        (whole,) = [event for event in seen if event["type"] == f"response.{kind}.done"]
        assert whole["text"] == said == seen[-1]["response"]["output"][index]["content"][0]["text"]
    ids = {event["item_id"] for event in seen if "item_id" in event}
    assert ids == {item["id"] for item in seen[-1]["response"]["output"]}
    assert seen[-1]["response"]["reasoning_end"] == "natural"


@pytest.mark.model
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_parsed_as_its_schema_says_behind_a_thought(sdk: openai.OpenAI, stream: bool) -> None:
    fields: Any = {"model": "demo", "input": QUESTION, "temperature": 0, "max_output_tokens": 400}
    if stream:
        with sdk.responses.stream(text_format=Sum, **fields) as live:
            for _ in live:
                pass
            reply = live.get_final_response()
    else:
        reply = sdk.responses.parse(text_format=Sum, **fields)
    assert isinstance(reply.output_parsed, Sum)
    assert [item.type for item in reply.output] == ["reasoning", "message"]


@pytest.mark.model
def test_efforts_and_budgets_bound_the_thought(sdk: openai.OpenAI) -> None:
    none = sdk.responses.create(model="demo", input=QUESTION, temperature=0, reasoning={"effort": "none"})
    assert [item.type for item in none.output] == ["message"] and none.output_text
    few = sdk.responses.create(
        model="demo",
        input=QUESTION,
        temperature=0,
        extra_body={"reasoning_budget_tokens": 5, "reasoning_grace_tokens": 0},
    )
    assert few.usage is not None and few.usage.output_tokens_details.reasoning_tokens <= 5
    assert few.output_text and getattr(few, "reasoning_end", None) == "budget"


@pytest.mark.model
def test_a_reply_cut_short_is_incomplete_and_says_why(sdk: openai.OpenAI, demo: LiveServer) -> None:
    reply = sdk.responses.create(model="demo", input="Hello!", temperature=0, max_output_tokens=22)
    assert reply.status == "incomplete" and reply.output_text
    assert reply.incomplete_details is not None and reply.incomplete_details.reason == "max_output_tokens"
    assert events(post(demo, input="Hello!", max_output_tokens=22, stream=True))[-1]["type"] == "response.incomplete"


@pytest.mark.model
def test_what_went_out_may_come_back_in_and_is_found_in_the_cache(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model="demo", input=[{"role": "user", "content": "What is 21 + 34?"}], temperature=0)
    items: Any = [{"role": "user", "content": "What is 21 + 34?"}]
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items += [{"role": "user", "content": [{"type": "input_text", "text": "And 12 + 5?"}]}]
    second = sdk.responses.create(model="demo", input=items, temperature=0)
    assert first.usage is not None and second.usage is not None
    assert second.usage.input_tokens_details.cached_tokens >= first.usage.input_tokens - 4


@pytest.mark.model
def test_log_probabilities_come_where_they_are_asked_for(sdk: openai.OpenAI) -> None:
    reply = sdk.responses.create(
        model="demo",
        input=QUESTION,
        temperature=0,
        top_logprobs=2,
        include=["message.output_text.logprobs"],
    )
    message = reply.output[-1]
    assert message.type == "message" and message.content[0].type == "output_text"
    entries = message.content[0].logprobs
    assert entries and "".join(entry.token for entry in entries).strip().startswith("3 + 4")
    assert all(len(entry.top_logprobs) == 2 and entry.logprob <= 0 for entry in entries)


@pytest.mark.model
def test_a_prompt_is_counted_as_it_is_used(sdk: openai.OpenAI) -> None:
    used = sdk.responses.create(model="demo", input=QUESTION, instructions="Be brief.").usage
    count = sdk.responses.input_tokens.count(model="demo", input=QUESTION, instructions="Be brief.")
    assert used is not None and count.input_tokens == used.input_tokens


def test_instructions_go_before_the_input(live: LiveServer) -> None:
    bare = post(live).json()["usage"]["input_tokens"]
    told = post(live, instructions="Be brief, please.").json()
    assert told["usage"]["input_tokens"] > bare and told["instructions"] == "Be brief, please."
    both = post(
        live,
        instructions="Be brief, please.",
        input=[{"role": "developer", "content": "Be polite."}, {"role": "user", "content": QUESTION}],
    ).json()
    assert both["usage"]["input_tokens"] > told["usage"]["input_tokens"]
    developer = post(
        live, input=[{"role": "developer", "content": "Be brief, please."}, {"role": "user", "content": QUESTION}]
    )
    assert developer.json()["usage"]["input_tokens"] == told["usage"]["input_tokens"]


@pytest.mark.parametrize("stream", [False, True])
def test_calls_are_items_of_their_own(start_server: StartServer, stream: bool) -> None:
    with strict(start_server({"script": CALLS})) as sdk:
        tools: Any = [WEATHER]
        if stream:
            with sdk.responses.stream(model="demo", input="Weather?", tools=tools) as live:
                seen = list(live)
                reply: Any = live.get_final_response()
            deltas = [event.delta for event in seen if event.type == "response.function_call_arguments.delta"]
            assert "".join(deltas) == '{"city": "Rome"}{"city": "Oslo"}'
            done = [event for event in seen if event.type == "response.function_call_arguments.done"]
            assert [event.arguments for event in done] == ['{"city": "Rome"}', '{"city": "Oslo"}']
        else:
            reply = sdk.responses.create(model="demo", input="Weather?", tools=tools)
        thought, *calls = reply.output
        assert thought.type == "reasoning" and [call.type for call in calls] == ["function_call"] * 2
        assert [json.loads(call.arguments)["city"] for call in calls] == ["Rome", "Oslo"]
        assert len({call.call_id for call in calls}) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_a_stop_string_cut_off_is_incomplete(start_server: StartServer, stream: bool) -> None:
    answer = post(start_server({"script": CALLS}), tools=[WEATHER], stop="Oslo", stream=stream)
    reply = events(answer)[-1]["response"] if stream else answer.json()
    assert [item["status"] for item in reply["output"]] == ["completed", "completed", "incomplete"]
    assert reply["output"][1]["arguments"] == '{"city": "Rome"}'


@pytest.mark.model
@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "add"}], ids=str)
def test_a_call_that_must_be_made_is_made_behind_a_thought(sdk: openai.OpenAI, choice: Any) -> None:
    number = {"type": "integer", "minimum": 0, "maximum": 99}
    schema = {"type": "object", "properties": {"a": number}, "required": ["a"]}
    reply = sdk.responses.create(
        model="demo",
        input=QUESTION,
        tools=[{"type": "function", "name": "add", "parameters": schema, "strict": False}],
        tool_choice=choice,
        parallel_tool_calls=False,
        max_output_tokens=400,
    )
    thought, call = reply.output
    assert thought.type == "reasoning" and call.type == "function_call" and reply.status == "completed"
    assert 0 <= json.loads(call.arguments)["a"] <= 99


def test_results_of_calls_are_answered(start_server: StartServer) -> None:
    with strict(start_server({"script": "Sunny it is.\n</think>\n\nIt is sunny."})) as sdk:
        items: Any = [
            {"role": "user", "content": "Weather?"},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "Look."}],
            },
            {"type": "function_call", "call_id": "call_1", "name": "find_weather", "arguments": '{"city": "Rome"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        ]
        tools: Any = [WEATHER]
        assert sdk.responses.create(model="demo", input=items, tools=tools).output_text == "It is sunny."


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("vote", {"n": 4}),
        ("n", 2),
        ("background", True),
        ("truncation", "auto"),
        ("prompt", {"id": "pmpt_1"}),
        ("include", ["file_search_call.results"]),
        ("input", [{"type": "item_reference", "id": "msg_1"}]),
        ("input", [{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}]),
        ("text", {"format": {"type": "grammar", "syntax": "lark"}}),
    ],
)
def test_what_is_not_to_be_had_is_said_so(live: LiveServer, field: str, value: Any) -> None:
    answer = post(live, **{field: value})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "not_supported"), error
    assert error["param"].startswith(field)


SEARCH, PATCH = {"type": "web_search"}, {"type": "custom", "name": "apply_patch"}


@pytest.mark.parametrize("choice", [None, "auto"])
def test_of_what_an_agent_brings_the_model_is_told_of_functions_alone(choice: str | None) -> None:
    fields = {"input": QUESTION, "tool_choice": choice}
    body = ResponsesRequest.model_validate({**fields, "tools": [SEARCH, WEATHER, PATCH]})
    assert [tool.function.name for tool in ask_of(body, "").tools] == ["find_weather"]
    assert [tool["name"] for tool in response_of(body, "resp_1", "demo", 0).tools] == ["find_weather"]
    assert body.ignored == ["tools[custom]", "tools[web_search]"]
    without = ask_of(ResponsesRequest.model_validate({**fields, "tools": [SEARCH, PATCH]}), "")
    assert without.tools == () and without.grammar is None


@pytest.mark.parametrize("choice", ["required", SEARCH, PATCH, {"type": "function", "name": "apply_patch"}], ids=str)
def test_a_tool_that_the_model_is_not_told_of_cannot_be_asked_for(live: LiveServer, choice: Any) -> None:
    answer = post(live, tools=[SEARCH, PATCH], tool_choice=choice)
    assert answer.status_code == 400 and answer.json()["error"]["param"].startswith("tool_choice")


@pytest.mark.parametrize(
    "fields",
    [
        {"store": True, "metadata": {"a": "b"}, "user": "me", "background": False, "truncation": "disabled"},
        {"include": ["reasoning.encrypted_content"], "text": {"verbosity": "low"}, "prompt_cache_key": "k"},
        {"reasoning": {"effort": "low", "summary": "auto"}, "parallel_tool_calls": True, "tools": []},
    ],
    ids=str,
)
def test_what_changes_nothing_is_taken(live: LiveServer, fields: dict[str, Any]) -> None:
    assert post(live, **fields).json()["status"] == "completed"


@pytest.mark.parametrize(
    "fields", [{"input": []}, {"input": None}, {"input": [{"role": "bard", "content": "x"}]}, {"max_output_tokens": 0}]
)
def test_nonsense_is_refused(live: LiveServer, fields: dict[str, Any]) -> None:
    answer = post(live, **fields)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_stream_that_breaks_ends_as_a_failed_response(start_server: StartServer) -> None:
    server = start_server({"tokens_per_s": 20, "scripts": {"CUT": "I begin to think CRASH"}})
    last = events(post(server, input="CUT", stream=True))[-1]
    assert last["type"] == "response.failed" and last["response"]["status"] == "failed"
    assert last["response"]["error"]["code"] == "server_error"
