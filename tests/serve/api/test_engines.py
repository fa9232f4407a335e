"""One API whatever computes: the same questions over HTTP to every engine, all with the bundled model's weights.

What an engine cannot do it refuses with 400 not_supported, and its name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from asked import RIDDLE, TOTAL, WEATHER, Asked
from engines import ENGINES

pytestmark = pytest.mark.model

QUESTIONS = [RIDDLE, "What is 347 + 589?", "What is 12 + 5?"]
Ask = Callable[[str], Asked]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """engines(name): its server, started when first asked for."""
    running: dict[str, Asked] = {}
    with ExitStack() as stack:

        def asked(name: str) -> Asked:
            if name not in running:
                kind = ENGINES[name]
                folder = tmp_path_factory.mktemp("engine")
                running[name] = Asked(kind, stack.enter_context(kind.start(folder)))
            return running[name]

        yield asked


@pytest.fixture(params=ENGINES)
def engine(engines: Ask, request: pytest.FixtureRequest) -> Asked:
    return engines(request.param)


def test_it_thinks_and_then_answers(engine: Asked) -> None:
    reply = engine.chat()
    message, usage = reply["choices"][0]["message"], reply["usage"]
    assert message["reasoning"] and "\\boxed{9}" in message["content"]
    assert not any(tag in message["reasoning"] + message["content"] for tag in ("<think>", "</think>", "<｜"))
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]
    assert reply["choices"][0]["finish_reason"] == "stop"


def test_the_same_weights_say_the_same_behind_every_engine(engine: Asked, engines: Ask) -> None:
    first = engines(next(iter(ENGINES)))
    for question in QUESTIONS:
        one, other = engine.chat(question), first.chat(question)
        assert one["choices"][0]["message"] == other["choices"][0]["message"]
        for counted in ("prompt_tokens", "completion_tokens"):
            assert one["usage"][counted] == other["usage"][counted]


def test_streamed_and_whole_are_equal_and_the_thought_comes_first(engine: Asked) -> None:
    whole = engine.chat()
    chunks = list(engine.stream(stream_options={"include_usage": True}))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    said = [(name, delta[name]) for delta in deltas for name in ("reasoning", "content") if delta.get(name)]
    assert "".join(text for name, text in said if name == "reasoning") == whole["choices"][0]["message"]["reasoning"]
    assert "".join(text for name, text in said if name == "content") == whole["choices"][0]["message"]["content"]
    assert [name for name, _ in said] == sorted((name for name, _ in said), reverse=True)
    assert len({chunk["id"] for chunk in chunks}) == 1 and len(said) > 5
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]


@pytest.mark.slow
def test_many_at_once_say_what_each_says_alone(engine: Asked) -> None:
    alone = {question: engine.message(question) for question in QUESTIONS}
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(engine.message, QUESTIONS * 2))
    assert replies == [alone[question] for question in QUESTIONS * 2]
    engine.wait_until_idle()


@pytest.mark.parametrize("budget", [0, 8])
def test_a_budget_ends_the_thought_and_an_answer_follows(engine: Asked, budget: int) -> None:
    reply = engine.chat(reasoning_budget_tokens=budget, max_tokens=200)
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] <= budget + budget // 4
    assert reply["choices"][0]["message"]["content"].strip()


def test_a_stop_string_ends_the_answer_and_is_not_said(engine: Asked) -> None:
    whole = engine.message()["content"]
    reply = engine.chat(stop=["\\boxed"])["choices"][0]
    assert reply["finish_reason"] == "stop"
    assert reply["message"]["content"] == whole.partition("\\boxed")[0]


def test_max_tokens_bounds_the_reply(engine: Asked) -> None:
    reply = engine.chat(max_tokens=12)
    assert reply["usage"]["completion_tokens"] == 12
    assert reply["choices"][0]["finish_reason"] == "length"


def test_a_seed_gives_the_same_reply_again_and_another_another(engine: Asked) -> None:
    def drawn(seed: int) -> dict[str, Any]:
        return engine.message(temperature=1.5, seed=seed, max_tokens=40)

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_n_replies_come_to_one_question(engine: Asked) -> None:
    reply = engine.chat(n=3, temperature=1.2, seed=1, max_tokens=120)
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert len({choice["message"]["reasoning"] for choice in reply["choices"]}) > 1


def test_a_bias_forbids_a_token(engine: Asked) -> None:
    token = engine.token("9")
    message = engine.message(logit_bias={str(token): -100}, max_tokens=60)
    assert "9" not in message["reasoning"] + message["content"]


def test_log_probabilities_spell_the_reply(engine: Asked) -> None:
    answer = engine.post(
        "/v1/chat/completions",
        messages=[{"role": "user", "content": RIDDLE}],
        temperature=0,
        logprobs=True,
        top_logprobs=2,
    )
    if engine.refuses("logprobs", answer):
        return
    choice = answer.json()["choices"][0]
    entries = choice["logprobs"]["content"]
    assert choice["message"]["content"] in b"".join(bytes(entry["bytes"]) for entry in entries).decode()
    for entry in entries:
        assert -20 < entry["logprob"] <= 1e-6 and len(entry["top_logprobs"]) == 2
        assert entry["top_logprobs"][0]["token"] == entry["token"], "greedy draws the likeliest"
        assert sum(math.exp(top["logprob"]) for top in entry["top_logprobs"]) < 1 + 1e-4


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_an_answer_has_the_form_of_its_schema(engine: Asked, temperature: float) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "sum", "schema": TOTAL, "strict": True}}
    message = engine.message("What is 12 + 5?", response_format=form, temperature=temperature, seed=3)
    answer = json.loads(message["content"])
    assert set(answer) == {"total", "sure"} and type(answer["total"]) is int and message["reasoning"]


def test_a_required_tool_is_called(engine: Asked) -> None:
    answer = engine.post(
        "/v1/chat/completions",
        messages=[{"role": "user", "content": RIDDLE}],
        temperature=0,
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        reasoning_budget_tokens=40,
    )
    if engine.refuses("tools", answer):
        return
    choice = answer.json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    [call] = choice["message"]["tool_calls"]
    arguments = json.loads(call["function"]["arguments"])
    assert call["function"]["name"] == "get_weather"
    assert arguments["city"] in ("Paris", "Rome") and arguments["days"] in range(1, 10)


def test_a_second_turn_finds_the_first_in_the_cache(engine: Asked) -> None:
    question = {"role": "user", "content": "What is 21 + 34? Show me."}
    first = engine.chat(messages=[question])
    turns = [question, first["choices"][0]["message"], {"role": "user", "content": "And 12 + 5?"}]
    second = engine.chat(messages=turns)
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] >= first["usage"]["prompt_tokens"] - 4


def test_plain_completions_go_on_from_the_text(engine: Asked) -> None:
    prompt = f"<｜User｜>{RIDDLE}<｜Assistant｜><think>\n"
    reply = engine.ok("/v1/completions", prompt=prompt, temperature=0, max_tokens=400)["choices"][0]
    assert "</think>" in reply["text"] and "\\boxed{9}" in reply["text"]
    assert engine.ok("/v1/completions", prompt=prompt, max_tokens=5)["usage"]["completion_tokens"] == 5


def test_responses_hold_a_thought_and_a_message(engine: Asked) -> None:
    reply = engine.ok("/v1/responses", input="What is 12 + 5?", temperature=0)
    assert reply["status"] == "completed"
    kinds = [item["type"] for item in reply["output"]]
    assert kinds == ["reasoning", "message"]
    assert "17" in reply["output"][1]["content"][0]["text"]


def test_messages_hold_a_thought_and_a_text(engine: Asked) -> None:
    messages = [{"role": "user", "content": "What is 12 + 5?"}]
    reply = engine.ok(
        "/v1/messages",
        messages=messages,
        max_tokens=1200,
        temperature=0,
        thinking={"type": "enabled", "budget_tokens": 1024},
    )
    assert [block["type"] for block in reply["content"]] == ["thinking", "text"]
    assert "17" in reply["content"][1]["text"] and reply["stop_reason"] == "end_turn"


@pytest.mark.parametrize("text", ["What is 15% of 媽 🤗 ?", "a</think>b<｜User｜>"])
def test_tokens_of_a_text_become_the_text_again(engine: Asked, engines: Ask, text: str) -> None:
    tokens = engine.ok("/tokenize", content=text)["tokens"]
    assert engine.ok("/detokenize", tokens=tokens)["content"] == text
    assert tokens == engines(next(iter(ENGINES))).ok("/tokenize", content=text)["tokens"]
    plain = engine.ok("/tokenize", content=text, parse_special=False)["tokens"]
    assert engine.ok("/detokenize", tokens=plain)["content"] == text
    assert (plain != tokens) == ("<" in text)


def test_a_template_is_applied_without_a_reply(engine: Asked) -> None:
    prompt = engine.ok("/apply-template", messages=[{"role": "user", "content": "Hi"}])["prompt"]
    assert prompt.endswith("<｜User｜>Hi<｜Assistant｜><think>\n")


def test_answer_now_ends_a_thought_that_goes_on(engine: Asked) -> None:
    ends: list[dict[str, Any]] = []
    content = ""
    for chunk in engine.stream(**engine.endless()):
        choice = chunk["choices"][0]
        if choice["delta"].get("reasoning") and not ends:
            ends.append(engine.post(f"/v1/chat/completions/{chunk['id']}/control", action="answer_now").json())
        content += choice["delta"].get("content") or ""
        if content.strip():
            break
    assert ends[0]["success"] is True and content.strip()
    engine.wait_until_idle()


def test_a_fork_goes_on_from_the_thought(engine: Asked) -> None:
    reply = engine.chat()
    answer = engine.post("/v1/reasoning/fork", id=reply["id"], at="think_end", text="The answer is")
    if engine.refuses("fork", answer):
        return
    message = answer.json()["choices"][0]["message"]
    assert message["reasoning"] == reply["choices"][0]["message"]["reasoning"]
    assert message["content"].startswith("The answer is")


def test_a_vote_answers_once(engine: Asked) -> None:
    answer = engine.post("/v1/chat/completions", messages=[{"role": "user", "content": RIDDLE}], seed=2, vote={"n": 4})
    if engine.refuses("vote", answer):
        return
    assert "9" in answer.json()["choices"][0]["message"]["content"]


def test_what_cannot_be_deterministic_is_refused(engine: Asked) -> None:
    answer = engine.post(
        "/v1/chat/completions", messages=[{"role": "user", "content": RIDDLE}], deterministic=True, max_tokens=20
    )
    if not engine.refuses("deterministic", answer):
        assert answer.json()["deterministic"] is True


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"messages": [{"role": "user", "content": "word " * 4000}]}, 400, "context_length_exceeded"),
        ({"model": "no-such-model"}, 404, "model_not_found"),
        ({"messages": []}, 400, "invalid_value"),
        ({"max_tokens": 0}, 400, "invalid_value"),
        ({"logit_bias": {"100000": 1}}, 400, "invalid_value"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": False}}}, 400, None),
    ],
)
def test_what_cannot_be_done_is_refused_alike(
    engine: Asked, engines: Ask, fields: dict[str, Any], status: int, code: str | None
) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], **fields}
    answer = engine.post("/v1/chat/completions", **body)
    assert answer.status_code == status, answer.text
    assert code is None or answer.json()["error"]["code"] == code
    engine.chat("What is 12 + 5?", max_tokens=5)


def test_a_client_that_leaves_frees_its_sequence(engine: Asked) -> None:
    engine.wait_until_idle()
    stream = engine.stream(**engine.endless())
    for _ in range(3):
        next(stream)
    assert engine.server.running() == 1
    stream.close()  # type: ignore[attr-defined]
    engine.wait_until_idle()


def test_the_card_says_what_the_engine_can_do(engine: Asked) -> None:
    cards = httpx2.get(f"{engine.server.url}/v1/models").json()["data"]
    (card,) = [card for card in cards if card["id"] == "demo"]
    can = card["capabilities"]
    assert can["engine"]
    for feature in ("deterministic", "fork", "logprobs", "tools", "json_schema"):
        assert can[feature] is (feature not in engine.kind.cannot), feature
