"""The supervised child on real processes: crashes, hangs, slow readers, shutdown. No weights needed."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_tools import finish_of, request, scripted_config, scripted_engine, text_of

from r1chat.serve.engine import link, supervisor
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.messages import encode
from r1chat.serve.engine.process import BackOff, EngineProcess
from r1chat.serve.engine.request import Channel, Event, Finished, FinishReason, GenerateRequest, Segment
from r1chat.serve.engine.worker import Worker
from r1chat.serve.engine.worker import main as worker_main
from r1chat.serve.errors import (
    ContextLengthError,
    EngineStoppedError,
    InvalidRequestError,
    ModelLoadError,
    NonFiniteLogitsError,
    NotEnoughMemoryError,
    QueueFullError,
)

pytestmark = pytest.mark.anyio

LONG = "word\n</think>" + " ".join(f"word{n}" for n in range(3000))  # what repeats is drafted and over soon
ANSWER = "The answer is \\boxed{9}."


@asynccontextmanager
async def engine(
    config: EngineConfig | None = None, back_off: BackOff | None = None, **args: Any
) -> AsyncIterator[EngineProcess]:
    process = EngineProcess(config or scripted_config(**args), back_off)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


async def collect(process: EngineProcess, each: GenerateRequest) -> list[Event]:
    return [event async for event in process.generate(each)]


async def eventually(true: Any, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def streaming(process: EngineProcess, n: int) -> list[asyncio.Task[list[Event]]]:
    """`n` requests that are well under way."""
    tasks = [asyncio.create_task(collect(process, request(f"stream {i}"))) for i in range(n)]
    await eventually(lambda: process.stats()["running"] == n)
    return tasks


def long_ago(process: EngineProcess) -> None:
    """As if all that has been heard of the child and asked of it had been minutes ago."""
    assert process._child.link is not None
    process._child.link.last_reply_at -= 600
    process._busy_since -= 600


async def test_the_engine_answers_and_stops() -> None:
    async with engine() as process:
        assert process.stats()["state"] == "ready"
        assert process.info is not None and process.info.architecture == "scripted"
        assert text_of(await collect(process, request("r")), Channel.CONTENT) == ANSWER
        pid = process.pid
        assert pid is not None
    assert process.state == "stopped"
    assert process.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(EngineStoppedError):
        await collect(process, request("late"))


async def test_sixteen_requests_at_once_each_end_once() -> None:
    async with engine() as process:
        results = await asyncio.gather(*(collect(process, request(f"r{i}")) for i in range(16)))
        assert {text_of(events, Channel.CONTENT) for events in results} == {ANSWER}
        assert all(finish_of(events).reason is FinishReason.STOP for events in results)


async def test_kill_9_during_four_streams_fails_each_and_the_next_request_works() -> None:
    parent = os.getpid()
    async with engine(tokens_per_s=20, script=LONG, scripts={"again": "fine</think>yes"}) as process:
        tasks = await streaming(process, 4)
        old_pid = process.pid
        assert old_pid is not None
        os.kill(old_pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [EngineStoppedError] * 4
        assert text_of(await collect(process, request("next", "again")), Channel.CONTENT) == "yes"
        assert process.pid != old_pid
        assert process.restarts == 1
        assert os.getpid() == parent


async def test_a_crash_in_the_forward_pass_is_survived() -> None:
    async with engine() as process:
        with pytest.raises(EngineStoppedError, match="signal 6"):
            await collect(process, request("bad", "please CRASH now"))
        assert finish_of(await collect(process, request("good")))


async def test_a_hanging_child_is_killed_and_replaced() -> None:
    config = replace(scripted_config(), hang_floor_s=4)
    async with engine(config) as process:
        old_pid = process.pid
        await collect(process, request("first"))
        bad = asyncio.create_task(collect(process, request("bad", "please HANG now")))
        await eventually(lambda: process.stats()["waiting"] == 1)  # its last word before the step that hangs
        long_ago(process)
        # questions are answered beside the engine's steps, and are no sign of life of them
        await process.tokenize((Segment("word", special=False),))
        with pytest.raises(EngineStoppedError, match="it finished no step for"):
            async with asyncio.timeout(30):
                await bad
        assert finish_of(await collect(process, request("good")))
        assert process.pid != old_pid


async def test_an_idle_child_is_not_taken_for_a_hanging_one(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    config = replace(scripted_config(text_gate=str(gate), scripts={"LONGTEXT": "a</think>b"}), hang_floor_s=4)
    async with engine(config) as process:
        await collect(process, request("a"))
        long_ago(process)
        await asyncio.sleep(0.7)  # it is looked at every half second
        asked = asyncio.create_task(collect(process, request("b", "LONGTEXT")))
        await asyncio.sleep(0.7)
        gate.touch()
        assert finish_of(await asked)
        assert process.restarts == 0


async def test_a_child_that_stood_still_with_its_parent_is_not_taken_for_a_hanging_one() -> None:
    config = replace(scripted_config(tokens_per_s=50, script="a b c </think>" + "yes " * 60), hang_floor_s=1)
    async with engine(config) as process:
        (stream,) = await streaming(process, 1)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(3)
        os.kill(process.pid, signal.SIGCONT)
        assert finish_of(await stream)
        assert process.restarts == 0


async def test_a_disk_that_is_gone_for_a_while_ends_no_supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: Path | None) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    async with engine(scripted_config(), BackOff(first_s=0.01, limit=100)) as process:
        assert process.pid is not None
        with monkeypatch.context() as patched:
            patched.setattr(supervisor, "ModelFile", gone)
            os.kill(process.pid, signal.SIGKILL)
            await eventually(lambda: process.restarts > 0)
            await asyncio.sleep(0.1)
        assert finish_of(await collect(process, request("good")))


async def test_requests_made_during_a_restart_wait_for_it() -> None:
    async with engine(load_s=0.5) as process:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await eventually(lambda: process.state == "restarting")
        assert finish_of(await collect(process, request("r")))


@pytest.mark.slow
async def test_repeated_crashes_open_the_breaker_for_a_while() -> None:
    back_off = BackOff(first_s=0.01, limit=3, broken_s=1.5)
    async with engine(back_off=back_off) as process:
        for i in range(3):
            with pytest.raises(EngineStoppedError):
                await collect(process, request(f"bad {i}", "CRASH"))
        assert process.stats()["state"] == "broken"
        with pytest.raises(EngineStoppedError):
            await collect(process, request("refused"))
        assert process.stats()["state"] == "broken", "at once"
        await eventually(lambda: process.state == "ready")
        assert finish_of(await collect(process, request("r")))


async def test_loads_that_fail_one_after_the_other_break_it_however_long_each_takes() -> None:
    config = scripted_config()
    args = config.runner_args
    # no two ends lie within so short a window
    async with engine(config, BackOff(first_s=0.01, limit=2, window_s=0.0)) as process:
        args["load_error"] = "The disk is away."
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await eventually(lambda: process.state == "broken")
        with pytest.raises(EngineStoppedError, match="The disk is away"):
            await collect(process, request("told"))


async def test_a_child_that_cannot_be_heard_is_ended_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with engine(scripted_config(), BackOff(first_s=0.01)) as process:
        assert process.pid is not None
        refused: list[str] = []

        class Refusing(threading.Thread):
            def start(self) -> None:
                if not refused and self.name == "engine-_deliver":
                    refused.append(self.name)
                    raise RuntimeError("can't start new thread")
                super().start()

        monkeypatch.setattr(link, "Thread", Refusing)
        os.kill(process.pid, signal.SIGKILL)
        await eventually(lambda: bool(refused) and process.state == "ready")
        assert finish_of(await collect(process, request("r")))


@pytest.mark.slow
async def test_a_load_that_failed_once_is_not_blamed_for_what_crashes_after_the_next() -> None:
    config = scripted_config()
    args = config.runner_args
    async with engine(config, BackOff(first_s=0.01, limit=3, broken_s=1.5)) as process:
        args["load_error"] = "The disk was away."
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await eventually(lambda: process.state == "broken")
        with pytest.raises(EngineStoppedError, match="The disk was away"):
            await collect(process, request("told"))
        del args["load_error"]
        await eventually(lambda: process.state == "ready")
        for i in range(3):
            with pytest.raises(EngineStoppedError):
                await collect(process, request(f"bad {i}", "CRASH"))
        assert process.state == "broken"
        with pytest.raises(EngineStoppedError) as caught:
            await collect(process, request("refused"))
        assert "disk" not in str(caught.value)


async def test_closing_the_generator_frees_the_sequence() -> None:
    async with engine(tokens_per_s=20, script=LONG) as process:
        async with aclosing(process.generate(request("r"))) as events:
            async for _ in events:
                if process.stats()["sequences"]:
                    break
        await eventually(lambda: process.stats()["sequences"] == 0)
        assert process.stats()["running"] == 0


async def test_cancelling_half_of_many_readers_leaves_no_sequence_occupied() -> None:
    async with engine(tokens_per_s=200, script=" ".join(f"word{n}" for n in range(600)) + "</think>done") as process:
        tasks = await streaming(process, 16)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
        assert all(isinstance(result, list) and finish_of(result) for result in results[1::2])
        await eventually(lambda: process.stats()["sequences"] == 0)


async def test_readers_that_leave_at_any_moment_leave_nothing_behind() -> None:
    rng = random.Random(1)

    async def leave_after(process: EngineProcess, name: str, n_events: int) -> None:
        async with aclosing(process.generate(request(name, f"question {name}"))) as events:
            for _ in range(n_events):
                if isinstance(await anext(events), Finished):
                    return

    async with engine(tokens_per_s=500, n_seq_max=4) as process:
        for turn in range(10):
            moments = [rng.randrange(24) for _ in range(20)]
            await asyncio.gather(*(leave_after(process, f"{turn}-{i}", n) for i, n in enumerate(moments)))
        await eventually(lambda: process.stats()["sequences"] == process.stats()["waiting"] == 0)
        assert process.restarts == 0


async def test_a_prompt_that_comes_once_for_each_choice_is_tokenised_once() -> None:
    here, _ = multiprocessing.Pipe()
    worker, (loaded, _) = Worker(scripted_config(), here), scripted_engine()
    read: list[str] = []
    loaded.tokenize = lambda prompt: read.append(prompt[0].text) or [1, 2]  # type: ignore[method-assign, func-returns-value]
    prompts = [(Segment(text, False),) for text in ("long", "long", "other", "long")]
    assert [worker._tokens(loaded, prompt) for prompt in prompts] == [[1, 2]] * 4
    assert read == ["long", "other", "long"]


async def test_a_prompt_that_takes_long_to_tokenise_holds_no_stream_up(tmp_path: Path) -> None:
    gate, scripts = tmp_path / "gate", {"LONGTEXT": "a</think>b"}
    async with engine(tokens_per_s=100, script=LONG, scripts=scripts, text_gate=str(gate)) as process:
        (stream,) = await streaming(process, 1)
        counted = 0

        async def count() -> None:
            nonlocal counted
            async for _ in process.generate(request("counted")):
                counted += 1

        counting = asyncio.create_task(count())
        await eventually(lambda: counted > 2)
        before = counted
        long = asyncio.create_task(collect(process, request("long", "LONGTEXT")))
        await eventually(lambda: counted - before > 30)
        assert not long.done()
        gate.touch()
        assert finish_of(await long)
        for task in (stream, counting):
            task.cancel()
        await asyncio.gather(stream, counting, return_exceptions=True)


@pytest.mark.slow
async def test_a_slow_reader_holds_nobody_up_and_loses_nothing() -> None:
    script = " ".join(f"w{i}" for i in range(2000)) + "</think>done"
    async with engine(script=script, scripts={"quick": "a</think>b"}) as process:
        slow = process.generate(request("slow"))
        events = [await anext(slow)]
        await asyncio.gather(*(collect(process, request(f"fast {i}", "quick")) for i in range(8)))
        await eventually(lambda: process.stats()["running"] == 0)
        rest = [event async for event in slow]
        assert text_of([*events, *rest], Channel.REASONING) + "</think>done" == script
        assert len(rest) < 10, "what piled up comes joined"


async def test_too_many_waiting_requests_are_refused_at_once() -> None:
    config = replace(scripted_config(tokens_per_s=20, script=LONG), n_seq_max=2, max_waiting=3)
    async with engine(config) as process:
        tasks = [asyncio.create_task(collect(process, request(f"r{i}"))) for i in range(5)]
        await eventually(lambda: process.stats()["waiting"] == 3)
        with pytest.raises(QueueFullError):
            await collect(process, request("one too many"))
        tasks[0].cancel()
        await eventually(lambda: process.stats()["waiting"] == 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_errors_come_back_as_the_types_they_were() -> None:
    async with engine(n_ctx=64) as process:
        with pytest.raises(ContextLengthError) as caught:
            await collect(process, request("long", ("word " * 100).strip()))
        assert (caught.value.prompt_tokens, caught.value.n_ctx) == (105, 64)
        with pytest.raises(NonFiniteLogitsError):
            await collect(process, request("nan", "NAN"))
        with pytest.raises(InvalidRequestError):
            await collect(process, request("surrogate", "\ud800"))
        with pytest.raises(InvalidRequestError):
            await collect(process, request("none", max_tokens=0))
        assert finish_of(await collect(process, request("r")))
        assert process.restarts == 0


async def test_a_model_that_cannot_be_loaded_says_why_in_one_line() -> None:
    process = EngineProcess(scripted_config(load_error="The file is damaged."))
    with pytest.raises(ModelLoadError, match=r"^The file is damaged\.$"):
        await process.start()
    assert process.state == "stopped"
    assert process.pid is None


async def test_ctrl_c_does_not_end_a_child_that_has_just_been_born() -> None:
    """A terminal sends it to the whole group, also while the child still imports what it needs."""
    process = EngineProcess(scripted_config())
    start = asyncio.create_task(process.start())
    while process.pid is None:
        await asyncio.sleep(0)
    os.kill(process.pid, signal.SIGINT)
    await start
    await process.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_what_a_terminal_sends_to_the_whole_group_ends_no_stream(number: signal.Signals) -> None:
    """The parent has it, too, and decides what becomes of the reply."""
    async with engine(tokens_per_s=50, script="\n".join(f"word{n}" for n in range(60)) + "</think>yes") as process:
        (stream,) = await streaming(process, 1)
        assert process.pid is not None
        os.kill(process.pid, number)
        assert text_of(await stream, Channel.CONTENT) == "yes"
        assert process.restarts == 0


async def test_what_the_child_has_no_memory_for_is_told_with_both_numbers() -> None:
    process = EngineProcess(scripted_config(load_needs=1000))
    with pytest.raises(NotEnoughMemoryError) as caught:
        await process.start()
    assert (caught.value.needed, caught.value.available) == (1000, 500)


async def test_a_runner_that_does_not_exist_is_a_load_error() -> None:
    process = EngineProcess(EngineConfig(runner="no_such_module:Runner"))
    with pytest.raises(ModelLoadError, match="no_such_module"):
        await process.start()


async def test_loading_has_its_own_limit() -> None:
    process = EngineProcess(replace(scripted_config(load_s=60), load_timeout_s=0.5))
    with pytest.raises(ModelLoadError, match="longer than"):
        await process.start()
    assert process.pid is None


async def test_stop_ends_live_requests_with_an_error() -> None:
    async with engine(tokens_per_s=20, script=LONG) as process:
        tasks = await streaming(process, 3)
        await process.stop()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [EngineStoppedError] * 3


async def test_stop_ends_a_child_that_hangs() -> None:
    async with engine() as process:
        task = asyncio.create_task(collect(process, request("bad", "HANG")))
        await asyncio.sleep(0.3)
        began = time.monotonic()
        await process.stop()
        assert time.monotonic() - began < 30
        with pytest.raises(EngineStoppedError):
            await task


async def test_who_waits_for_a_child_that_cannot_be_killed_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that hangs in a driver."""
    monkeypatch.setattr(supervisor, "KILL_GRACE_S", 0.2)
    async with engine(replace(scripted_config(), hang_floor_s=4)) as process:
        task = asyncio.create_task(collect(process, request("bad", "HANG")))
        await eventually(lambda: process.stats()["waiting"] == 1)
        link, pid = process._child.link, process.pid
        assert link is not None and pid is not None
        monkeypatch.setattr(link, "kill", lambda: None)
        long_ago(process)
        async with asyncio.timeout(10):
            with pytest.raises(EngineStoppedError, match="it finished no step for"):
                await task
            assert process.state == "restarting"
            await process.stop()
        assert pid not in [child.pid for child in multiprocessing.active_children()], "at its exit Python awaits those"
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait({link.exited})


