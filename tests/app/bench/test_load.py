"""The load: prompts of known length, replies that never end early, moments as a reader sees them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from live_server import LiveServer, start_model

from r1chat.app.bench.load import Reply, ask, end_bans, open_target, user, words
from r1chat.serve.models.gguf.shapes import make_random_gguf, synthetic_tokenizer


def reply(times: list[float], **fields: object) -> Reply:
    return Reply(sent=10.0, times=times, ended=times[-1], **fields)  # type: ignore[arg-type]


def test_words_are_the_same_for_the_same_key_and_no_other() -> None:
    assert words(40, 1, "a") == words(40, 1, "a") != words(40, 2, "a")
    assert len(words(40, 1).split()) == 40


def test_ban_holds_what_may_end_a_reply_and_leaves_the_thought_its_tags(tmp_path: Path) -> None:
    path = make_random_gguf("tiny-qwen2", tmp_path / "m.gguf", "F16")
    vocabulary = synthetic_tokenizer(512)
    banned = [vocabulary.tokens[int(token)] for token in end_bans(path)]
    assert vocabulary.tokens[vocabulary.eos_id] in banned
    assert {"<think>", "</think>"}.isdisjoint(banned)


def test_times_of_a_reply_are_its_readers() -> None:
    seen = reply([10.5, 11.0, 12.0], usage={"completion_tokens": 4})
    assert seen.first_token_s == 0.5
    assert seen.gaps == [0.5, 1.0]
    assert seen.decode_rate == 3 / 1.5


def test_server_without_usage_is_counted_by_the_limit_it_reached() -> None:
    assert reply([1.0], asked_for=64, finish_reason="length").n_output == 64
    assert reply([1.0, 2.0], asked_for=64, finish_reason="stop").n_output == 2


def test_cached_tokens_are_not_computed() -> None:
    usage = {"prompt_tokens": 50, "prompt_tokens_details": {"cached_tokens": 30}}
    assert reply([1.0], usage=usage).n_computed == 20
    assert reply([1.0], usage={"prompt_tokens": 50}).n_computed == 50


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_gguf("tiny-qwen2", tmp_path_factory.mktemp("load") / "noise.gguf")


@pytest.fixture(scope="module")
def server(model: Path) -> LiveServer:
    return start_model(model)


@pytest.mark.slow
@pytest.mark.anyio
async def test_prompts_and_replies_have_the_length_that_was_asked_for(server: LiveServer, model: Path) -> None:
    with server:
        async with open_target("live", server.url, end_bans(model)) as target:
            began = time.perf_counter()
            short, long = [
                await ask(target, [user(words(n, "prompt", n))], Reply(), max_tokens=200, seed=n) for n in (10, 40)
            ]
            seconds = time.perf_counter() - began
    assert long.n_prompt - short.n_prompt == 30
    assert (short.n_output, long.n_output) == (200, 200)
    assert short.finish_reason == long.finish_reason == "length"
    assert 0 < short.first_token_s <= short.ended - short.sent <= seconds
    assert short.times == sorted(short.times)
