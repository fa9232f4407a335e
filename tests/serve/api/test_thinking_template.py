"""Thinking off for a model whose own template has a word for it: the template closes the thought, in its way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from live_server import QUESTION, LiveServer, start

# As Qwen3's.
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
CLOSED = "<think>\n\n</think>\n\n"


@pytest.fixture(scope="module")
def switchable() -> Iterator[LiveServer]:
    with start({"chat_template": TEMPLATE, "script": "Hm. </think> Nine are left."}) as server:
        yield server


def post(server: LiveServer, path: str, **fields: Any) -> dict[str, Any]:
    answer = httpx2.post(f"{server.url}{path}", json={"messages": QUESTION, **fields}, timeout=60)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize(
    "fields", [{"think": False}, {"reasoning_effort": "none"}, {"reasoning_budget_tokens": 0}], ids=str
)
def test_the_template_is_told_that_no_thought_is_wanted(switchable: LiveServer, fields: dict[str, Any]) -> None:
    prompt = post(switchable, "/apply-template", **fields)["prompt"]
    assert prompt.endswith(CLOSED) and prompt.count("</think>") == 1
    choice = post(switchable, "/v1/chat/completions", **fields)["choices"][0]
    assert choice["message"]["reasoning"] is None and choice["message"]["content"].strip() == "Nine are left."
    assert choice["finish_reason"] == "stop" and choice["reasoning_end"] is None


@pytest.mark.parametrize("fields", [{}, {"think": True}, {"reasoning_effort": "low"}], ids=str)
def test_otherwise_it_may_think(switchable: LiveServer, fields: dict[str, Any]) -> None:
    assert not post(switchable, "/apply-template", **fields)["prompt"].endswith(CLOSED)