async def test_a_stop_that_is_given_up_kills_the_child_at_once() -> None:
    async with engine() as process:
        task = asyncio.create_task(collect(process, request("bad", "HANG")))
        await asyncio.sleep(0.3)
        link = process._child.link
        assert link is not None
        stopping = asyncio.create_task(process.stop())
        await asyncio.sleep(0.2)
        stopping.cancel()
        await asyncio.wait({link.exited}, timeout=30)
        assert link.exited.done()
        with pytest.raises(EngineStoppedError):
            await task


def test_the_child_ends_when_its_parent_is_gone() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=worker_main, args=(scripted_config(), theirs), daemon=True)
    child.start()
    theirs.close()
    ours.recv_bytes()
    ours.send_bytes(encode(request("r", "HANG")))
    time.sleep(0.2)
    ours.close()
    child.join(60)
    assert child.exitcode == 0, "even in the middle of a step that never ends"


async def test_control_reaches_a_running_thought_and_says_whether_it_did() -> None:
    async with engine(tokens_per_s=50, script=" ".join(f"w{i}" for i in range(400))) as process:
        events: list[Event] = []

        async def answered() -> None:
            events.extend([event async for event in process.generate(request("r"))])

        answering = asyncio.create_task(answered())
        await eventually(lambda: process.stats()["steps_total"] > 3)
        done = await asyncio.gather(*(process.control("r", "answer_now") for _ in range(3)))
        assert done == [True, False, False], "then there is no thought any more"
        await answering
        assert finish_of(events).reasoning_end == "user"
        assert not await process.control("r", "answer_now")


