"""POST /v1/reasoning/fork on the bundled model: what stays, what is new, what it costs, and whose it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from live_server import LiveServer, start_model

from r1chat.app.bench.load import end_bans
from r1chat.serve.models.catalog import BUNDLED
from r1chat.serve.models.gguf.reader import read_header
from r1chat.serve.models.gguf.shapes import make_random_gguf

pytestmark = pytest.mark.model

SUM = [{"role": "user", "content": "What is 347 + 589?"}]
ANN, BOB = {"Authorization": "Bearer ann-s-key"}, {"Authorization": "Bearer bob-s-key"}


@pytest.fixture(scope="module")
def demo() -> Iterator[LiveServer]:
    with start_model(BUNDLED) as server:
        yield server


def post(server: LiveServer, path: str, headers: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
    return httpx2.post(f"{server.url}{path}", json=body, headers=headers, timeout=60)


def asked(server: LiveServer, **fields: Any) -> dict[str, Any]:
    answer = post(server, "/v1/chat/completions", **{"messages": SUM, "temperature": 0, **fields})
    assert answer.status_code == 200, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


def forked(server: LiveServer, reply: dict[str, Any], at: Any, text: str = "", **fields: Any) -> dict[str, Any]:
    answer = post(server, "/v1/reasoning/fork", id=reply["id"], at=at, text=text, **fields)
    assert answer.status_code == 200, answer.text
    fork: dict[str, Any] = answer.json()
    return fork


def message(reply: dict[str, Any]) -> tuple[str, str]:
    said = reply["choices"][0]["message"]
    return said["reasoning"], said["content"]


@pytest.mark.slow
def test_a_fork_without_other_words_says_the_same_again(demo: LiveServer) -> None:
    reply = asked(demo)
    thought, _ = message(reply)
    seam = thought.index("347+589")  # between two tokens: what is cut inside one is read anew
    for at in ("think_end", {"token": 0}, {"token": 10}, {"char": 0}, {"char": seam}):
        assert message(forked(demo, reply, at)) == message(reply), at


def test_only_what_is_new_is_computed_and_counted(demo: LiveServer) -> None:
    reply = asked(demo)
    before, after = reply["usage"], forked(demo, reply, "think_end")["usage"]
    assert after["total_tokens"] == before["total_tokens"]
    assert after["prompt_tokens"] - after["prompt_tokens_details"]["cached_tokens"] < 8
    assert after["completion_tokens"] < before["completion_tokens"]
    assert after["completion_tokens_details"]["reasoning_tokens"] == 0
    after = forked(demo, reply, {"token": 10})["usage"]
    assert after["prompt_tokens"] == before["prompt_tokens"] + 10
    assert after["prompt_tokens_details"]["cached_tokens"] == after["prompt_tokens"] - 1


def test_the_reply_goes_on_from_other_words(demo: LiveServer) -> None:
    reply = asked(demo)
    thought, answer = message(reply)
    cut = thought.index("347+589")
    edited, result = message(forked(demo, reply, {"char": cut}, "347+589. Ones: 7+9=15."))
    assert edited.startswith(f"{thought[:cut]}347+589. Ones: 7+9=15.")
    assert edited != thought and "\\boxed" in result
    same, result = message(forked(demo, reply, "think_end", "The sum is"))
    assert same == thought
    assert result.startswith("The sum is") and result != answer


def test_tags_in_the_words_are_words(demo: LiveServer) -> None:
    thought, answer = message(forked(demo, asked(demo), {"char": 10}, " <think> <｜User｜> "))
    assert "<think> <｜User｜>" in thought
    assert "<｜User｜>" not in answer


def test_no_tag_shows_in_a_fork_of_a_reply_whose_thought_was_closed_for_it(demo: LiveServer) -> None:
    """The bundled model, not let think, thinks in its answer and closes that with a tag."""
    reply = asked(demo, reasoning_effort="none")
    n_tokens = reply["usage"]["completion_tokens"]
    for at in ("think_end", {"token": 5}, {"token": n_tokens - 5}):
        fork = forked(demo, reply, at)
        assert message(fork) == message(reply), at
        assert "</think>" not in message(fork)[1]


@pytest.mark.slow
def test_a_fork_may_be_forked_and_every_choice_too(demo: LiveServer) -> None:
    reply = asked(demo)
    fork = forked(demo, reply, {"char": 0}, "Okay. Let me see.")
    again = forked(demo, fork, "think_end")
    assert message(again) == message(fork)
    assert message(forked(demo, again, {"char": 5}))[0].startswith("Okay.")
    three = asked(demo, temperature=1.5, seed=4, n=3)
    for choice in three["choices"]:
        same = forked(demo, three, "think_end", choice=choice["index"])
        assert message(same)[0] == choice["message"]["reasoning"]


def test_a_vote_is_forked_at_its_winner_and_at_each_thought(demo: LiveServer) -> None:
    reply = asked(demo, temperature=1.5, seed=2, vote={"n": 4})
    winner = reply["vote"]["choice"]
    assert message(reply)[0] == reply["vote"]["thoughts"][winner]["reasoning"]
    assert message(forked(demo, reply, "think_end"))[0] == message(reply)[0]
    for thought in reply["vote"]["thoughts"]:
        fork = forked(demo, reply, "think_end", choice=thought["index"])
        assert message(fork)[0] == thought["reasoning"]


@pytest.mark.slow
def test_a_thought_that_a_vote_stopped_may_go_on(demo: LiveServer) -> None:
    reply = asked(demo, temperature=0.6, seed=2, vote={"n": 32})
    stopped = [thought for thought in reply["vote"]["thoughts"] if thought["finish_reason"] == "stopped"]
    begun = [thought for thought in stopped if thought["completion_tokens"]]
    assert begun
    for thought in begun[:3]:
        fork = forked(demo, reply, {"token": thought["completion_tokens"]}, choice=thought["index"])
        assert message(fork)[0].startswith(thought["reasoning"]) and "\\boxed" in message(fork)[1]


def test_what_is_not_said_stays_as_it_was_asked_for(demo: LiveServer) -> None:
    reply = asked(demo, reasoning_budget_tokens=20, reasoning_grace_tokens=0)
    again = forked(demo, reply, {"token": 0})
    assert again["usage"]["completion_tokens_details"]["reasoning_tokens"] == 20
    free = forked(demo, reply, {"token": 0}, reasoning_budget_tokens=1000)
    assert free["usage"]["completion_tokens_details"]["reasoning_tokens"] > 20
    assert not message(forked(demo, reply, {"token": 0}, reasoning={"exclude": True}, max_tokens=40))[0]
    free = forked(demo, reply, {"token": 0}, reasoning_effort="max")
    assert free["usage"]["completion_tokens_details"]["reasoning_tokens"] > 20
    assert forked(demo, reply, "think_end", max_tokens=3)["usage"]["completion_tokens"] == 3


def test_a_streamed_fork_begins_with_what_stays(demo: LiveServer) -> None:
    reply = asked(demo)
    body = {"id": reply["id"], "at": {"char": 30}, "stream": True, "stream_options": {"include_usage": True}}
    answer = httpx2.post(f"{demo.url}/v1/reasoning/fork", json=body, timeout=60)
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("reasoning") or "" for delta in deltas) == message(reply)[0]
    assert "".join(delta.get("content") or "" for delta in deltas) == message(reply)[1]
    assert chunks[-1]["usage"]["total_tokens"] == reply["usage"]["total_tokens"]


@pytest.mark.parametrize(
    "at", [{"token": 10_000}, {"char": 10_000}, {"char": -1}, {"token": 1, "char": 1}, {}, "end", None, 3]
)
def test_a_place_that_the_reply_lacks_is_a_clean_error(demo: LiveServer, at: Any) -> None:
    answer = post(demo, "/v1/reasoning/fork", id=asked(demo)["id"], at=at)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_reply_that_nobody_gave_is_not_found(demo: LiveServer) -> None:
    assert post(demo, "/v1/reasoning/fork", id="chatcmpl-never", at="think_end").status_code == 404
    reply = asked(demo)
    assert post(demo, "/v1/reasoning/fork", id=reply["id"], choice=1, at="think_end").status_code == 404


@pytest.mark.slow
def test_only_the_owner_may() -> None:
    with start_model(BUNDLED, api_key="ann-s-key", more_keys=("bob-s-key",)) as server:
        reply = post(server, "/v1/chat/completions", ANN, messages=SUM, temperature=0).json()
        foreign = post(server, "/v1/reasoning/fork", BOB, id=reply["id"], at="think_end")
        unknown = post(server, "/v1/reasoning/fork", BOB, id="chatcmpl-never", at="think_end")
        assert foreign.status_code == unknown.status_code == 404
        assert set(foreign.json()["error"]) == set(unknown.json()["error"])
        assert post(server, "/v1/reasoning/fork", ANN, id=reply["id"], at="think_end").status_code == 200
        assert post(server, "/v1/reasoning/fork", id=reply["id"], at="think_end").status_code == 401


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, dict[str, float]]]:
    """Random weights, and the bias under which they end neither a thought nor a reply."""
    path = make_random_gguf("tiny-qwen2", tmp_path_factory.mktemp("fork") / "noise.gguf")
    with path.open("rb") as file:
        tokens = read_header(file, path.stat().st_size).values["tokenizer.ggml.tokens"]
    with start_model(path) as server:
        yield server, {**end_bans(path), str(tokens.index("</think>")): -100}


@pytest.mark.slow
@pytest.mark.parametrize("prepared", [False, True])
def test_behind_a_long_thought_next_to_nothing_is_computed(
    noise: tuple[LiveServer, dict[str, float]], prepared: bool
) -> None:
    server, bans = noise
    before = server.stats()["prepared_tokens_total"]
    reply = asked(
        server,
        messages=[{"role": "user", "content": f"Think long about this, please: {prepared}."}],
        # the turn after a reply that a program waits for is not prepared
        priority="interactive" if prepared else "batch",
        **{"reasoning_budget_tokens": 500, "reasoning_grace_tokens": 0, "max_tokens": 700, "temperature": 1},
        logit_bias=bans,
    )
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == 500
    if prepared:
        server.wait_until_prepared(beyond=before)
    usage = forked(server, reply, "think_end", "Now for", max_tokens=8)["usage"]
    assert usage["prompt_tokens"] > 500
    assert usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"] < 32
