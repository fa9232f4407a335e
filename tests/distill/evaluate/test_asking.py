"""Asking: what passes is waited for, what does not ends the measurement with one line."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from shaky_teacher import Fault, ShakyTeacher, shaky_teacher

from r1chat.distill import retries
from r1chat.distill.errors import DistillError
from r1chat.distill.evaluate.asking import Asker
from r1chat.distill.evaluate.samples import Draw, wanted_draws
from r1chat.distill.rows import ProblemRow, SampleRow
from r1chat.distill.verify.ruling import right
from r1chat.serve.client import Client

PROBLEM = ProblemRow(id="p", prompt="What is 2 + 2?", gold="4", source="test")


class Teacher(ThreadingHTTPServer):
    """Answers with these statuses first, then with a reply; keeps what it was asked."""

    def __init__(self, *faults: tuple[int, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults = list(faults)
        self.asked: list[dict[str, Any]] = []
        self.tokens: int | None = 7

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Teacher

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status, code = self.server.faults.pop(0) if self.server.faults else (200, "")
        body = json.dumps({"error": {"message": "no", "code": code}}).encode() if code else _stream(self.server.tokens)
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if code else "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _stream(tokens: int | None) -> bytes:
    deltas = [{"reasoning_content": "Two and two."}, {"content": "\\boxed{4}"}]
    chunks: list[dict[str, Any]] = [{"choices": [{"delta": delta}]} for delta in deltas]
    chunks += [{"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"completion_tokens": tokens}}]
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


@pytest.fixture
def serve() -> Iterator[Any]:
    running: list[Teacher] = []

    def begin(*faults: tuple[int, str]) -> Teacher:
        running.append(Teacher(*faults))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,), daemon=True).start()
        return running[-1]

    yield begin
    for server in running:
        server.shutdown()
        server.server_close()


def ask(teacher: Teacher | ShakyTeacher, k: int = 1, **extra: Any) -> list[SampleRow]:
    rows: list[SampleRow] = []

    async def run() -> None:
        async with Client(teacher.url, model="m") as client:
            asker = Asker(client, lambda problem, answer: right("equal", "4"), "teacher", "?", extra)
            await asker.draw(draws(k), 4, rows.append)

    asyncio.run(run())
    return rows


def draws(k: int) -> list[Draw]:
    return wanted_draws({"s": [PROBLEM]}, k, "model", {})


def test_a_busy_server_is_asked_again(serve: Any) -> None:
    teacher = serve((429, "rate_limit"))
    (row,) = ask(teacher)
    assert (row.reasoning, row.answer, row.verdict, row.n_tokens) == ("Two and two.", "\\boxed{4}", "right", 7)
    assert len(teacher.asked) == 2


def test_a_server_that_limits_its_rate_is_waited_for_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_S", 0.001)
    with shaky_teacher(faults=[Fault(status=429)] * 8 + [Fault(status=503, retry_after="1")]) as teacher:
        assert len(ask(teacher)) == 1
    *_, refused, answered = teacher.asks
    assert len(teacher.asks) == 10 and answered.at - refused.at >= 1.0


def test_a_server_that_is_busy_for_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with shaky_teacher(faults=[Fault(status=429, message="the day's quota", retry_after="3600")]) as teacher:
        with pytest.raises(DistillError, match=r"the day's quota\).*is kept; go on with: r1chat distill evaluate$"):
            ask(teacher)


@pytest.mark.parametrize("kind", ["drop", "cut", "error", "odd"])
def test_a_server_that_breaks_off_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    monkeypatch.setattr(retries, "FIRST_S", 0.001)
    with shaky_teacher(fault_of=lambda body: Fault(kind)) as teacher:
        with pytest.raises(DistillError, match=r"go on with: r1chat distill evaluate$"):
            ask(teacher)
    assert len(teacher.asks) == retries.TRIES


def test_a_server_that_knows_no_seeds_is_measured_without() -> None:
    unknown = Fault(status=400, message="Unrecognized request argument supplied: seed")
    with shaky_teacher(fault_of=lambda body: unknown if "seed" in body else None) as teacher:
        assert len(ask(teacher, k=3)) == 3


def test_a_server_that_counts_no_tokens_is_measured(serve: Any) -> None:
    teacher = serve()
    teacher.tokens = None
    (row,) = ask(teacher)
    assert row.n_tokens == 0


def test_each_sample_has_a_seed_of_its_own_and_the_fields_asked_for(serve: Any) -> None:
    teacher = serve()
    ask(teacher, k=3, temperature=0.6)
    assert {body["seed"] for body in teacher.asked} == {draw.seed for draw in draws(3)}
    assert len({draw.seed for draw in draws(3)}) == 3
    assert all(body["temperature"] == 0.6 and body["model"] == "m" for body in teacher.asked)
    assert all(body["messages"] == [{"role": "user", "content": PROBLEM.prompt}] for body in teacher.asked)


def test_problems_do_not_share_their_random_numbers_and_models_do() -> None:
    problems = [ProblemRow(id=str(n), prompt=f"What is {n} + 3?", gold="4", source="test") for n in range(3)]
    one, other = (wanted_draws({"s": problems}, 2, model, {}) for model in ("model", "another model"))
    assert len({draw.seed for draw in one}) == 6
    assert [draw.seed for draw in one] == [draw.seed for draw in other]


def test_a_wrong_key_ends_it_with_one_line(serve: Any) -> None:
    with pytest.raises(DistillError, match=r"refuses to answer: no\. Give its key: R1CHAT_TEACHER_KEY=KEY") as failed:
        ask(serve(*[(401, "bad_key")] * 20), k=6)
    assert "\n" not in str(failed.value)


def test_a_prompt_without_room_for_an_answer_is_cut_off_and_wrong(serve: Any) -> None:
    (row,) = ask(serve((400, "context_length_exceeded")))
    assert (row.finish_reason, row.verdict, row.n_tokens) == ("length", "wrong", 0)


def test_another_wording_gold_or_setting_is_another_draw() -> None:
    known = {draw.id for draw in draws(2)}
    assert len(known) == 2
    others = [
        wanted_draws({"s": [ProblemRow(id="p", prompt="What is 2 + 3?", gold="4", source="test")]}, 2, "model", {}),
        wanted_draws({"s": [ProblemRow(id="p", prompt=PROBLEM.prompt, gold="5", source="test")]}, 2, "model", {}),
        wanted_draws({"s": [PROBLEM]}, 2, "model", {"temperature": 1.0}),
        wanted_draws({"s": [PROBLEM]}, 2, "another model", {}),
        wanted_draws({"other": [PROBLEM]}, 2, "model", {}),
    ]
    assert all(not known & {draw.id for draw in other} for other in others)
    assert {draw.id for draw in wanted_draws({"s": [PROBLEM]}, 3, "model", {})} > known
