"""README's table of reasoning dialects, row by row: what each kind of client sends, and what it finds.

On the bundled model over HTTP; the SDKs that are named are the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from live_server import LiveServer, start_model

from r1chat.serve.models.catalog import BUNDLED

pytestmark = pytest.mark.model

QUESTION = "What is 12 + 5?"
MESSAGES: list[Any] = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


def post(server: LiveServer, path: str = "/v1/chat/completions", **fields: Any) -> dict[str, Any]:
    body = {"messages": MESSAGES, "temperature": 0, **fields}
    answer = httpx2.post(f"{server.url}{path}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


def message(server: LiveServer, **fields: Any) -> dict[str, Any]:
    return dict(post(server, **fields)["choices"][0]["message"])


def chunks(server: LiveServer, **fields: Any) -> list[dict[str, Any]]:
    body = {"messages": MESSAGES, "temperature": 0, "stream": True, **fields}
    with httpx2.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=60) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def reasoning_tokens(reply: dict[str, Any]) -> int:
    return int(reply["usage"]["completion_tokens_details"]["reasoning_tokens"])


def test_openai(demo: LiveServer) -> None:
    """reasoning_effort, max_completion_tokens -> the thought as an extra field, its tokens in usage."""
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none", _strict_response_validation=True) as client:
        reply: Any = client.chat.completions.create(
            model="demo", messages=MESSAGES, temperature=0, reasoning_effort="low", max_completion_tokens=1500
        )
        silent: Any = client.chat.completions.create(
            model="demo", messages=MESSAGES, temperature=0, reasoning_effort="none"
        )
    found = reply.choices[0].message
    assert found.reasoning_content == found.reasoning != "" and "17" in found.content
    assert 0 < reply.usage.completion_tokens_details.reasoning_tokens <= 1024
    assert not silent.choices[0].message.reasoning_content and silent.choices[0].message.content


def test_openai_responses(demo: LiveServer) -> None:
    """reasoning: {effort} -> a reasoning item before the message."""
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none", _strict_response_validation=True) as client:
        response = client.responses.create(model="demo", input=QUESTION, temperature=0, reasoning={"effort": "low"})
    reasoning, text = response.output
    assert (reasoning.type, text.type) == ("reasoning", "message") and "17" in response.output_text
    assert reasoning.content and reasoning.content[0].text
    assert response.usage and response.usage.output_tokens_details.reasoning_tokens > 0


def test_langchain(demo: LiveServer) -> None:
    """ChatOpenAI's streamed body -> text in the deltas' content alone, usage with the thought's tokens at the end."""
    fields = {"model": "demo", "stream_options": {"include_usage": True}, "n": 1, "reasoning_effort": "low"}
    *rest, last = chunks(demo, **fields)
    text = "".join(choice["delta"].get("content") or "" for chunk in rest for choice in chunk["choices"])
    assert "17" in text and "<think>" not in text and "</think>" not in text
    assert last["choices"] == [] and reasoning_tokens(last) > 0
    assert [chunk["usage"] for chunk in rest] == [None] * len(rest), "one usage only, or it would be counted twice"


def test_deepseek(demo: LiveServer) -> None:
    """thinking: {type}, and the thought of an old turn sent back -> reasoning_content, which no prompt takes in."""
    first = post(demo, thinking={"type": "enabled"})
    said = first["choices"][0]["message"]
    assert said["reasoning_content"]
    assert not message(demo, thinking={"type": "disabled"})["reasoning_content"]
    further = {"role": "user", "content": "And 2 + 2?"}
    with_thought = post(demo, messages=[*MESSAGES, said, further])
    without = post(demo, messages=[*MESSAGES, {"role": "assistant", "content": said["content"]}, further])
    assert with_thought["usage"]["prompt_tokens"] == without["usage"]["prompt_tokens"]
    streamed = chunks(demo)
    order = [
        key for chunk in streamed for key in ("reasoning_content", "content") if chunk["choices"][0]["delta"].get(key)
    ]
    assert order == sorted(order, reverse=True), "the whole thought comes before the answer"


@pytest.mark.parametrize(("think", "thinks"), [(True, True), ("low", True), (False, False), ("none", False)])
def test_ollama(demo: LiveServer, think: bool | str, thinks: bool) -> None:
    """think: a switch or a level -> reasoning, as on Ollama's own /v1."""
    found = message(demo, think=think)
    assert bool(found["reasoning"]) is thinks and found["content"]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(demo, think=think)]
    assert "".join(delta.get("reasoning") or "" for delta in deltas) == (found["reasoning"] or "")


