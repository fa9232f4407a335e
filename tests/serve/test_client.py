"""Client: against our own server, and against servers that speak other dialects or break off."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from live_server import QUESTION, LiveServer, StartServer

from r1chat.serve.client import ApiError, Client, ContentDelta, Done, ReasoningDelta, ServerUnreachableError
from r1chat.serve.errors import InvalidRequestError

REASONING = "Let me count the sheep.\nAll but nine ran away, so nine are left."
CONTENT = "The answer is \\boxed{9}."

Event = ReasoningDelta | ContentDelta | Done


def stream(client: Client, **params: object) -> list[Event]:
    async def collect() -> list[Event]:
        async with client:
            return [event async for event in client.stream(QUESTION, **params)]

    return asyncio.run(collect())


@contextlib.contextmanager
def answering(body: bytes, *, status: int = 200, content_type: str = "text/event-stream") -> Iterator[str]:
    """A server of another make: whatever it is asked, it says `body` and hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_stream_is_thought_answer_done(live: LiveServer) -> None:
    *deltas, done = stream(Client(live.url))
    kinds = [type(delta) for delta in deltas]
    assert kinds == sorted(kinds, key=[ReasoningDelta, ContentDelta].index)
    assert "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta)) == REASONING
    assert "".join(delta.text for delta in deltas if isinstance(delta, ContentDelta)) == CONTENT
    assert isinstance(done, Done) and done.finish_reason == "stop" and done.id.startswith("chatcmpl-")
    assert done.reasoning_end == "natural" and {delta.id for delta in deltas} == {done.id}
    assert done.usage["completion_tokens_details"]["reasoning_tokens"] == 14
    assert done.timings["predicted_n"] == done.usage["completion_tokens"]


def test_complete_gives_the_same_in_one_piece(live: LiveServer) -> None:
    async def ask() -> None:
        async with Client(live.url + "/v1/", model="demo") as client:
            completion = await client.complete(QUESTION, max_tokens=100)
            assert (completion.reasoning, completion.content) == (REASONING, CONTENT)
            assert completion.finish_reason == "stop" and completion.timings["queue_ms"] >= 0

    asyncio.run(ask())


def test_many_at_once_share_one_client(live: LiveServer) -> None:
    async def ask() -> list[str]:
        async with Client(live.url) as client:
            completions = await asyncio.gather(*(client.complete(QUESTION) for _ in range(24)))
            return [completion.content for completion in completions]

    assert asyncio.run(ask()) == [CONTENT] * 24


def test_models_and_health(live: LiveServer) -> None:
    async def ask() -> None:
        async with Client(live.url) as client:
            assert [model["id"] for model in await client.models()] == ["demo"]
            assert (await client.health())["status"] == "ok"

    asyncio.run(ask())


def test_closing_the_iterator_stops_the_server(start_server: StartServer) -> None:
    # nothing in it repeats, so that no drafts bring it to its end while one waits
    server = start_server({"tokens_per_s": 100, "script": " ".join(f"on {n}" for n in range(4000))})

    async def leave() -> None:
        async with Client(server.url) as client:
            async with aclosing(client.stream(QUESTION)) as events:
                async for event in events:
                    assert isinstance(event, ReasoningDelta)
                    break
            deadline = time.monotonic() + 60
            while server.stats()["sequences"] and time.monotonic() < deadline:
                await asyncio.sleep(0.02)

    asyncio.run(leave())
    assert server.stats()["sequences"] == 0


def test_an_error_of_the_server_is_an_api_error(live: LiveServer) -> None:
    with pytest.raises(ApiError, match="temperature") as caught:
        stream(Client(live.url), temperature=7)
    assert (caught.value.status, caught.value.code) == (400, "invalid_value")
    with pytest.raises(ApiError) as caught:
        stream(Client(live.url, model="other"))
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_the_key_is_sent(start_server: StartServer) -> None:
    server = start_server(api_key="kéy")
    assert isinstance(stream(Client(server.url, api_key="kéy"))[-1], Done)
    with pytest.raises(ApiError) as caught:
        stream(Client(server.url))
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")


def test_an_error_inside_a_stream_comes_after_what_was_said() -> None:
    body = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"error":{"message":"died","code":"x"}}\n\n'
    said: list[Event] = []

    async def ask(url: str) -> None:
        async with Client(url) as client:
            async for event in client.stream(QUESTION):
                said.append(event)

    with answering(body) as url, pytest.raises(ApiError, match="died") as caught:
        asyncio.run(ask(url))
    assert said == [ContentDelta("a")] and (caught.value.status, caught.value.code) == (200, "x")


