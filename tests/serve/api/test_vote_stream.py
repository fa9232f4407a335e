"""A vote whose thoughts are watched: each is told as it comes, whole, and what was told before stays as it was."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from live_server import LiveServer, start

from r1chat.serve.client import ApiError, Client, Done
from r1chat.serve.vote_events import VoteDelta, VoteStanding, VoteThinkingEnded, VoteThoughtDone

ASKED = [{"role": "user", "content": "How much is 36 over 1 in VOTES ?"}]
SCRIPTS = [
    "I count once.\n</think>\n\nIt is \\boxed{36}.",
    "I count in another way, and that takes longer.\n</think>\n\nIt is \\boxed{36.0}.",
    "Is it that?\n</think>\n\nI do not know.",
    # nothing in it repeats: what does is drafted, and broken off as a loop
    " ".join(f"step {n}," for n in range(800)) + "\n</think>\n\n\\boxed{35}",
]
THOUGHTS = ["I count once.", "I count in another way, and that takes longer.", "Is it that?"]


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with start({"scripts": {"VOTES": SCRIPTS}, "tokens_per_s": 200}) as running:
        yield running


def post(server: LiveServer, **fields: Any) -> httpx2.Response:
    body = {"messages": ASKED, "seed": 0, "stream": True, **fields}
    body.setdefault("vote", {"n": 4, "stream_thoughts": True})
    return httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)


def chunks_of(answer: httpx2.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]", answer.text[-500:]
    return [json.loads(line) for line in lines[:-1]]


def told(chunks: list[dict[str, Any]], index: int, field: str) -> str:
    thoughts = [chunk["vote_thought"] for chunk in chunks if "vote_thought" in chunk]
    return "".join(thought.get(field, "") for thought in thoughts if thought["index"] == index)


def test_every_thought_is_told_while_it_runs(server: LiveServer) -> None:
    chunks = chunks_of(post(server))
    last = [chunk["vote"] for chunk in chunks if "vote" in chunk][-1]
    for thought in last["thoughts"]:
        assert told(chunks, thought["index"], "reasoning_content") == (thought["reasoning"] or "")
        assert told(chunks, thought["index"], "content") == thought["content"]
    assert [told(chunks, i, "reasoning_content") for i in range(3)] == THOUGHTS
    indices = [chunk["vote_thought"]["index"] for chunk in chunks if "vote_thought" in chunk]
    assert indices[:40] != sorted(indices[:40]), "side by side, not one after the other"


def test_each_says_how_it_ended_and_what_it_voted_for(server: LiveServer) -> None:
    chunks = chunks_of(post(server, max_tokens=200))
    thoughts = [chunk["vote_thought"] for chunk in chunks if "vote_thought" in chunk]
    ends = {thought["index"]: thought for thought in thoughts if "finish_reason" in thought}
    assert [ends[i]["answer"] for i in range(4)] == ["36", "36.0", None, None]
    assert [ends[i]["finish_reason"] for i in range(3)] == ["stop"] * 3
    assert all("reasoning" not in end and "content" not in end for end in ends.values()), "it was told before"
    causes = {thought["index"]: thought["reasoning_end"] for thought in thoughts if "reasoning_end" in thought}
    assert [causes[i] for i in range(3)] == ["natural"] * 3


def test_one_that_can_change_nothing_is_told_as_stopped(server: LiveServer) -> None:
    chunks = chunks_of(post(server))
    ends = [chunk["vote_thought"] for chunk in chunks if "finish_reason" in chunk.get("vote_thought", {})]
    assert [(end["index"], end["finish_reason"]) for end in ends][-1] == (3, "stopped")
    assert [chunk["vote"] for chunk in chunks if "vote" in chunk][-1]["n_stopped"] == 1


def test_the_rest_of_the_stream_is_as_without(server: LiveServer) -> None:
    def bare(chunks: list[dict[str, Any]]) -> tuple[dict[str, str], list[dict[str, Any]]]:
        """Texts whole, since in how many pieces they come is chance, and all else in its order."""
        texts: defaultdict[str, str] = defaultdict(str)
        rest = []
        untimed = ("id", "created", "timings", "vote", "usage")
        for chunk in chunks:
            if "vote_thought" in chunk:
                continue
            pieces = [(name, text) for choice in chunk["choices"] for name, text in choice["delta"].items()
                      if name in ("content", "reasoning_content") and text]  # fmt: skip
            for name, text in pieces:
                texts[name] += text
            if not pieces:
                rest.append({name: value for name, value in chunk.items() if name not in untimed})
        return texts, rest

    watched, plain = chunks_of(post(server)), chunks_of(post(server, vote={"n": 4}))
    assert bare(watched) == bare(plain)
    assert not any("vote_thought" in chunk for chunk in plain), "nobody gets what they did not ask for"
    assert all(chunk["choices"] == [] for chunk in watched if "vote_thought" in chunk)


def test_the_sdk_reads_the_stream(server: LiveServer) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", _strict_response_validation=True) as sdk:
        fields: dict[str, Any] = {"model": "demo", "messages": ASKED, "seed": 0}
        vote = {"vote": {"n": 4, "stream_thoughts": True}}
        chunks = list(sdk.chat.completions.create(stream=True, extra_body=vote, **fields))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "It is \\boxed{36}."
    thoughts = [extra["vote_thought"] for chunk in chunks if "vote_thought" in (extra := chunk.model_extra or {})]
    assert {thought["index"] for thought in thoughts} == {0, 1, 2, 3}


def test_hidden_thoughts_stay_hidden_here_too(server: LiveServer) -> None:
    answer = post(server, reasoning_format="hidden")
    chunks = chunks_of(answer)
    assert told(chunks, 0, "content") == "It is \\boxed{36}." and "I count" not in answer.text
    assert any("reasoning_end" in chunk.get("vote_thought", {}) for chunk in chunks), "that they ended is no secret"


def test_without_a_stream_there_is_nothing_to_watch(server: LiveServer) -> None:
    reply = post(server, stream=False).json()
    assert "vote_thought" not in reply and len(reply["vote"]["thoughts"]) == 4


def test_the_client_gives_typed_events(server: LiveServer) -> None:
    async def ask() -> list[Any]:
        async with Client(server.url) as client:
            return [event async for event in client.vote(ASKED, 4, seed=0)]

    *events, done = asyncio.run(ask())
    texts = {i: "".join(e.reasoning for e in events if isinstance(e, VoteDelta) and e.index == i) for i in range(3)}
    assert list(texts.values()) == THOUGHTS
    assert VoteThinkingEnded(0, "natural", 3) in events
    ends = {event.index: event for event in events if isinstance(event, VoteThoughtDone)}
    assert (ends[0].answer, ends[2].answer, ends[3].finish_reason) == ("36", None, "stopped")
    report = [event.report for event in events if isinstance(event, VoteStanding)][-1]
    assert (report["answer"], report["votes"], report["choice"]) == ("36", 2, 0)
    assert isinstance(done, Done) and done.id.startswith("chatcmpl-") and done.finish_reason == "stop"
    assert {event.id for event in events if isinstance(event, VoteDelta)} == {done.id}


def test_what_the_server_refuses_is_raised_to_whoever_watches(server: LiveServer) -> None:
    async def ask() -> None:
        async with Client(server.url) as client:
            async for _ in client.vote(ASKED, 1):
                pass

    with pytest.raises(ApiError, match="n") as caught:
        asyncio.run(ask())
    assert caught.value.status == 400
