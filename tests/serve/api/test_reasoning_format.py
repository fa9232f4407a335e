"""Where a thought goes out: under both names, inside the answer's text, or nowhere; counted all the same."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from live_server import QUESTION, LiveServer, StartServer

REASONING = "Let me count the sheep.\nAll but nine ran away, so nine are left."
CONTENT = "The answer is \\boxed{9}."
INLINE = f"<think>\n{REASONING}\n</think>\n\n{CONTENT}"


def whole(server: LiveServer, **fields: Any) -> dict[str, Any]:
    url, body = f"{server.url}/v1/chat/completions", {"messages": QUESTION, **fields}
    answer = httpx2.post(url, json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


def streamed(server: LiveServer, **fields: Any) -> list[dict[str, Any]]:
    body = {"messages": QUESTION, "stream": True, **fields}
    text = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=30).text
    return [json.loads(line.removeprefix("data: "))["choices"][0] for line in text.split("\n") if "data: {" in line]


def joined(choices: list[dict[str, Any]], name: str) -> str:
    return "".join(choice["delta"].get(name) or "" for choice in choices)


@pytest.mark.parametrize("how", ["both", "auto", "deepseek", "parsed", None])
def test_apart_under_both_names(live: LiveServer, how: str | None) -> None:
    message = whole(live, reasoning_format=how)["choices"][0]["message"]
    assert (message["reasoning"], message["reasoning_content"], message["content"]) == (REASONING, REASONING, CONTENT)


@pytest.mark.parametrize("how", ["inline", "none", "raw"])
def test_inside_the_answer_between_tags_as_the_model_wrote_it(live: LiveServer, how: str) -> None:
    message = whole(live, reasoning_format=how)["choices"][0]["message"]
    assert (message["content"], message["reasoning"], message["reasoning_content"]) == (INLINE, None, None)
    choices = streamed(live, reasoning_format=how)
    assert (joined(choices, "content"), joined(choices, "reasoning")) == (INLINE, "")


def test_hidden_it_is_not_sent_but_counted_and_its_end_told(live: LiveServer) -> None:
    reply = whole(live, reasoning_format="hidden")
    choice, message = reply["choices"][0], reply["choices"][0]["message"]
    assert (message["content"], message["reasoning"], message["reasoning_content"]) == (CONTENT, None, None)
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == 14
    assert choice["reasoning_end"] == "natural"
    choices = streamed(live, reasoning_format="hidden")
    assert (joined(choices, "content"), joined(choices, "reasoning")) == (CONTENT, "")
    assert [one["reasoning_end"] for one in choices if one.get("reasoning_end")] == ["natural", "natural"]


def test_inline_of_no_thought_has_no_tags(live: LiveServer) -> None:
    for fields in ({"think": False}, {"reasoning_effort": "none"}):
        choice = whole(live, reasoning_format="inline", **fields)["choices"][0]
        assert "think>" not in choice["message"]["content"] and choice["message"]["content"]


def test_inline_of_several_replies_opens_and_closes_each(live: LiveServer) -> None:
    reply = whole(live, reasoning_format="inline", n=3)
    assert [choice["message"]["content"] for choice in reply["choices"]] == [INLINE] * 3


def test_a_thought_that_was_cut_short_is_closed_before_its_answer(start_server: StartServer) -> None:
    server = start_server({"script": "many words of thought " * 30 + "</think> Nine."})
    content = whole(server, reasoning_format="inline", reasoning_budget_tokens=12)["choices"][0]["message"]["content"]
    assert content.startswith("<think>\nmany words") and content.count("</think>") == 1
    assert content.split("</think>")[1].strip()