def test_other_dialects_are_understood() -> None:
    body = (
        ": ping\n\n"
        'data: {"id":"a","choices":[{"delta":{"role":"assistant","content":"","reasoning":null}}]}\n\n'
        'data: {"choices":[{"delta":{"reasoning":"think"},"finish_reason":null}],"usage":null}\r\n\r\n'
        'data: {"choices":[{"delta":{"content":"line\u2028end\x85"}}]}\n\n'
        'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'
        'data: {"choices":null,"usage":{"total_tokens":3}}\n\n'
        "data: [DONE]\n\n"
    ).encode()
    with answering(body) as url:
        assert stream(Client(url)) == [
            ReasoningDelta("think"),
            ContentDelta("line\u2028end\x85"),
            Done("length", {"total_tokens": 3}, {}, "a"),
        ]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "text/event-stream"),
        (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', "text/event-stream"),
        (b"<html>", "text/html"),
    ],
)
def test_a_stream_that_breaks_off_is_no_answer(body: bytes, content_type: str) -> None:
    with (
        answering(body, content_type=content_type) as url,
        pytest.raises(ServerUnreachableError, match="No answer from"),
    ):
        stream(Client(url))


@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway</html>", b'{"detail":"nope"}', b'{"error":"flat"}', b"\xff", b"[]"]
)
def test_errors_of_any_shape_are_api_errors(body: bytes) -> None:
    with answering(body, status=502, content_type="text/html") as url, pytest.raises(ApiError) as caught:
        stream(Client(url))
    assert caught.value.status == 502 and str(caught.value)


def test_a_chunk_that_is_no_json_is_an_api_error() -> None:
    with answering(b"data: {oops\n\n") as url, pytest.raises(ApiError, match="no JSON"):
        stream(Client(url))


def test_a_server_that_lists_no_models_is_an_api_error() -> None:
    async def ask(url: str) -> None:
        async with Client(url) as client:
            await client.models()

    with answering(b'{"object": "list"}', content_type="application/json") as url:
        with pytest.raises(ApiError, match="lists no models"):
            asyncio.run(ask(url))


@pytest.mark.parametrize("url", ["http://localhost:8000x", "http://[::1", "http://a\n.b"])
def test_what_is_no_address_is_told_at_once(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no address of a server"):
        Client(url)


@pytest.mark.parametrize("wrong", [float("nan"), "half \udcff a character"])
def test_what_json_cannot_say_is_told_before_it_is_sent(wrong: object) -> None:
    with pytest.raises(InvalidRequestError, match="This cannot be sent: "):
        stream(Client("http://127.0.0.1:9"), temperature=wrong)


def test_nobody_there_is_said_with_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:2")
    with pytest.raises(ServerUnreachableError, match=r"http://127\.0\.0\.1:1"):
        stream(Client("http://127.0.0.1:1"))


def test_a_proxy_in_the_environment_does_not_stand_before_ones_own_machine(
    monkeypatch: pytest.MonkeyPatch, live: LiveServer
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:2")
    assert isinstance(stream(Client(live.url))[-1], Done)


def test_the_client_imports_no_engine() -> None:
    code = "import r1chat.serve.client, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = [name for name in done.stdout.split() if name.startswith(("llama_cpp", "fastapi", "r1chat.serve.engine"))]
    assert "r1chat.serve.client" in done.stdout and heavy == []


def test_a_running_thought_is_told_to_end(start_server: StartServer) -> None:
    script = " ".join(f"on {n}" for n in range(4000)) + " </think> Nine."  # what repeats would be ended as a loop
    server = start_server({"script": script, "tokens_per_s": 100})

    async def told() -> tuple[list[bool], Event]:
        async with Client(server.url) as client, aclosing(client.stream(QUESTION)) as events:
            first = await anext(events)
            successes = [await client.control(first.id, "answer_now")]
            last = [event async for event in events][-1]
            with pytest.raises(ApiError) as caught:
                await client.control(first.id, "answer_now")
            assert (caught.value.status, caught.value.code) == (404, "not_found")
            return successes, last

    successes, last = asyncio.run(told())
    assert successes == [True] and isinstance(last, Done) and last.reasoning_end == "user"