async def test_a_reply_that_nobody_reads_to_its_end_is_no_sign_of_a_hanging_child() -> None:
    async with engine(replace(scripted_config(), hang_floor_s=4)) as process:
        stalled = process.generate(request("stalled"))
        await anext(stalled)
        await eventually(lambda: process._live["stalled"].ended)
        long_ago(process)
        assert not process._is_awaited
        await asyncio.sleep(1)  # twice as long as the watch sleeps
        assert (process.restarts, process.state) == (0, "ready")
        assert not await process.control("stalled", "answer_now")
        await stalled.aclose()


async def test_control_says_no_when_the_child_dies_before_it_heard() -> None:
    async with engine(script="x HANG", tokens_per_s=50) as process:
        generating = asyncio.create_task(collect(process, request("r")))
        await eventually(lambda: process.stats()["steps_total"] == 2)  # the third one hangs
        await asyncio.sleep(0.2)
        asking = asyncio.create_task(process.control("r", "think_more"))
        await asyncio.sleep(0.1)
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        assert await asyncio.wait_for(asking, 60) is False
        with pytest.raises(EngineStoppedError):
            await generating


async def test_questions_about_the_vocabulary_are_answered_while_the_engine_works() -> None:
    async with engine(tokens_per_s=20, script=LONG) as process:
        (stream,) = await streaming(process, 1)
        answer = await process.tokenize((Segment("<｜User｜>", True), Segment("<｜User｜> two", False)))
        assert b"".join(answer.pieces).decode() == "<｜User｜><｜User｜> two"
        assert (await process.pieces(answer.tokens[:2])).pieces == answer.pieces[:2]
        assert not stream.done()
        for bad in (-1, 100_000, 2**31, 2**70):
            with pytest.raises(InvalidRequestError):
                await process.pieces((bad,))
        with pytest.raises(InvalidRequestError):
            await process.tokenize((Segment("half \ud83d a pair", False),))
        assert not stream.done()
        stream.cancel()


