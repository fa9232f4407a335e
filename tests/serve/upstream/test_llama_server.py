"""llama.cpp's own llama-server beside an r1chat as upstreams of one front: the real one, where $R1CHAT_PEERS has it.

What the API does over it alone, tests/serve/api/test_engines.py asks.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from engine_tools import bundled_model
from live_server import start_model
from llama_server_peer import llama_server
from upstream_server import FrontServer, over

pytestmark = pytest.mark.model


def ask(front: FrontServer, question: str) -> httpx2.Response:
    body = {"messages": [{"role": "user", "content": question}], "temperature": 0, "model": "demo"}
    return httpx2.post(f"{front.url}/v1/chat/completions", json=body, timeout=120)


def test_one_killed_under_load_loses_only_what_had_begun() -> None:
    with llama_server(bundled_model()) as (url, process), start_model(bundled_model()) as other:
        with over(url, other.url) as front, ThreadPoolExecutor(32) as threads:
            kinds = [endpoint.kind.value for endpoint in front.pool.endpoints]
            assert kinds == ["llama-server", "r1chat"]
            asked = [threads.submit(ask, front, f"What is {i} + 5?") for i in range(10, 42)]
            deadline = time.monotonic() + 30
            while sum(one.done() for one in asked) < 4:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            process.kill()
            answers = [one.result() for one in asked]
    told = [answer.json() for answer in answers]
    failed = [one["error"]["code"] for one in told if "error" in one]
    assert len(failed) <= 8 and set(failed) <= {"upstream_error"}, "its eight slots at most"
    whole = [one["choices"][0] for one in told if "choices" in one]
    assert len(failed) + len(whole) == 32
    assert all(one["finish_reason"] == "stop" and one["message"]["reasoning"] for one in whole)
