"""A teacher on a loopback port that fails as others do: rate limits, errors, dropped sockets, garbage. It computes
nothing: the reply to a prompt and a seed is always the same.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Body = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """Instead of a reply: a status with a message, or what `kind` says happens to the stream."""

    kind: Literal["status", "drop", "cut", "error", "garbage", "odd", "empty"] = "status"
    status: int = 500
    message: str = "out of order"
    retry_after: str | None = None


@dataclass(frozen=True)
class Ask:
    """A request that came, `at` this monotonic time."""

    body: Body
    at: float
    authorization: str | None

    @property
    def prompt(self) -> str:
        return str(self.body["messages"][-1]["content"])

    @property
    def key(self) -> tuple[str, int | None]:
        return self.prompt, self.body.get("seed")


def usual_reply(body: Body) -> list[Body]:
    """The deltas of a reply in the form of DeepSeek's API."""
    prompt, seed = body["messages"][-1]["content"], body.get("seed")
    return [
        {"reasoning_content": f"I think of {prompt}\n"},
        {"reasoning_content": "Wait."},
        {"content": f"It is {seed}."},
    ]


@dataclass
class ShakyTeacher:
    """`faults` go to the next requests, one each; `fault_of` may give one to any; `reply_of` gives the deltas."""

    url: str = ""
    models: list[str] = field(default_factory=lambda: ["deepseek-reasoner"])
    faults: list[Fault | None] = field(default_factory=list)
    fault_of: Callable[[Body], Fault | None] = lambda body: None
    reply_of: Callable[[Body], list[Body]] = usual_reply
    delay_s: float = 0.0
    asks: list[Ask] = field(default_factory=list)
    answered: list[tuple[str, int | None]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    teacher: ShakyTeacher

    def do_GET(self) -> None:
        self._json(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in self.teacher.models]})

    def do_POST(self) -> None:
        teacher = self.teacher
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        ask = Ask(body, time.monotonic(), self.headers["authorization"])
        with teacher.lock:
            teacher.asks.append(ask)
            fault = teacher.faults.pop(0) if teacher.faults else None
        fault = fault or teacher.fault_of(body)
        time.sleep(teacher.delay_s)
        if fault is None:
            self._stream([{"delta": delta} for delta in teacher.reply_of(body)])
            teacher.answered.append(ask.key)
        elif fault.kind == "status":
            headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            self._json(fault.status, {"error": {"message": fault.message, "code": None}}, headers)
        elif fault.kind != "drop":
            self._break(fault)

    def _break(self, fault: Fault) -> None:
        self._begin()
        pieces = {
            "cut": f"data: {json.dumps({'choices': [{'delta': {'content': 'half'}}]})}\n\n",
            "error": 'data: {"error": {"message": "overloaded"}}\n\n',
            "garbage": "data: <html>502 Bad Gateway</html>\n\n",
            "odd": 'data: {"choices": 3}\n\n',
            "empty": "data: [DONE]\n\n",
        }
        self.wfile.write(pieces[fault.kind].encode())

    def _stream(self, choices: list[Body]) -> None:
        self._begin()
        usage = {"completion_tokens": 12, "completion_tokens_details": {"reasoning_tokens": 7}}
        end = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage}
        for chunk in (*({"choices": [choice]} for choice in choices), end):
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def _json(self, status: int, body: Body, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed are what these tests are about."""


@contextmanager
def shaky_teacher(**settings: Any) -> Iterator[ShakyTeacher]:
    """A teacher for as long as the block runs."""
    teacher = ShakyTeacher(**settings)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"teacher": teacher}))
    teacher.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield teacher
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
