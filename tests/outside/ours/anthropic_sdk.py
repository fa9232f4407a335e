"""r1chat through the anthropic SDK, which checks every answer against its own types (strict validation).

Runs against the server at $R1CHAT_URL on the bundled model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

MESSAGES: list[Any] = [{"role": "user", "content": "What is 12 + 5?"}]
TOOL: dict[str, Any] = {
    "name": "keep",
    "description": "Keeps a colour.",
    "input_schema": {
        "type": "object",
        "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}},
        "required": ["colour"],
    },
}
GREEDY = {"temperature": 0}  # the SDK's newest releases have no argument for it
THINKING = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    url, key = os.environ["R1CHAT_URL"], os.environ.get("R1CHAT_KEY", "none")
    with anthropic.Anthropic(
        base_url=url, api_key=key, max_retries=0, timeout=120, _strict_response_validation=True
    ) as made:
        yield made


def ask(client: Any, **fields: Any) -> Any:
    body = {"model": "demo", "max_tokens": 1500, "messages": MESSAGES, "extra_body": GREEDY, **fields}
    return client.messages.create(**body)


def test_a_thinking_block_comes_before_the_text(client: Any) -> None:
    message = ask(client, thinking=THINKING)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].thinking and "17" in message.content[1].text
    assert message.stop_reason == "end_turn" and message.usage.output_tokens > 0


def test_a_stream_gathers_the_same_blocks(client: Any) -> None:
    whole = ask(client, thinking=THINKING)
    body: dict[str, Any] = {"model": "demo", "max_tokens": 1500, "messages": MESSAGES, "extra_body": GREEDY}
    with client.messages.stream(**body, thinking=THINKING) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert final.content[0].thinking == whole.content[0].thinking
    assert final.content[1].text == whole.content[1].text
    assert {"thinking", "text"} <= set(kinds), "the SDK's own events for both kinds of block"
    assert kinds.count("content_block_stop") == 2 and kinds[-1] == "message_stop"


def test_raw_events_come_in_order(client: Any) -> None:
    events = list(ask(client, thinking=THINKING, stream=True))
    kinds = [event.type for event in events if event.type != "content_block_delta"]
    block = ["content_block_start", "content_block_stop"]
    assert kinds == ["message_start", *block, *block, "message_delta", "message_stop"]
    deltas = {event.delta.type for event in events if event.type == "content_block_delta"}
    assert {"thinking_delta", "text_delta"} <= deltas


def test_disabled_thinking_gives_text_alone(client: Any) -> None:
    message = ask(client, thinking={"type": "disabled"})
    assert [block.type for block in message.content] == ["text"] and message.content[0].text.strip()


def test_a_turn_goes_on_with_its_thinking_block_sent_back(client: Any) -> None:
    first = ask(client, thinking=THINKING)
    blocks = [block.model_dump(exclude_none=True) for block in first.content]
    turns = [*MESSAGES, {"role": "assistant", "content": blocks}, {"role": "user", "content": "And 2 + 2?"}]
    second = ask(client, messages=turns, thinking=THINKING)
    assert second.content[-1].text
    assert second.usage.input_tokens + (second.usage.cache_read_input_tokens or 0) > first.usage.input_tokens


def test_a_tool_is_called_and_its_result_answered(client: Any) -> None:
    message = ask(client, tools=[TOOL], tool_choice={"type": "any"})
    call = message.content[-1]
    assert (message.stop_reason, call.type, call.name) == ("tool_use", "tool_use", "keep")
    assert call.input["colour"] in ("red", "blue")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "kept"}
    blocks = [block.model_dump(exclude_none=True) for block in message.content]
    turns = [*MESSAGES, {"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
    assert ask(client, messages=turns, tools=[TOOL]).content


def test_a_stop_sequence_is_named(client: Any) -> None:
    message = ask(client, stop_sequences=["17"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "17")


def test_tokens_are_counted_as_they_are_billed(client: Any) -> None:
    counted = client.messages.count_tokens(model="demo", messages=MESSAGES).input_tokens
    usage = ask(client).usage
    assert counted == usage.input_tokens + (usage.cache_read_input_tokens or 0)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"max_tokens": -1}, anthropic.BadRequestError),
        ({"model": "another"}, anthropic.NotFoundError),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}]},
         anthropic.BadRequestError),
    ],
)  # fmt: skip
def test_errors_are_of_the_sdks_classes(
    client: Any, fields: dict[str, Any], error: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(error) as raised:
        ask(client, **fields)
    body: Any = raised.value.body
    assert body["type"] == "error" and body["error"]["type"] and raised.value.request_id
