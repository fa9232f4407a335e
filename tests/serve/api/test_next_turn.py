"""The next turn's beginning: exact for every text and template, prepared once, and only where somebody reads on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_server import QUESTION, LiveServer, StartServer
from prompts import CHATML, INFO, info

from r1chat.serve.api.forms.tools import Tool, call_text
from r1chat.serve.api.next_turn import next_prefix
from r1chat.serve.api.prompt.chat_template import Turn, TurnCall, render

ONE_TURN = "{% if messages | length > 1 %}{{ raise_exception('one turn') }}{% endif %}{{ messages[0].content }}"
LAST_FIRST = "{{ messages[-1].content }}{% for m in messages %}{{ m.content }}{% endfor %}"
HOSTILE = ["</think>", " \n", "a</think>b", "<｜User｜>", "r1chat-0-1-", "{{ 1 }}"]
TEXTS = st.text(max_size=30) | st.sampled_from(HOSTILE)
ANSWERS, QUESTIONS = TEXTS.filter(bool), TEXTS.filter(str.strip)

TOOL = {"type": "function", "function": {"name": "now", "description": "Tells the <｜User｜> the time."}}
TOOLS = [Tool.model_validate(TOOL)]
CALLED = [Turn("assistant", "", "I look.", (TurnCall("c", "now", "{}"),)), Turn("tool", "noon", tool_call_id="c")]


@settings(deadline=None)
@given(
    question=TEXTS,
    answer=ANSWERS,
    follow_up=QUESTIONS,
    template=st.sampled_from([None, CHATML]),
    tools=st.sampled_from([[], TOOLS]),
    loop=st.booleans(),
)
def test_every_next_request_begins_with_it(
    question: str, answer: str, follow_up: str, template: str | None, tools: list[Tool], loop: bool
) -> None:
    turns = [Turn("user", question), *(CALLED if loop else [])]
    prefix = next_prefix(turns, answer, info(template), tools)
    asked = [*turns, Turn("assistant", answer, "a thought"), Turn("user", follow_up)]
    segments = render(asked, info(template), tools).segments
    assert prefix == segments[: len(prefix)]
    assert segments[len(prefix)].text.strip() == follow_up.strip(), "all but the question itself is known"


def test_it_holds_the_answer_and_ends_before_the_question() -> None:
    text = "".join(segment.text for segment in next_prefix([Turn("user", "Q")], "A", INFO))
    assert text == "<｜begin▁of▁sentence｜><｜User｜>Q<｜Assistant｜>A<｜end▁of▁sentence｜><｜User｜>"


@pytest.mark.parametrize("template", [ONE_TURN, LAST_FIRST])
def test_a_template_without_a_known_beginning_prepares_nothing(template: str) -> None:
    assert next_prefix([Turn("user", "Q")], "A", info(template)) == ()


def prepared_in_vain(server: LiveServer) -> int:
    """Tokens prepared, after a time in which they would have been."""
    time.sleep(0.5)
    return int(server.stats()["prepared_tokens_total"])


def post(server: LiveServer, **fields: Any) -> dict[str, Any]:
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json={"messages": QUESTION, **fields}, timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def leave_after(server: LiveServer, is_enough: Callable[[dict[str, Any]], bool]) -> str:
    """Reads a stream until a delta is enough, then hangs up; the answer that came."""
    body = {"messages": QUESTION, "stream": True}
    content = ""
    with httpx2.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=30) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                delta = json.loads(line.removeprefix("data: "))["choices"][0]["delta"]
                content += delta.get("content") or ""
                if is_enough(delta):
                    break
    return content


def cost_of_next(server: LiveServer, answer: str) -> int:
    """Prompt tokens that a further question of one word makes the engine compute."""
    messages = [*QUESTION, {"role": "assistant", "content": answer}, {"role": "user", "content": "Sure?"}]
    usage = post(server, messages=messages, max_tokens=1)["usage"]
    return int(usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"])


def frame() -> int:
    """Tokens of `Sure?` and what the template puts behind it: <｜Assistant｜>, <think> and a newline; then those
    that close a thought for which `max_tokens` leaves no room.
    """
    return 1 + 3 + 2


def test_a_second_turn_computes_its_question_alone(start_server: StartServer) -> None:
    server = start_server()
    answer = post(server)["choices"][0]["message"]["content"]
    server.wait_until_prepared()
    assert cost_of_next(server, answer) <= frame() + 1


def test_a_reader_who_leaves_amid_the_answer_finds_it_prepared(start_server: StartServer) -> None:
    server = start_server({"tokens_per_s": 50})
    answer = leave_after(server, lambda delta: "is" in (delta.get("content") or ""))
    server.wait_until_prepared()
    assert cost_of_next(server, answer) <= frame() + 3, "its end of the answer may be a token longer"


def test_nothing_is_prepared_where_no_answer_came(start_server: StartServer) -> None:
    server = start_server({"tokens_per_s": 50, "script": " ".join(f"on {n}" for n in range(3000))})
    assert leave_after(server, lambda delta: bool(delta.get("reasoning"))) == ""
    assert prepared_in_vain(server) == 0


@pytest.mark.parametrize("priority", ["batch", "background"])
def test_nothing_is_prepared_for_programs(start_server: StartServer, priority: str) -> None:
    server = start_server()
    post(server, priority=priority)
    assert prepared_in_vain(server) == 0


def test_nothing_is_prepared_after_a_failure(start_server: StartServer) -> None:
    server = start_server({"scripts": {"NAN": "a"}})
    body = {"messages": [{"role": "user", "content": "NAN"}]}
    assert httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=30).status_code == 503
    assert prepared_in_vain(server) == 0


@pytest.mark.parametrize(("tools", "is_prepared"), [([TOOL], False), ([], True)])
def test_nothing_is_prepared_after_a_call(start_server: StartServer, tools: list[Any], is_prepared: bool) -> None:
    server = start_server({"script": f"I look at the clock.\n</think>\n\n{call_text('now', '{}')}"})
    message = post(server, tools=tools)["choices"][0]["message"]
    assert bool(message["tool_calls"]) is bool(tools)
    if is_prepared:
        server.wait_until_prepared()
    else:
        assert prepared_in_vain(server) == 0


def test_nothing_is_prepared_after_the_rest_of_a_reply(start_server: StartServer) -> None:
    server = start_server()
    messages = [*QUESTION, {"role": "assistant", "content": "The answer "}]
    assert post(server, messages=messages, continue_final_message=True)["choices"][0]["message"]["content"]
    assert prepared_in_vain(server) == 0
