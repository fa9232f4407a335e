"""ChatRequest: what is let in, and what the engine is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from r1chat.serve.api.chat.protocol import ChatRequest
from r1chat.serve.api.completions.routes import CompletionRequest
from r1chat.serve.api.fork import ForkRequest
from r1chat.serve.api.messages.protocol import MessagesRequest
from r1chat.serve.api.replies import TimingsBody, UsageBody
from r1chat.serve.api.responses.protocol import ResponsesRequest
from r1chat.serve.api.tokens import DetokenizeRequest
from r1chat.serve.engine.request import Priority, SamplingParams, Timings, Usage
from r1chat.serve.errors import InvalidRequestError

HELLO = [{"role": "user", "content": "Hello"}]


def parse(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": HELLO, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": True},
        {"temperature": "0.5"},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"top_p": 1.5},
        {"top_p": float("-inf")},
        {"top_k": -2},
        {"top_k": 1.5},
        {"top_k": 2**40},
        {"min_p": 2},
        {"repetition_penalty": 0},
        {"presence_penalty": 3},
        {"frequency_penalty": "1"},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": 1e9},
        {"max_tokens": 2**70},
        {"max_completion_tokens": -2},
        {"seed": 2**64},
        {"seed": 1.0},
        {"n": 0},
        {"n": 65},
        {"stream": "yes"},
        {"stream": 1},
        {"stream_options": {"include_usage": "true"}},
        {"stream_options": []},
        {"stop": ""},
        {"stop": [""]},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"stop": {"a": 1}},
        {"stop": "\ud800"},
        {"logit_bias": {"x": 1}},
        {"logit_bias": {"-1": 1}},
        {"logit_bias": {"1": 101}},
        {"logit_bias": {"1": float("nan")}},
        {"logit_bias": {"٣": 1}},
        {"logit_bias": {str(i): 1 for i in range(2000)}},
        {"priority": "urgent"},
        {"priority": 1},
        {"cache_salt": "s" * 513},
        {"cache_salt": "\ud800"},
        {"cache_salt": 5},
        {"deterministic": 1},
        {"deterministic": "true"},
        {"reasoning_budget_tokens": -2},
        {"reasoning_grace_tokens": -1},
        {"reasoning_effort": "huge"},
        {"thinking": {"type": "maybe"}},
        {"think": "yes"},
        {"top_logprobs": 21},
        {"logprobs": 5},
        {"continue_final_message": "thought"},
        {"reasoning_format": "xml"},
        {"reasoning_budget_tokens": True},
        {"thinking_budget_tokens": 1.5},
        {"thinking_budget_tokens": 2**31},
        {"model": 3},
        {"model": "\udfff"},
        {"messages": []},
        {"messages": "x"},
        {"messages": None},
        {"messages": [{}]},
        {"messages": [None]},
        {"messages": [{"role": "root", "content": "x"}]},
        {"messages": [{"role": "User", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": 7}]},
        {"messages": [{"role": "user", "content": ["x"]}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        {"messages": [{"role": "user", "content": "half \ud83d a pair"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "\udc00"}]}]},
        {"messages": [{"role": "assistant", "content": "x", "reasoning": "\ud800"}]},
    ],
    ids=lambda fields: ascii(fields)[:60],
)
def test_refuses(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        parse(**fields)


def test_defaults_are_r1s() -> None:
    assert parse().sampling_params() == SamplingParams()
    assert (SamplingParams().temperature, SamplingParams().top_p) == (0.6, 0.95)


def test_every_sampling_field_reaches_the_engine() -> None:
    params = parse(
        temperature=0,
        top_p=0.5,
        top_k=7,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=-1,
        frequency_penalty=1,
        seed=5,
        stop=["a", "b"],
        logit_bias={"12": -100},
        max_tokens=9,
    ).sampling_params()
    assert params == SamplingParams(
        temperature=0,
        top_p=0.5,
        top_k=7,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=-1,
        frequency_penalty=1,
        seed=5,
        stop=("a", "b"),
        logit_bias={12: -100},
        max_tokens=9,
    )


def test_null_means_not_given() -> None:
    nulls = dict.fromkeys(set(ChatRequest.model_fields) - {"messages"})
    assert parse(**nulls).sampling_params() == SamplingParams()


def test_max_completion_tokens_wins_over_its_old_name() -> None:
    assert parse(max_tokens=5).sampling_params().max_tokens == 5
    assert parse(max_tokens=5, max_completion_tokens=8).sampling_params().max_tokens == 8


def test_a_deterministic_reply_has_a_seed_whether_or_not_one_is_given() -> None:
    assert parse(deterministic=True).sampling_params().seed == 0
    assert parse(deterministic=True, seed=5).sampling_params().seed == 5
    assert parse(deterministic=False).sampling_params().seed is None


def test_a_person_waits_unless_it_is_said_otherwise() -> None:
    assert parse().waits is parse(priority=None).waits is parse(priority="interactive").waits is Priority.INTERACTIVE
    assert parse(priority="background").waits is Priority.BACKGROUND


@pytest.mark.parametrize("seed", [-2, -(2**63), 2**32 - 1, 2**63 - 1])
def test_every_seed_becomes_one_that_llama_cpp_takes_as_a_seed(seed: int) -> None:
    used = parse(seed=seed).sampling_params().seed
    assert used is not None and 0 <= used < 2**32 - 1


def test_other_servers_words_for_nothing_said_are_known() -> None:
    assert parse(seed=-1, max_tokens=-1, top_k=-1).sampling_params() == SamplingParams()
    assert parse(max_completion_tokens=-1, max_tokens=5).sampling_params().max_tokens is None
    assert parse(seed=-1, deterministic=True).sampling_params().seed == 0
    completion = CompletionRequest(prompt="x", max_tokens=-1, top_k=-1, seed=-1)
    assert completion.ask("x", "").params == SamplingParams()
    fork = ForkRequest(id="chatcmpl-1", at="think_end", seed=-1)
    assert fork.params(SamplingParams(seed=5)).seed is None


@pytest.mark.parametrize("fields", [{"max_tokens": -1}, {"top_k": -1}], ids=str)
def test_messages_knows_none_of_them(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MessagesRequest.model_validate({"messages": HELLO, "max_tokens": 5, **fields})


def test_one_stop_string_may_stand_alone() -> None:
    assert parse(stop="END").sampling_params().stop == ("END",)


def test_unknown_fields_are_let_through_and_named() -> None:
    assert parse(user="me", favourite_colour="blue").ignored == ["favourite_colour"]


@pytest.mark.parametrize(
    "fields",
    [
        {"audio": {"voice": "alloy"}},
        {"modalities": ["text", "audio"]},
        {"web_search_options": {}},
        {"functions": [{"name": "f"}]},
        {"function_call": "auto"},
        {"prediction": {"type": "content", "content": "x"}},
        {"store": True},
        {"grammar": "root ::= root"},
        {"use_beam_search": True},
        {"structured_outputs": {"grammar": "root ::= x"}},
        {"structured_outputs": {"structural_tag": "{}"}},
        {"min_tokens": 5},
        {"ignore_eos": True},
        {"stop_token_ids": [5]},
        {"mirostat": 2},
        {"dry_multiplier": 0.8},
        {"typical_p": 0.5},
        {"xtc_probability": 0.5},
        {"top_n_sigma": 1.0},
        {"dynatemp_range": 0.5},
        {"bad_words": ["no"]},
        {"allowed_token_ids": [5]},
        {"n_predict": 5},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_what_others_can_and_this_server_cannot_is_called_not_supported(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(**fields)
    assert [error["type"] for error in caught.value.errors()] == ["not_supported"]


def test_one_thing_said_twice_is_taken_and_two_are_refused() -> None:
    assert parse(repeat_penalty=1.3).sampling_params().repetition_penalty == 1.3
    assert parse(repeat_penalty=1.3, repetition_penalty=1.3).sampling_params().repetition_penalty == 1.3
    with pytest.raises(InvalidRequestError, match="contradict each other"):
        parse(repeat_penalty=1.3, repetition_penalty=1.1).sampling_params()


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({"reasoning": {"exclude": True}}, "hidden"),
        ({"include_reasoning": False}, "hidden"),
        ({"separate_reasoning": False}, "inline"),
        ({"include_reasoning": False, "reasoning_format": "both"}, "both"),
        ({"include_reasoning": True, "separate_reasoning": True, "reasoning": {"exclude": False}}, None),
    ],
)
def test_where_the_thought_goes_may_be_said_in_others_words(fields: dict[str, Any], form: str | None) -> None:
    assert parse(**fields).thought_format == form


def test_what_changes_nothing_of_a_reply_is_taken_as_it_comes() -> None:
    harmless = {
        "min_tokens": 0,
        "ignore_eos": False,
        "stop_token_ids": [],
        "mirostat": 0,
        "dry_multiplier": 0.0,
        "typical_p": 1.0,
        "xtc_probability": 0.0,
        "top_n_sigma": -1,
        "dynatemp_range": 0.0,
        "bad_words": [],
        "n_predict": -1,
        "user": "me",
        "metadata": {"a": "b"},
        "service_tier": "auto",
        "verbosity": "low",
        "prompt_cache_key": "k",
        "store": False,
        "modalities": ["text"],
        "function_call": "none",
        "timings_per_token": True,
        "cache_prompt": True,
        "id_slot": -1,
        "reasoning_control": True,
        "stream_options": {"include_obfuscation": False},
    }
    assert parse(**harmless).sampling_params() == SamplingParams() and not parse(**harmless).ignored


def test_text_parts_become_one_text() -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "2 + 2?"}]
    assert parse(messages=[{"role": "user", "content": parts}]).messages[0].text == "What is\n2 + 2?"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_history_may_carry_reasoning_under_both_names(name: str) -> None:
    message = {"role": "assistant", "content": "4", name: "2 and 2 are 4."}
    assert parse(messages=[*HELLO, message, *HELLO]).messages[1].text == "4"


def test_an_assistant_that_only_thought_is_fine() -> None:
    message = {"role": "assistant", "content": None, "reasoning": "cut off"}
    assert parse(messages=[*HELLO, message, *HELLO]).messages[1].text == ""


@pytest.mark.parametrize("text", ["a\u0000b", "\u202eevil", "é" * 1000, "👩‍👩‍👧", "\ud7ff\ue000"])
def test_strange_but_whole_text_is_kept_as_it_is(text: str) -> None:
    body = json.loads(json.dumps({"messages": [{"role": "user", "content": text}]}))
    assert ChatRequest.model_validate(body).messages[0].text == text


def test_usage_counts_the_thought_inside_the_completion() -> None:
    usage = UsageBody.of(Usage(prompt_tokens=10, cached_tokens=4, completion_tokens=20, reasoning_tokens=14))
    assert usage.model_dump() == {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 14},
    }


def test_timings_are_in_milliseconds_and_rates_are_null_without_a_measurement() -> None:
    timings = Timings(queue_s=0.001, prefill_s=0.5, reasoning_s=1.0, answer_s=1.0)
    body = TimingsBody.of(timings, Usage(prompt_tokens=60, cached_tokens=10, completion_tokens=40))
    assert (body.queue_ms, body.prompt_ms, body.reasoning_ms, body.answer_ms) == (1.0, 500.0, 1000.0, 1000.0)
    assert (body.prompt_n, body.prompt_per_second, body.predicted_per_second) == (50, 100.0, 20.0)
    assert TimingsBody.of(Timings(), Usage()).predicted_per_second is None


def test_timings_count_the_drafts() -> None:
    body = TimingsBody.of(Timings(), Usage(drafted_tokens=15, accepted_tokens=9))
    assert (body.draft_n, body.draft_n_accepted) == (15, 9)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (ChatRequest, {"messages": [{"role": "user", "content": [1] * 5000}]}),
        (ChatRequest, {"messages": [1] * 5000}),
        (ChatRequest, {"messages": HELLO, "logit_bias": {str(i): "much" for i in range(5000)}}),
        (MessagesRequest, {"max_tokens": 5, "messages": [{"role": "user", "content": [1] * 5000}]}),
        (MessagesRequest, {"max_tokens": 5, "messages": HELLO, "system": [1] * 5000}),
        (ResponsesRequest, {"input": [{"role": "user", "content": [1] * 5000}]}),
        (ResponsesRequest, {"input": [1] * 5000}),
        (DetokenizeRequest, {"tokens": ["one"] * 5000}),
    ],
    ids=lambda what: str(what)[:40],
)
def test_of_many_faults_a_few_are_told(body: type[BaseModel], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        body.model_validate(fields)
    assert caught.value.error_count() < 10