def test_anthropic(demo: LiveServer) -> None:
    """thinking: {type, budget_tokens} -> thinking blocks; its x-api-key is taken (test_doors.py)."""
    made: Any = anthropic.Anthropic(base_url=demo.url, api_key="none", _strict_response_validation=True)
    with made as client:
        # The SDK's newest releases have no argument for a temperature.
        given = {"model": "demo", "max_tokens": 1500, "messages": MESSAGES, "extra_body": {"temperature": 0}}
        reply = client.messages.create(**given, thinking={"type": "enabled", "budget_tokens": 1024})
        silent = client.messages.create(**given, thinking={"type": "disabled"})
    thinking, text = reply.content
    assert thinking.type == "thinking" and thinking.thinking and text.type == "text" and "17" in text.text
    assert [block.type for block in silent.content] == ["text"]


def test_vllm(demo: LiveServer) -> None:
    """chat_template_kwargs, thinking_token_budget, structured_outputs -> reasoning; the form binds the answer only."""
    assert not message(demo, chat_template_kwargs={"enable_thinking": False})["reasoning"]
    short = post(demo, thinking_token_budget=8)
    assert 0 < reasoning_tokens(short) <= 8 + 32 and short["choices"][0]["message"]["content"].strip()
    formed = message(demo, structured_outputs={"choice": ["odd", "even"]})
    assert formed["content"] in ("odd", "even") and formed["reasoning"]


def test_llama_server(demo: LiveServer) -> None:
    """reasoning_budget_tokens, json_schema, paths without /v1 -> reasoning_content, timings, counts beforehand."""
    short = post(demo, "/chat/completions", reasoning_budget_tokens=8)
    assert 0 < reasoning_tokens(short) <= 8 + 32 and short["timings"]["predicted_n"] > 8
    assert short["choices"][0]["message"]["reasoning_content"]
    whole = post(demo)
    counted = httpx2.post(f"{demo.url}/chat/completions/input_tokens", json={"messages": MESSAGES}).json()
    assert counted["input_tokens"] == whole["usage"]["prompt_tokens"]
    assert message(demo, json_schema={"enum": ["odd", "even"]})["content"] in ('"odd"', '"even"')


def test_openrouter(demo: LiveServer) -> None:
    """reasoning: {effort | max_tokens | enabled} -> reasoning."""
    assert message(demo, reasoning={"effort": "high"})["reasoning"]
    assert 0 < reasoning_tokens(post(demo, reasoning={"max_tokens": 8})) <= 8 + 32
    assert not message(demo, reasoning={"enabled": False})["reasoning"]


@pytest.mark.parametrize("name", ["inline", "none", "raw"])
def test_clients_that_read_the_tags_themselves(demo: LiveServer, name: str) -> None:
    """reasoning_format -> <think> and </think> in the content, streamed and whole alike."""
    apart, inline = message(demo), message(demo, reasoning_format=name)
    assert not inline["reasoning_content"] and not inline["reasoning"]
    thought, _, answer = inline["content"].partition("</think>")
    assert thought.removeprefix("<think>").strip() == apart["reasoning"].strip()
    assert answer.strip() == apart["content"].strip()
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(demo, reasoning_format=name)]
    assert "".join(delta.get("content") or "" for delta in deltas) == inline["content"]


def test_clients_that_want_the_answer_alone(demo: LiveServer) -> None:
    """reasoning_format hidden -> nothing of the thought but its tokens, which it took all the same."""
    reply = post(demo, reasoning_format="hidden")
    found = reply["choices"][0]["message"]
    assert not found["reasoning_content"] and not found["reasoning"] and found["content"] == message(demo)["content"]
    assert reasoning_tokens(reply) > 0


def test_every_client_can_see_why_the_thought_ended(demo: LiveServer) -> None:
    """Nothing to send -> reasoning_end in the choice, and in the stream at that very place."""
    assert post(demo)["choices"][0]["reasoning_end"] == "natural"
    choices = [chunk["choices"][0] for chunk in chunks(demo)]
    at, last = (i for i, choice in enumerate(choices) if choice.get("reasoning_end"))
    assert all(not choice["delta"].get("content") for choice in choices[:at])
    assert all(not choice["delta"].get("reasoning_content") for choice in choices[at:])
    assert choices[at]["delta"] == {} and choices[at]["reasoning_end"] == "natural" and choices[last]["finish_reason"]


@pytest.mark.parametrize(
    "fields",
    [
        {"think": True, "reasoning_effort": "none"},
        {"enable_thinking": False, "reasoning_budget_tokens": 100},
        {"thinking": {"type": "enabled"}, "chat_template_kwargs": {"enable_thinking": False}},
    ],
)
def test_words_of_two_dialects_that_contradict_each_other_are_an_error(
    demo: LiveServer, fields: dict[str, Any]
) -> None:
    answer = httpx2.post(f"{demo.url}/v1/chat/completions", json={"messages": MESSAGES, **fields})
    assert answer.status_code == 400 and "contradict" in answer.json()["error"]["message"]
