"""What clients see when clients leave, the engine dies, or too much is asked at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from live_server import LiveServer, StartServer, eventually

from r1chat.serve.api import sse
from r1chat.serve.api.server import LastResort

# nothing in it repeats, so that no drafts hurry it along
ENDLESS = "on\n</think>" + " ".join(f"and {i}" for i in range(3000))


def body(text: str = "Go", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "stream": True, **fields}


async def read(
    client: httpx2.AsyncClient,
    server: LiveServer,
    lines: int | None = None,
    seen: list[str] | None = None,
    **kwargs: Any,
) -> list[str]:
    """The data lines of one stream; with `lines`, only so many before the socket is dropped. They go to `seen`."""
    seen = [] if seen is None else seen
    url = f"{server.url}/v1/chat/completions"
    async with client.stream("POST", url, json=body(**kwargs), timeout=30) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                seen.append(line.removeprefix("data: "))
            if lines is not None and len(seen) >= lines:
                break
    return seen


async def until_each_has(n_lines: int, *seen: list[str]) -> None:
    async with asyncio.timeout(60):
        while any(len(lines) < n_lines for lines in seen):
            await asyncio.sleep(0.01)


def test_dropping_half_the_sockets_leaves_no_sequence_occupied(start_server: StartServer) -> None:
    server = start_server({"tokens_per_s": 50, "scripts": {"ENDLESS": ENDLESS}})

    async def drop_half() -> list[list[str]]:
        async with httpx2.AsyncClient() as client:
            leaving = [read(client, server, lines=1 + i, text="ENDLESS") for i in range(8)]
            staying = [read(client, server) for _ in range(8)]
            return (await asyncio.gather(*leaving, *staying))[8:]

    stayed = asyncio.run(drop_half())
    assert all(lines[-1] == "[DONE]" for lines in stayed)
    assert eventually(lambda: server.stats()["sequences"] == 0), server.stats()
    assert server.stats()["running"] == server.stats()["waiting"] == 0


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_early_frees_its_place(start_server: StartServer, stream: bool) -> None:
    """It leaves while the prompt is computed (before any token), or while it waits in the queue."""
    # one prompt alone would take 40 s
    server = start_server({"prefill_s": 0.02, "n_seq_max": 1, "n_batch": 64, "tokens_per_s": 100})

    async def leave_all() -> None:
        async with httpx2.AsyncClient() as client:
            for _ in range(3):
                request = body("word " * 2000, stream=stream)
                task = asyncio.create_task(client.post(f"{server.url}/v1/chat/completions", json=request))
                await asyncio.sleep(0.3)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    asyncio.run(leave_all())
    assert eventually(lambda: not any(server.stats()[k] for k in ("sequences", "running", "waiting")))


def test_killing_the_child_ends_each_stream_with_an_error_and_the_next_request_works(
    start_server: StartServer,
) -> None:
    server = start_server({"tokens_per_s": 50, "scripts": {"ENDLESS": ENDLESS}})
    child, parent = server.pid, os.getpid()
    killed_at = 0.0

    async def one(client: httpx2.AsyncClient, seen: list[str]) -> tuple[float, list[str]]:
        await read(client, server, seen=seen, text="ENDLESS")
        return time.monotonic(), seen

    async def kill_during_four() -> list[tuple[float, list[str]]]:
        nonlocal killed_at
        async with httpx2.AsyncClient() as client:
            seen: list[list[str]] = [[] for _ in range(4)]
            tasks = [asyncio.create_task(one(client, lines)) for lines in seen]
            await until_each_has(3, *seen)
            killed_at = time.monotonic()
            os.kill(child, signal.SIGKILL)
            return await asyncio.gather(*tasks)

    for ended_at, lines in asyncio.run(kill_during_four()):
        assert len(lines) > 2 and "[DONE]" not in lines
        assert json.loads(lines[-1])["error"]["code"] == "engine_restarted"
        assert not any('"error"' in line for line in lines[:-1])
        assert ended_at - killed_at < 30
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body(stream=False), timeout=30)
    assert answer.status_code == 200 and answer.json()["choices"][0]["message"]["content"]
    assert server.pid != child and os.getpid() == parent


def test_a_prompt_that_kills_the_child_is_answered_with_503_and_not_500(start_server: StartServer) -> None:
    server = start_server()
    crash = [{"role": "user", "content": "CRASH"}]
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json={"messages": crash}, timeout=30)
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "engine_restarted"
    assert int(answer.headers["retry-after"]) >= 1


def test_a_full_queue_says_429_and_when_to_come_back(start_server: StartServer) -> None:
    server = start_server({"n_seq_max": 1, "scripts": {"ENDLESS": ENDLESS}, "tokens_per_s": 50}, max_waiting=2)

    async def many() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(timeout=30) as client:
            url = f"{server.url}/v1/chat/completions"
            posts = [client.post(url, json=body("ENDLESS", stream=False, max_tokens=5)) for _ in range(40)]
            return await asyncio.gather(*posts)

    answers = asyncio.run(many())
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "queue_full" and int(refused.headers["retry-after"]) >= 1


def test_numbers_that_are_none_end_as_an_error_once(start_server: StartServer) -> None:
    server = start_server()
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body("NAN", stream=False), timeout=30)
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "non_finite_logits"
    lines = asyncio.run(_read_one(server, text="NAN"))
    assert json.loads(lines[-1])["error"]["code"] == "non_finite_logits" and "[DONE]" not in lines


async def _read_one(server: LiveServer, **kwargs: Any) -> list[str]:
    async with httpx2.AsyncClient() as client:
        return await read(client, server, **kwargs)


def test_a_silent_stream_is_kept_alive(start_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.1)
    server = start_server({"prefill_s": 0.01})
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body("word " * 60), timeout=30)
    head, _, rest = answer.text.partition("\n\n")
    assert '"role"' in head and rest.startswith(":\n\n") and rest.endswith("data: [DONE]\n\n")


@pytest.mark.slow
def test_health_tells_when_the_engine_is_away(start_server: StartServer, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    server = start_server({"load_gate": str(gate)})
    assert httpx2.get(server.url + "/health").json()["status"] == "ok"
    gate.unlink()
    os.kill(server.pid, signal.SIGKILL)
    assert eventually(lambda: httpx2.get(server.url + "/health").status_code == 503)
    gate.touch()
    assert eventually(lambda: httpx2.get(server.url + "/health").status_code == 200)
    assert httpx2.get(server.url + "/health").json()["restarts"] == 1


@pytest.mark.slow
def test_stopping_the_server_ends_open_streams_with_an_error(start_server: StartServer) -> None:
    server = start_server({"tokens_per_s": 50, "scripts": {"ENDLESS": ENDLESS}})

    async def stop_midway() -> list[str]:
        async with httpx2.AsyncClient() as client:
            seen: list[str] = []
            task = asyncio.create_task(read(client, server, seen=seen, text="ENDLESS"))
            await until_each_has(3, seen)
            await asyncio.to_thread(server.stop)
            return await task

    lines = asyncio.run(stop_midway())
    assert json.loads(lines[-1])["error"]["code"] == "engine_restarted"


def test_the_wire_has_a_row_for_every_error() -> None:
    from r1chat.serve import errors
    from r1chat.serve.api.wire_errors import TABLE

    assert set(TABLE) == {cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, Exception)}
    assert 500 not in {row.status for row in TABLE.values()}


@pytest.mark.anyio
async def test_a_request_that_is_cancelled_before_its_answer_gets_the_servers_last_word() -> None:
    """As by uvicorn, where it has waited long enough; raised, it would be a traceback in the log."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    request = asyncio.create_task(LastResort(app)({"type": "http", "headers": []}, None, send))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    request.cancel()
    await request
    assert sent[0]["status"] == 503 and b"shutting down" in sent[1]["body"]
