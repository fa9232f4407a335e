"""r1chat through the openai SDK, which checks every answer against its own types (strict validation).

Runs in environments with several of its majors, against the server at $R1CHAT_URL on the bundled model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

QUESTION = "What is 12 + 5?"
MESSAGES: list[Any] = [{"role": "user", "content": QUESTION}]
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "keep",
        "description": "Keeps a colour.",
        "parameters": {
            "type": "object",
            "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}},
            "required": ["colour"],
            "additionalProperties": False,
        },
    },
}


class Verdict(BaseModel):
    certain: bool
    size: Literal["small", "large"]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    url, key = os.environ["R1CHAT_URL"], os.environ.get("R1CHAT_KEY", "none")
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=120, _strict_response_validation=True
    ) as made:
        yield made


def chat(client: Any, **fields: Any) -> Any:
    return client.chat.completions.create(model="demo", messages=MESSAGES, temperature=0, **fields)


def test_a_reply_holds_thought_answer_and_counts(client: Any) -> None:
    reply = chat(client)
    choice, usage = reply.choices[0], reply.usage
    assert choice.message.reasoning_content and choice.message.reasoning_content == choice.message.reasoning
    assert "17" in choice.message.content and choice.finish_reason == "stop"
    assert choice.reasoning_end == "natural"
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens
    assert reply.id.startswith("chatcmpl-")


def test_a_stream_says_what_the_whole_says(client: Any) -> None:
    whole = chat(client)
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert thought == whole.choices[0].message.reasoning_content
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices].count("stop") == 1


def test_a_stream_with_the_helper_gathers_the_same_message(client: Any) -> None:
    with client.chat.completions.stream(model="demo", messages=MESSAGES, temperature=0) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == chat(client).choices[0].message.content


def test_a_parsed_reply_is_of_its_class_and_was_thought_about(client: Any) -> None:
    reply = client.chat.completions.parse(model="demo", messages=MESSAGES, temperature=0, response_format=Verdict)
    message = reply.choices[0].message
    assert isinstance(message.parsed, Verdict)
    assert message.reasoning_content


def test_a_required_tool_is_called_with_arguments_of_its_schema(client: Any) -> None:
    message = chat(client, tools=[TOOL], tool_choice="required").choices[0].message
    call = message.tool_calls[0]
    assert call.function.name == "keep" and json.loads(call.function.arguments)["colour"] in ("red", "blue")


def test_a_streamed_tool_call_comes_together(client: Any) -> None:
    chunks = list(chat(client, tools=[TOOL], tool_choice="required", parallel_tool_calls=False, stream=True))
    pieces = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert pieces[0].id and pieces[0].function.name == "keep"
    assert json.loads("".join(piece.function.arguments or "" for piece in pieces))["colour"] in ("red", "blue")
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_log_probabilities_cover_the_answer(client: Any) -> None:
    choice = chat(client, logprobs=True, top_logprobs=2).choices[0]
    assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in choice.logprobs.content)


def test_several_choices_come_numbered(client: Any) -> None:
    reply = client.chat.completions.create(model="demo", messages=MESSAGES, n=3, seed=5)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert all(choice.message.content for choice in reply.choices)


def test_effort_none_gives_an_answer_without_a_thought(client: Any) -> None:
    message = chat(client, reasoning_effort="none").choices[0].message
    assert message.content and not message.reasoning_content


def test_a_text_is_completed(client: Any) -> None:
    reply = client.completions.create(model="demo", prompt=QUESTION, max_tokens=8, temperature=0)
    assert reply.choices[0].text and reply.usage.completion_tokens <= 8
    # The SDK's own type knows no chunk without a finish_reason, OpenAI's stream no chunk with one but the last.
    lenient = client.copy(_extra_kwargs={"_strict_response_validation": False})
    streamed = list(lenient.completions.create(model="demo", prompt=QUESTION, max_tokens=8, temperature=0, stream=True))
    assert streamed[-1].choices[0].finish_reason in ("stop", "length")


def test_a_response_has_a_reasoning_item_before_its_message(client: Any) -> None:
    response = client.responses.create(model="demo", input=QUESTION, temperature=0)
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert "17" in response.output_text and response.status == "completed"
    assert response.usage.output_tokens_details.reasoning_tokens > 0


def test_a_streamed_response_ends_as_the_whole_one(client: Any) -> None:
    whole = client.responses.create(model="demo", input=QUESTION, temperature=0)
    events = list(client.responses.create(model="demo", input=QUESTION, temperature=0, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text == events[-1].response.output_text


def test_a_response_can_be_parsed(client: Any) -> None:
    response = client.responses.parse(model="demo", input=QUESTION, temperature=0, text_format=Verdict)
    assert isinstance(response.output_parsed, Verdict)


def test_models_are_listed(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["demo"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"max_tokens": -2}, openai.BadRequestError),
        ({"model": "another"}, openai.NotFoundError),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "y"}}}},
         openai.BadRequestError),
    ],
)  # fmt: skip
def test_errors_are_of_the_sdks_classes(
    client: Any, fields: dict[str, Any], error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as raised:
        client.chat.completions.create(**{"model": "demo", "messages": MESSAGES, **fields})
    assert raised.value.request_id and raised.value.body["message"]