async def test_a_question_of_a_megabyte_holds_up_neither_streams_nor_requests(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with engine(tokens_per_s=100, text_gate=str(gate)) as process:
        asking = asyncio.create_task(process.tokenize((Segment("LONGTEXT", False),)))
        await asyncio.sleep(0)
        assert text_of(await collect(process, request("r")), Channel.CONTENT) == ANSWER
        assert not asking.done()
        gate.touch()
        assert (await asking).pieces == (b"LONGTEXT",)


async def test_a_question_fails_when_the_child_dies(tmp_path: Path) -> None:
    async with engine(text_gate=str(tmp_path / "gate")) as process:
        asking = asyncio.create_task(process.tokenize((Segment("LONGTEXT", False),)))
        await asyncio.sleep(0.1)
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(EngineStoppedError):
            await asking


async def test_beside_a_long_prompt_a_streams_tokens_come_ahead_of_their_moment() -> None:
    leads: list[float] = []
    async with engine(script=LONG, tokens_per_s=100, small_prefill_s=0.008, prefill_s=0.001) as process:
        reading = asyncio.create_task(collect(process, request("stream")))
        await eventually(lambda: "stream" in process._live)
        stream = process._live["stream"]
        put = stream.put

        def noted(event: Event, due: float = 0.0) -> None:
            leads.append(due - time.monotonic() if due else 0.0)
            put(event, due)

        stream.put = noted  # type: ignore[method-assign]
        await eventually(lambda: len(leads) > 5)
        await collect(process, request("long", "word " * 600, max_tokens=1))
        process.abort("stream")
        await reading
    assert max(leads) > 0
