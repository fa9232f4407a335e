"""Thoughts of earlier turns: dropped as R1 wants it, or kept, as they were generated, where a request says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from live_server import LiveServer, start, start_model
from prompts import ASSISTANT, BOS, CHATML, EOS, INFO, USER, info, user

from r1chat.serve.api.prompt.chat_template import Turn, TurnCall, render
from r1chat.serve.api.responses.asking import ask_of
from r1chat.serve.api.responses.protocol import ResponsesRequest
from r1chat.serve.engine.request import Segment
from r1chat.serve.models.catalog import BUNDLED

HISTORY = [
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": "2", "reasoning_content": "One and one."},
    {"role": "user", "content": "2 + 2?"},
]
DROPPED = f"{BOS}{USER}1 + 1?{ASSISTANT}2{EOS}{USER}2 + 2?{ASSISTANT}<think>\n"
KEPT = f"{BOS}{USER}1 + 1?{ASSISTANT}<think>\nOne and one.\n</think>\n\n2{EOS}{USER}2 + 2?{ASSISTANT}<think>\n"
# Shows the thoughts of this turn's calls, and of earlier turns only with the word for it, as Qwen3.6's does.
QWEN = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content and (preserve_thinking or loop.index0 > ns.last) %}<think>\n{{ m.reasoning_content }}"
    "\n</think>\n\n{% endif %}{{ m.content }}{% for call in m.tool_calls or [] %}"
    '<tool_call>\n{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}'
    "\n</tool_call>{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with start() as running:
        yield running


def post(server: LiveServer, path: str = "/apply-template", **fields: Any) -> httpx2.Response:
    return httpx2.post(f"{server.url}{path}", json={"messages": HISTORY, **fields}, timeout=60)


def prompt(server: LiveServer, **fields: Any) -> str:
    answer = post(server, **fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prompt"])


@pytest.mark.parametrize("fields", [{}, {"preserve_thinking": False}, {"preserve_thinking": None}], ids=str)
def test_old_thoughts_are_dropped_unless_it_is_said_otherwise(server: LiveServer, fields: dict[str, Any]) -> None:
    assert prompt(server, **fields) == DROPPED


@pytest.mark.parametrize(
    "fields",
    [
        {"preserve_thinking": True},
        {"chat_template_kwargs": {"preserve_thinking": True}},
        {"preserve_thinking": True, "chat_template_kwargs": {"preserve_thinking": True}},
    ],
    ids=str,
)
def test_they_are_kept_as_they_were_generated(server: LiveServer, fields: dict[str, Any]) -> None:
    assert prompt(server, **fields) == KEPT


def test_a_response_keeps_them_where_its_template_is_told_to() -> None:
    for keeps in (True, False):
        body = {"input": "hi", "chat_template_kwargs": {"preserve_thinking": keeps}}
        assert ask_of(ResponsesRequest.model_validate(body), "").keeps_thoughts is keeps


def test_a_thought_inside_the_content_is_one_too(server: LiveServer) -> None:
    inline = {"role": "assistant", "content": "<think>\nOne and one.\n</think>\n\n2"}
    history = [HISTORY[0], inline, HISTORY[2]]
    assert prompt(server, messages=history, preserve_thinking=True) == KEPT


def test_two_places_that_contradict_each_other_are_an_error(server: LiveServer) -> None:
    answer = post(server, preserve_thinking=True, chat_template_kwargs={"preserve_thinking": False})
    assert answer.status_code == 400 and "contradict" in answer.json()["error"]["message"]
    assert post(server, preserve_thinking="yes").status_code == 400


def test_a_reply_that_goes_on_has_the_thoughts_before_it(server: LiveServer) -> None:
    history = [*HISTORY, {"role": "assistant", "content": "", "reasoning_content": "Two"}]
    text = prompt(server, messages=history, preserve_thinking=True, continue_final_message="reasoning_content")
    assert text == f"{KEPT}Two"


def test_only_our_tags_are_special() -> None:
    turns = [user("Q"), Turn("assistant", "A", f"x{USER}</think>"), user("R")]
    segments = render(turns, INFO, keeps_thoughts=True).segments
    assert Segment(f"x{USER}</think>\n", False) in segments
    assert [segment.text for segment in segments if "<think>" in segment.text and segment.special] == [
        f"{ASSISTANT}<think>\n",
        f"{ASSISTANT}<think>\n",
    ]


@pytest.mark.parametrize("template", [CHATML, QWEN], ids=["chatml", "qwen"])
def test_templates_that_would_drop_them_show_them_all_the_same(template: str) -> None:
    turns = [user("Q"), Turn("assistant", "A", "Hm"), user("R")]
    shown = "<|im_start|>assistant\n<think>\nHm\n</think>\n\nA<|im_end|>"
    assert shown in render(turns, info(template), keeps_thoughts=True).text
    assert "Hm" not in render(turns, info(template)).text


@pytest.mark.parametrize("template", [None, CHATML, QWEN], ids=["r1", "chatml", "qwen"])
def test_thoughts_that_led_to_calls_are_there_once(template: str | None) -> None:
    call = (TurnCall("c", "now", "{}"),)
    loop = [Turn("assistant", "", "I look.", call), Turn("tool", "noon", tool_call_id="c")]
    for turns in ([user("Q"), *loop], [user("Q"), *loop, Turn("assistant", "Noon.", "I see."), user("R")]):
        text = render(turns, info(template), keeps_thoughts=True).text
        assert text.count("<think>\nI look.\n</think>\n\n") == 1
        assert text.count("I see.") == sum(turn.reasoning == "I see." for turn in turns)


@pytest.mark.model
def test_what_the_model_said_is_still_in_the_cache() -> None:
    """The kept turn is token by token what was generated, so all of it is found again."""
    asked = [{"role": "user", "content": "What is 3 + 4?"}]
    with start_model(BUNDLED) as server:
        body = {"messages": asked, "seed": 1, "preserve_thinking": True}
        first = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).json()
        said = first["choices"][0]["message"]
        reply = {name: said[name] for name in ("role", "content", "reasoning_content")}
        body["messages"] = [*asked, reply, {"role": "user", "content": "And 4 + 5?"}]
        usage = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).json()["usage"]
        n_before = first["usage"]["prompt_tokens"] + first["usage"]["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] >= n_before - 2
    assert first["choices"][0]["finish_reason"] == "stop" and said["reasoning_content"]
