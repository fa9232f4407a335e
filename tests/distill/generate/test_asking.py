"""Asking a teacher that fails: what passes is waited for, what concerns one prompt costs that prompt, the rest ends
the run with one line.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from shaky_teacher import Fault, ShakyTeacher, shaky_teacher

from r1chat.distill.errors import DistillError
from r1chat.distill.generate import asking
from r1chat.distill.generate.asking import Asker, NotAnsweredError, Patience
from r1chat.serve.client import Client, Completion

from .conftest import Run

QUICK = Patience(first_s=0.002, longest_s=0.02, give_up_s=0.4)


@pytest.fixture
def teacher() -> Iterator[ShakyTeacher]:
    with shaky_teacher() as teacher:
        yield teacher


def ask_all(url: str, count: int, patience: Patience = QUICK) -> list[Completion | BaseException]:
    """So many questions at once, each with a prompt and a seed of its own."""

    async def ask() -> list[Completion | BaseException]:
        async with Client(url, model="m") as client:
            asker = Asker(client, {}, "r1chat distill generate", patience)
            asked = (asker.ask([{"role": "user", "content": f"p{i}"}], seed=i) for i in range(count))
            return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(ask())


def test_every_reply_comes_through_a_storm_of_faults(teacher: ShakyTeacher) -> None:
    storm = [
        Fault(status=429, retry_after="0"), Fault(status=429), Fault(status=500), Fault(status=503, retry_after="0"),
        Fault(status=502), Fault(status=408), Fault("drop"), Fault("cut"), Fault("garbage"), Fault("odd"), Fault("empty"),
    ]  # fmt: skip
    teacher.faults = [*storm * 3, *[None] * 20, *storm]
    random.Random(5).shuffle(teacher.faults)
    replies = ask_all(teacher.url, 30, replace(QUICK, give_up_s=60))
    assert [getattr(reply, "content", reply) for reply in replies] == [f"It is {i}." for i in range(30)]
    assert len(teacher.answered) == len(set(teacher.answered)) == 30, "nobody was asked again after an answer"
    assert len(teacher.asks) == 30 + len(storm) * 4


def test_a_rate_limit_holds_for_all_as_long_as_the_server_says(teacher: ShakyTeacher) -> None:
    teacher.faults = [Fault(status=429, retry_after="1")]

    async def ask() -> None:
        async with Client(teacher.url, model="m") as client:
            asker = Asker(client, {}, "r1chat distill generate", Patience(first_s=0.002))
            first = asyncio.create_task(asker.ask([{"role": "user", "content": "first"}], seed=0))
            while not teacher.asks or not asker.resting:
                assert not first.done()
                await asyncio.sleep(0.01)
            await asyncio.gather(first, asker.ask([{"role": "user", "content": "second"}], seed=0))

    asyncio.run(ask())
    refused, *later = teacher.asks
    assert sorted(ask.prompt for ask in later) == ["first", "second"]
    assert all(1.0 <= ask.at - refused.at < 60.0 for ask in later)


def test_waits_grow_while_a_server_is_away_and_end_when_it_is_back(teacher: ShakyTeacher) -> None:
    teacher.faults = [Fault("drop")] * 6
    ask_all(teacher.url, 1, Patience(first_s=0.02, longest_s=0.1, give_up_s=30))
    gaps = [later.at - sooner.at for sooner, later in zip(teacher.asks, teacher.asks[1:], strict=False)]
    assert len(gaps) == 6 and gaps[0] >= 0.01 and gaps[1] >= 0.02 and all(gap >= 0.05 for gap in gaps[3:])


@pytest.mark.parametrize(
    ("status", "ends_with"),
    [
        (401, "Set the key: R1CHAT_TEACHER_KEY=... r1chat distill generate"),
        (403, "Set the key: R1CHAT_TEACHER_KEY=... r1chat distill generate"),
        (402, "Fill up the account there, then run: r1chat distill generate"),
        (404, "Name a model that it has (--teacher-model), then run: r1chat distill generate"),
    ],
)
def test_what_no_request_would_get_past_is_one_line_at_once(teacher: ShakyTeacher, status: int, ends_with: str) -> None:
    teacher.faults = [Fault(status=status, message="no")]
    (error,) = ask_all(teacher.url, 1)
    assert isinstance(error, DistillError) and str(error).endswith(ends_with) and f"({status}: no)" in str(error)
    assert len(teacher.asks) == 1


def test_a_prompt_that_is_refused_costs_no_other(run: Run, teacher: ShakyTeacher) -> None:
    too_long = Fault(status=400, message="the prompt has 9000 tokens")
    teacher.fault_of = lambda body: too_long if "What is 3 +" in body["messages"][0]["content"] else None
    summary = run.generate(problems=run.problems(6), k=2, teacher=teacher.url, concurrency=1)
    assert (summary["traces"], summary["unanswered"]) == (10, 2)
    assert run.said == ["2 of 12 requests got no reply; the first: the prompt has 9000 tokens"]
    assert run.generate(problems=run.problems(6), k=2, teacher=teacher.url)["asked"] == 2, "next time they are tried"


def test_what_failed_in_passing_is_told_with_the_command_that_asks_again(
    run: Run, teacher: ShakyTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "Patience", lambda: replace(QUICK, give_up_s=60))
    wanted: dict[str, Any] = {"problems": run.problems(20), "k": 1, "teacher": teacher.url}
    teacher.fault_of = lambda body: Fault() if "What is 3 +" in body["messages"][0]["content"] else None
    assert run.generate(**wanted, concurrency=4)["unanswered"] == 1
    (said,) = run.said
    assert said.endswith(f"r1chat distill generate --run-dir {run.root} --concurrency 2")
    teacher.fault_of = lambda body: None
    assert run.generate(**wanted, concurrency=2)["asked"] == 1


@pytest.mark.parametrize("count", [2, 40])
def test_when_all_prompts_are_refused_the_server_is_quoted(run: Run, teacher: ShakyTeacher, count: int) -> None:
    teacher.fault_of = lambda body: Fault(status=400, message="max_tokens is too large")
    with pytest.raises(DistillError, match=r"max_tokens is too large.*run: r1chat distill generate --run-dir"):
        run.generate(problems=run.problems(count), k=1, teacher=teacher.url)
    assert len(teacher.asks) <= 8 + 16 and run.traces() == []


def test_a_server_that_knows_no_seeds_is_asked_without(run: Run, teacher: ShakyTeacher) -> None:
    unknown = Fault(status=400, message="Unrecognized request argument supplied: seed")
    teacher.fault_of = lambda body: unknown if "seed" in body else None
    assert run.generate(problems=run.problems(30), k=1, teacher=teacher.url, concurrency=4)["traces"] == 30
    assert sum("seed" in ask.body for ask in teacher.asks) <= 4


def test_one_request_that_always_breaks_the_server_is_given_up(teacher: ShakyTeacher) -> None:
    teacher.fault_of = lambda body: Fault() if body["messages"][0]["content"] == "p0" else None
    first, *others = ask_all(teacher.url, 4, replace(QUICK, give_up_s=60))
    assert isinstance(first, NotAnsweredError) and all(isinstance(reply, Completion) for reply in others)


def test_a_teacher_that_stays_away_ends_the_run_with_the_command_that_goes_on(teacher: ShakyTeacher) -> None:
    teacher.fault_of = lambda body: Fault("drop")
    began = time.monotonic()
    errors = ask_all(teacher.url, 3)
    assert any(
        isinstance(error, DistillError) and str(error).endswith("is kept; go on with: r1chat distill generate")
        for error in errors
    )
    assert time.monotonic() - began < 60


def test_a_wait_longer_than_patience_is_not_waited_for(teacher: ShakyTeacher) -> None:
    teacher.faults = [Fault(status=429, message="the day's quota is used up", retry_after="3600")]
    (error,) = ask_all(teacher.url, 1)
    assert isinstance(error, DistillError) and "3600 s more (the day's quota is used up)" in str(error)


def test_what_a_lost_teacher_wrote_is_kept(run: Run, teacher: ShakyTeacher) -> None:
    teacher.fault_of = lambda body: Fault(status=401) if len(teacher.answered) >= 6 else None
    with pytest.raises(DistillError, match="Set the key"):
        run.generate(problems=run.problems(40), k=1, teacher=teacher.url, concurrency=2)
    kept = len(run.traces())
    assert kept >= 5, "but for what came in the same moment"
    teacher.fault_of = lambda body: None
    summary = run.generate(problems=run.problems(40), k=1, teacher=teacher.url)
    assert (summary["reused"], summary["traces"]) == (kept, 40)
