"""POST /v1/messages through Anthropic's SDK, which checks every answer, and on raw sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import pytest
from live_server import QUESTION, LiveServer, StartServer, start_model
from pydantic import ValidationError

from r1chat.serve.api.ask import Ask
from r1chat.serve.api.forms.tools import description
from r1chat.serve.api.messages.asking import ask_of
from r1chat.serve.api.messages.protocol import MessagesRequest
from r1chat.serve.api.prompt.chat_template import Turn
from r1chat.serve.engine.constraint import MAX_TEXT
from r1chat.serve.models.catalog import BUNDLED

ASKED: Any = [{"role": "user", "content": "What is 3 + 4?"}]
# The SDK has no argument for it any more.
GREEDY = {"temperature": 0}
WEATHER = {
    "name": "find_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CALLS = (
    "I need the weather.\n</think>\n\nLet me look.\n"
    '<tool_call>\n{"name": "find_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    '\n<tool_call>\n{"name": "find_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
)


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


@pytest.fixture(scope="module")
def sdk(demo: LiveServer) -> Iterator[anthropic.Anthropic]:
    with strict(demo) as client:
        yield client


def strict(server: LiveServer, api_key: str = "none") -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key=api_key, max_retries=0, _strict_response_validation=True)


def post(server: LiveServer, path: str = "/v1/messages", **fields: Any) -> httpx2.Response:
    body = {"messages": QUESTION, "max_tokens": 300, "temperature": 0, **fields}
    return httpx2.post(f"{server.url}{path}", json=body, timeout=60)


def events(response: httpx2.Response) -> list[dict[str, Any]]:
    """Whose names stand beside their data, too."""
    frames = [frame.split("\n") for frame in response.text.split("\n\n") if frame and not frame.startswith(":")]
    read = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [name.removeprefix("event: ") for name, _ in frames] == [event["type"] for event in read]
    return read


def asked(**fields: Any) -> Ask:
    return ask_of(MessagesRequest.model_validate({"messages": ASKED, "max_tokens": 300, **fields}), "")


def said(reply: Any) -> list[Any]:
    return [(block.type, getattr(block, "thinking", None) or getattr(block, "text", "")) for block in reply.content]


@pytest.mark.model
def test_a_reply_is_a_thinking_block_and_a_text_block(sdk: anthropic.Anthropic) -> None:
    reply = sdk.messages.create(model="demo", max_tokens=300, messages=ASKED, extra_body=GREEDY)
    thought, text = reply.content
    assert thought.type == "thinking" and "3+4" in thought.thinking
    assert text.type == "text" and text.text == "3 + 4 = \\boxed{7}"
    assert (reply.stop_reason, reply.stop_sequence, reply.role) == ("end_turn", None, "assistant")
    details = reply.usage.output_tokens_details
    assert details is not None and 0 < details.thinking_tokens < reply.usage.output_tokens


@pytest.mark.model
def test_a_stream_says_what_the_whole_says(sdk: anthropic.Anthropic) -> None:
    whole = sdk.messages.create(model="demo", max_tokens=300, messages=ASKED, extra_body=GREEDY)
    with sdk.messages.stream(model="demo", max_tokens=300, messages=ASKED, extra_body=GREEDY) as stream:
        thought = "".join(event.thinking for event in stream if event.type == "thinking")
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert final.content[0].type == "thinking" and final.content[0].thinking == thought
    assert said(final) == said(whole) and final.stop_reason == whole.stop_reason
    usage = final.usage
    assert usage.output_tokens == whole.usage.output_tokens
    prompt = [usage.input_tokens, usage.cache_read_input_tokens or 0]
    assert sum(prompt) == whole.usage.input_tokens + (whole.usage.cache_read_input_tokens or 0)


def test_a_thought_goes_where_it_is_wanted(live: LiveServer) -> None:
    plain = post(live).json()["content"]
    (hidden,) = post(live, reasoning_format="hidden").json()["content"]
    assert hidden == plain[1]
    (inline,) = post(live, reasoning_format="inline").json()["content"]
    assert inline["text"] == f"<think>\n{plain[0]['thinking']}\n</think>\n\n{plain[1]['text']}"


def test_blocks_begin_grow_and_end_one_after_the_other(live: LiveServer) -> None:
    seen = events(post(live, stream=True))
    order = [event["type"] for event in seen]
    once = [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert once == ["message_start", *block, *block, "message_delta", "message_stop"]
    assert seen[0]["message"]["content"] == [] and seen[0]["message"]["usage"]["input_tokens"] > 0
    assert [event["index"] for event in seen if event["type"] == "content_block_stop"] == [0, 1]
    assert seen[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert seen[-2]["reasoning_end"] == "natural"


def test_a_thought_is_signed_so_that_clients_send_it_back(live: LiveServer) -> None:
    (thought, _), (hidden, _) = (
        post(live, thinking={"type": "adaptive", "display": display}).json()["content"]
        for display in ("summarized", "omitted")
    )
    assert thought["signature"] and (hidden["thinking"], hidden["signature"]) == ("", thought["signature"])
    for display in ("summarized", "omitted"):
        seen = events(post(live, stream=True, thinking={"type": "adaptive", "display": display}))
        first = [event for event in seen if event.get("index") == 0]
        assert first[-1]["type"] == "content_block_stop"
        assert first[-2]["delta"] == {"type": "signature_delta", "signature": thought["signature"]}


@pytest.mark.model
def test_thinking_is_bounded_switched_off_or_hidden(sdk: anthropic.Anthropic) -> None:
    def ask(**fields: Any) -> Any:
        return sdk.messages.create(model="demo", max_tokens=300, messages=ASKED, extra_body=GREEDY, **fields)

    off = ask(thinking={"type": "disabled"})
    assert [block.type for block in off.content] == ["text"] and off.content[0].text
    few = ask(thinking={"type": "enabled", "budget_tokens": 4})
    assert few.usage.output_tokens_details.thinking_tokens <= 4 + 32
    adaptive = ask(thinking={"type": "adaptive"}, output_config={"effort": "low"})
    assert [block.type for block in adaptive.content] == ["thinking", "text"]
    hidden = ask(thinking={"type": "adaptive", "display": "omitted"})
    assert hidden.content[0].thinking == "" and hidden.content[1] == adaptive.content[1]
    with sdk.messages.stream(
        model="demo",
        max_tokens=300,
        messages=ASKED,
        extra_body=GREEDY,
        thinking={"type": "adaptive", "display": "omitted"},
    ) as stream:
        assert said(stream.get_final_message()) == said(hidden)


@pytest.mark.model
def test_system_and_blocks_of_earlier_turns_are_read(sdk: anthropic.Anthropic) -> None:
    first = sdk.messages.create(model="demo", max_tokens=300, messages=ASKED, extra_body=GREEDY)
    turns: Any = [
        *ASKED,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": [{"type": "text", "text": "And 12 + 5?", "cache_control": {"type": "ephemeral"}}]},
    ]
    second = sdk.messages.create(model="demo", max_tokens=300, messages=turns, extra_body=GREEDY)
    n_prompt = first.usage.input_tokens + (first.usage.cache_read_input_tokens or 0)
    assert (second.usage.cache_read_input_tokens or 0) >= n_prompt - 4
    count = sdk.messages.count_tokens(model="demo", messages=turns).input_tokens
    assert count == second.usage.input_tokens + (second.usage.cache_read_input_tokens or 0)
    with_system = sdk.messages.count_tokens(
        model="demo", messages=turns, system=[{"type": "text", "text": "Be brief."}]
    )
    assert with_system.input_tokens > count


@pytest.mark.model
def test_a_last_message_of_the_assistants_is_gone_on_with(sdk: anthropic.Anthropic) -> None:
    turns: Any = [*ASKED, {"role": "assistant", "content": "3 + 4 = \\boxed{"}]
    reply = sdk.messages.create(model="demo", max_tokens=100, messages=turns, extra_body=GREEDY)
    (text,) = reply.content
    assert text.type == "text" and text.text.endswith("}")


@pytest.mark.parametrize("text", ["Be brief.", ""])
def test_a_reply_before_a_systems_word_is_not_gone_on_with(text: str) -> None:
    turns = [*ASKED, {"role": "assistant", "content": "7"}]
    assert asked(messages=turns).continues == "content"
    assert asked(messages=[*turns, {"role": "system", "content": text}]).continues is None


BILLING = "x-anthropic-billing-header: cc_version=2.1.37; cch={};"


@pytest.mark.parametrize(
    "system",
    [
        lambda header: [{"type": "text", "text": header}, {"type": "text", "text": "Be brief."}],
        lambda header: f"{header}\n\nBe brief.",
    ],
    ids=["blocks", "text"],
)
def test_what_a_client_says_for_its_bill_stays_out_of_the_prompt(system: Callable[[str], Any]) -> None:
    for header in (BILLING.format("36ee5"), BILLING.format("a01b2")):
        turns = asked(system=system(header)).turns
        assert turns[0] == Turn("system", "Be brief.") and turns[1].role == "user"
    assert [turn.role for turn in asked(system=BILLING).turns] == ["user"]


@pytest.mark.model
def test_a_format_binds_the_text_and_not_the_thought(sdk: anthropic.Anthropic) -> None:
    total = {"type": "integer", "minimum": 0, "maximum": 99}
    schema: Any = {"type": "object", "properties": {"total": total}, "required": ["total"]}
    reply = sdk.messages.create(
        model="demo",
        max_tokens=400,
        messages=ASKED,
        extra_body=GREEDY,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    thought, text = reply.content
    assert thought.type == "thinking" and thought.thinking
    assert text.type == "text" and list(json.loads(text.text)) == ["total"]


@pytest.mark.model
def test_a_stop_sequence_and_spent_tokens_are_told_apart(sdk: anthropic.Anthropic) -> None:
    hello: Any = [{"role": "user", "content": "Hello!"}]
    cut = sdk.messages.create(model="demo", max_tokens=22, messages=hello, extra_body=GREEDY)
    assert cut.stop_reason == "max_tokens" and cut.content[-1].type == "text"
    for stream in (False, True):
        fields: Any = {"max_tokens": 300, "messages": ASKED, "extra_body": GREEDY, "stop_sequences": ["zzz", " ="]}
        if stream:
            with sdk.messages.stream(model="demo", **fields) as live:
                reply: Any = live.get_final_message()
        else:
            reply = sdk.messages.create(model="demo", **fields)
        assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", " =")
        assert reply.content[-1].text == "3 + 4"


@pytest.mark.parametrize("stream", [False, True])
def test_calls_are_blocks_with_their_input(start_server: StartServer, stream: bool) -> None:
    with strict(start_server({"script": CALLS})) as sdk:
        fields: Any = {"model": "demo", "max_tokens": 300, "messages": QUESTION, "tools": [WEATHER]}
        if stream:
            with sdk.messages.stream(**fields) as live:
                reply: Any = live.get_final_message()
        else:
            reply = sdk.messages.create(**fields)
        assert [block.type for block in reply.content] == ["thinking", "text", "tool_use", "tool_use"]
        assert [block.input for block in reply.content[2:]] == [{"city": "Rome"}, {"city": "Oslo"}]
        assert reply.stop_reason == "tool_use" and reply.content[1].text.strip() == "Let me look."
        assert len({block.id for block in reply.content[2:]}) == 2


@pytest.mark.model
@pytest.mark.parametrize(
    "choice", [{"type": "any", "disable_parallel_tool_use": True}, {"type": "tool", "name": "add"}]
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_must_be_made_is_made_behind_a_thought(sdk: anthropic.Anthropic, choice: Any, stream: bool) -> None:
    number = {"type": "integer", "minimum": 0, "maximum": 99}
    add = {"name": "add", "input_schema": {"type": "object", "properties": {"a": number}, "required": ["a"]}}
    fields: Any = {"model": "demo", "max_tokens": 400, "messages": ASKED, "tools": [add], "tool_choice": choice}
    fields["extra_body"] = GREEDY
    if stream:
        with sdk.messages.stream(**fields) as live:
            reply: Any = live.get_final_message()
    else:
        reply = sdk.messages.create(**fields)
    assert [block.type for block in reply.content] == ["thinking", "tool_use"] and reply.stop_reason == "tool_use"
    assert list(reply.content[1].input) == ["a"] and 0 <= reply.content[1].input["a"] <= 99


@pytest.mark.parametrize("is_error", [False, True])
def test_results_of_calls_are_answered(start_server: StartServer, is_error: bool) -> None:
    with strict(start_server({"script": "Sunny it is.\n</think>\n\nIt is sunny."})) as sdk:
        result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny"}]}
        turns: Any = [
            *QUESTION,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Look.", "signature": ""},
                    {"type": "tool_use", "id": "t1", "name": "find_weather", "input": {"city": "Rome"}},
                ],
            },
            {"role": "user", "content": [{**result, "is_error": is_error}, {"type": "text", "text": "So?"}]},
        ]
        reply = sdk.messages.create(model="demo", max_tokens=300, messages=turns, tools=[WEATHER])  # type: ignore[list-item]
        assert reply.content[-1].type == "text" and reply.content[-1].text == "It is sunny."


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}]),
        ("messages", [{"role": "user", "content": [{"type": "document"}]}]),
        ("tools", [{"type": "web_search_20250305", "name": "web_search"}]),
        ("mcp_servers", [{"type": "url"}]),
        ("container", "c1"),
        ("vote", {"n": 4}),
        ("n", 2),
        ("thinking", {"type": "between_tools"}),
    ],
)
def test_what_is_not_to_be_had_is_said_so(live: LiveServer, field: str, value: Any) -> None:
    answer = post(live, **{field: value})
    assert answer.status_code == 400
    assert answer.json()["type"] == "error" and answer.json()["error"]["type"] == "not_supported"
    assert answer.json()["error"]["param"].startswith(field)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_what_agents_say_of_old_thoughts_is_taken(live: LiveServer, path: str) -> None:
    edits = [{"type": "clear_thinking_20251015", "keep": "all"}]
    assert post(live, path, context_management={"edits": edits}).status_code == 200


def test_errors_have_anthropics_shape_and_classes(start_server: StartServer) -> None:
    server = start_server(api_key="secret")
    with strict(server, "secret") as sdk:
        fields: Any = {"model": "demo", "max_tokens": 9, "messages": QUESTION}
        with pytest.raises(anthropic.BadRequestError) as bad:
            sdk.messages.create(**{**fields, "max_tokens": 0})
        assert bad.value.type == "invalid_request_error" and "max_tokens" in str(bad.value)
        assert bad.value.request_id == bad.value.response.headers["x-request-id"]
        with pytest.raises(anthropic.NotFoundError) as missing:
            sdk.messages.create(**{**fields, "model": "claude-none"})
        assert missing.value.type == "not_found_error"
        with strict(server, "wrong") as stranger, pytest.raises(anthropic.AuthenticationError) as refused:
            stranger.messages.create(**fields)
        assert refused.value.type == "authentication_error"
        assert sdk.messages.create(**fields).content
    assert isinstance(bad.value.body, dict) and bad.value.body["type"] == "error"


def test_a_thought_may_be_ended_while_it_is_streamed(start_server: StartServer) -> None:
    n_steps = 1500  # nothing repeats, or it would be ended as a loop; a minute, however late the word comes
    script = " ".join(f"step {n}" for n in range(n_steps)) + "\n</think>\n\nDone."
    server, told = start_server({"tokens_per_s": 50, "script": script}), False
    with strict(server) as sdk, sdk.messages.stream(model="demo", max_tokens=4000, messages=ASKED) as stream:
        for event in stream:
            if event.type == "thinking" and event.snapshot.count("step") >= 5 and not told:
                url = f"{server.url}/v1/chat/completions/{stream.current_message_snapshot.id}/control"
                assert httpx2.post(url, json={"action": "answer_now"}).status_code == 200
                told = True
        final = stream.get_final_message()
    assert told
    assert said(final)[1] == ("text", "Done.") and final.usage.output_tokens < n_steps


def test_a_prompt_that_is_too_long_is_an_invalid_request(start_server: StartServer) -> None:
    server = start_server({"n_ctx": 64})
    long = [{"role": "user", "content": "many words " * 60}]
    answer = post(server, messages=long)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert answer.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_was_cut_off_is_no_call_to_make(start_server: StartServer, stream: bool) -> None:
    endless = f'Look.\n</think>\n\n<tool_call>\n{{"name": "find_weather", "arguments": {{"city": "{"far " * 99}'
    with strict(start_server({"script": endless})) as sdk:
        fields: Any = {"model": "demo", "max_tokens": 40, "messages": QUESTION, "tools": [WEATHER]}
        if stream:
            with sdk.messages.stream(**fields) as live:
                reply: Any = live.get_final_message()
        else:
            reply = sdk.messages.create(**fields)
        assert reply.stop_reason == "max_tokens" and reply.usage.output_tokens == 40
        calls = [block for block in reply.content if block.type == "tool_use"]
        # who streams has seen the beginning, and may see that it has no end
        assert len(calls) == stream and reply.content[0].type == "thinking"


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_a_stop_sequence_cut_off_is_no_call_to_make(start_server: StartServer, stream: bool) -> None:
    answer = post(start_server({"script": CALLS}), tools=[WEATHER], stop_sequences=["Rome"], stream=stream)
    last = events(answer)[-2]["delta"] if stream else answer.json()
    assert (last["stop_reason"], last["stop_sequence"]) == ("stop_sequence", "Rome")


def test_a_stream_that_breaks_ends_in_an_error_event(start_server: StartServer) -> None:
    server = start_server({"tokens_per_s": 20, "scripts": {"CUT": "I begin to think CRASH"}})
    cut: Any = [{"role": "user", "content": "CUT"}]
    last = events(post(server, messages=cut, stream=True))[-1]
    assert last["type"] == "error" and last["error"]["type"] == "api_error" and last["request_id"]


def test_the_input_of_an_earlier_call_may_hold_a_file() -> None:
    def call(content: Any) -> list[Any]:
        block = {"type": "tool_use", "id": "t1", "name": "write_file", "input": {"content": content}}
        result = {"type": "tool_result", "tool_use_id": "t1", "content": "written"}
        return [*ASKED, {"role": "assistant", "content": [block]}, {"role": "user", "content": [result]}]

    text = "x" * 200_000
    assert text in asked(messages=call(text)).turns[1].tool_calls[0].arguments
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    for wrong in (text * 10, deep, float("nan"), "\ud800"):
        with pytest.raises(ValidationError, match=r"tool_use.*input"):
            asked(messages=call(wrong))


def test_hundreds_of_tools_may_be_offered() -> None:
    about = {"type": "string", "title": "About", "description": "What it is about. " * 30, "examples": ["sheep"]}
    schema = {"type": "object", "properties": {"about": about, "title": about}, "required": ["title"]}
    tool = {"description": "Looks. " * 30, "input_schema": schema}
    ask = asked(tools=[{"name": f"tool_{i}", **tool} for i in range(500)])
    assert len(ask.tools) == 500
    assert ask.grammar and len(ask.grammar.text) < MAX_TEXT, "or the engine refuses it"
    assert "What it is about." in description(ask.tools) and "sheep" not in ask.grammar.text
    assert '"title": {"type": "string"}' in ask.grammar.text, "a property is no remark"


def test_a_tools_name_may_be_as_long_as_the_api_has_it(live: LiveServer) -> None:
    tool = {"name": "mcp__" + "x" * 110, "input_schema": {"type": "object"}}
    assert post(live, tools=[tool]).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"max_tokens": None},
        {"messages": [{"role": "bard", "content": "x"}]},
        {"tool_choice": {"type": "any"}},
        {"tools": [{"name": "f", "description": "x" * 70_000, "input_schema": {"type": "object"}}]},
    ],
    ids=str,
)
def test_nonsense_is_refused(live: LiveServer, fields: dict[str, Any]) -> None:
    answer = post(live, **fields)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
