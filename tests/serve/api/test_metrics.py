"""GET /metrics: the names that dashboards look for, and counts that agree with the replies."""

from __future__ import annotations

import json
from typing import Any

import httpx2
from live_server import QUESTION, LiveServer, StartServer, eventually
from prometheus_client.parser import text_string_to_metric_families

from r1chat.serve.api.metrics import COUNTERS, GAUGES
from r1chat.serve.engine.messages import EngineStats

STEPS = " ".join(f"step{n}" for n in range(200))  # ten seconds, and nothing of it is drafted


def scrape(server: LiveServer, **headers: str) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in the order of their names."""
    answer = httpx2.get(f"{server.url}/metrics", headers=headers, timeout=30)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def ask(server: LiveServer, **fields: Any) -> httpx2.Response:
    return httpx2.post(f"{server.url}/v1/chat/completions", json={"messages": QUESTION, **fields}, timeout=30)


def test_the_names_of_llama_server_are_there(live: LiveServer) -> None:
    names = {name for name, *_ in scrape(live)}
    assert names >= {
        "llamacpp:prompt_tokens_total",
        "llamacpp:prompt_tokens_cached_total",
        "llamacpp:prompt_seconds_total",
        "llamacpp:tokens_predicted_total",
        "llamacpp:tokens_predicted_seconds_total",
        "llamacpp:n_decode_total",
        "llamacpp:n_tokens_max",
        "llamacpp:prompt_tokens_seconds",
        "llamacpp:predicted_tokens_seconds",
        "llamacpp:requests_processing",
        "llamacpp:requests_deferred",
    }


def test_every_count_of_the_engine_is_shown() -> None:
    shown = {key for _, key, _ in (*COUNTERS, *GAUGES)}
    assert set(EngineStats.__struct_fields__) - shown <= {"predicted_step_s"}


def test_counts_agree_with_the_replies(start_server: StartServer) -> None:
    server = start_server()
    usages = [ask(server, seed=seed, priority="batch").json()["usage"] for seed in range(3)]
    counts = scrape(server)
    assert counts["r1chat_requests_total", "batch", "stop"] == 3
    assert counts["llamacpp:tokens_predicted_total",] == sum(usage["completion_tokens"] for usage in usages)
    cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
    assert counts["llamacpp:prompt_tokens_cached_total",] == cached > 0
    assert counts["llamacpp:prompt_tokens_total",] == sum(usage["prompt_tokens"] for usage in usages) - cached
    assert counts["llamacpp:n_tokens_max",] == usages[0]["total_tokens"]
    assert 0 < counts["r1chat_kv_cells_used",] <= counts["r1chat_kv_cells",]


def test_the_waits_of_a_reply_are_timed_by_priority(start_server: StartServer) -> None:
    server = start_server({"tokens_per_s": 20})
    usage = ask(server, max_tokens=40, priority="background").json()["usage"]
    counts = scrape(server)
    assert counts["r1chat_time_to_first_token_seconds_count", "background"] == 1
    # what a busy machine delivers together is one
    assert 1 <= counts["r1chat_inter_token_seconds_count", "background"] <= usage["completion_tokens"] - 1
    # A busy machine may deliver what was due earlier all at once, or late; about a second is due.
    assert 0 < counts["r1chat_inter_token_seconds_sum", "background"] < 60
    assert counts["r1chat_time_to_first_answer_seconds_count", "background"] == 1


def test_leaving_and_failing_are_counted_apart(start_server: StartServer) -> None:
    server = start_server({"tokens_per_s": 20, "n_ctx": 256, "script": STEPS})
    with httpx2.stream(
        "POST", f"{server.url}/v1/chat/completions", json={"messages": QUESTION, "stream": True}
    ) as response:
        assert json.loads(next(response.iter_lines()).removeprefix("data: "))
    assert ask(server, messages=[{"role": "user", "content": "word " * 500}]).status_code == 400
    assert eventually(lambda: ("r1chat_requests_total", "interactive", "abort") in scrape(server))
    counts = {key: value for key, value in scrape(server).items() if key[0] == "r1chat_requests_total"}
    assert counts == {
        ("r1chat_requests_total", "interactive", "abort"): 1,
        ("r1chat_requests_total", "interactive", "context_length_exceeded"): 1,
    }


def test_the_engine_at_work_shows(start_server: StartServer) -> None:
    server = start_server({"tokens_per_s": 20, "script": STEPS})
    body = {"messages": QUESTION, "stream": True}
    with httpx2.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=30) as response:
        lines = response.iter_lines()
        while "reasoning" not in next(lines):
            pass
        assert scrape(server)["llamacpp:requests_processing",] == 1


def test_it_is_behind_the_key(start_server: StartServer) -> None:
    server = start_server(api_key="sesame")
    assert httpx2.get(f"{server.url}/metrics").status_code == 401
    assert scrape(server, authorization="Bearer sesame")["r1chat_ready",] == 1


def test_two_servers_in_one_process_count_for_themselves(start_server: StartServer) -> None:
    first, second = start_server(), start_server()
    ask(first)
    assert ("r1chat_requests_total", "interactive", "stop") in scrape(first)
    assert ("r1chat_requests_total", "interactive", "stop") not in scrape(second)
