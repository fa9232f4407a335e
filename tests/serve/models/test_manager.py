"""The manager with real child processes: who is loaded, who makes room, who waits, what a failure costs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from roster import BYTES_EACH, Roster

from r1chat.serve.engine.process import EngineProcess
from r1chat.serve.engine.request import ModelInfo
from r1chat.serve.errors import (
    EngineStoppedError,
    ModelLoadError,
    ModelNotFoundError,
    ModelsBusyError,
    NotEnoughMemoryError,
    QueueFullError,
)
from r1chat.serve.models.residents.manager import FOREVER, ModelManager, ModelSpec

pytestmark = pytest.mark.anyio

THREE: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "c": {}}


@asynccontextmanager
async def running(roster: Roster, **limits: Any) -> AsyncIterator[ModelManager]:
    manager = roster.manager(**{"memory_bytes": 2 * BYTES_EACH, **limits})
    try:
        await manager.start()
        yield manager
    finally:
        await manager.stop()


async def touch(manager: ModelManager, name: str | None) -> None:
    manager.release(await manager.acquire(name))


def loaded(manager: ModelManager) -> set[str]:
    return {resident.spec.id for resident in manager.residents if resident.state == "loaded"}


async def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it does not come to that"
        await asyncio.sleep(0.01)


async def test_the_least_recently_used_model_makes_room() -> None:
    async with running(Roster(THREE)) as manager:
        await touch(manager, "b")
        assert loaded(manager) == {"a", "b"}
        await touch(manager, "a")
        await touch(manager, "c")
        assert loaded(manager) == {"a", "c"}
        await touch(manager, "b")
        assert loaded(manager) == {"b", "c"}
        await touch(manager, None)
        assert loaded(manager) == {"a", "b"}


async def test_a_model_that_is_held_stays_and_whoever_needs_its_room_waits_for_it() -> None:
    async with running(Roster(THREE)) as manager:
        held = await manager.acquire("b"), await manager.acquire("a")
        wanted = asyncio.create_task(manager.acquire("c"))
        await asyncio.sleep(0.2)
        assert not wanted.done() and loaded(manager) == {"a", "b"}
        manager.release(held[0])
        manager.release(await wanted)
        assert loaded(manager) == {"a", "c"}
        manager.release(held[1])


async def test_nobody_is_evicted_for_a_model_that_still_would_not_fit() -> None:
    roster = Roster({**THREE, "big": {}})
    roster.specs["big"] = _needing(roster, "big", 2 * BYTES_EACH)
    async with running(roster, patience_s=0.3) as manager:
        held = await manager.acquire("b")
        with pytest.raises(ModelsBusyError, match=r"no room for big .*\(a, b\)"):
            await manager.acquire("big")
        assert loaded(manager) == {"a", "b"}
        manager.release(held)
        await touch(manager, "big")
        assert loaded(manager) == {"big"}


async def test_a_model_larger_than_all_that_models_may_take_is_refused_with_numbers() -> None:
    roster = Roster(THREE)
    roster.specs["b"] = _needing(roster, "b", 9_000_000_000)
    async with running(roster, memory_bytes=5_000_000_000) as manager:
        with pytest.raises(NotEnoughMemoryError, match=r"b needs 9.0 GB, and models may take 5.0 GB .* --memory 9G"):
            await manager.acquire("b")
        assert loaded(manager) == {"a"}


async def test_a_model_that_does_not_fit_into_what_is_free_now_is_refused_rather_than_killed() -> None:
    roster = Roster(THREE)
    roster.specs["b"] = _needing(roster, "b", 1 << 50)
    async with running(roster, memory_bytes=None) as manager:
        with pytest.raises(NotEnoughMemoryError, match=r"would be free now\. Choose .* r1chat list"):
            await manager.acquire("b")
        assert loaded(manager) == {"a"}, "nobody left for nothing"


async def test_no_more_models_than_allowed() -> None:
    async with running(Roster(THREE), memory_bytes=10 * BYTES_EACH, max_models=1) as manager:
        await touch(manager, "b")
        assert loaded(manager) == {"b"}


async def test_many_who_want_a_model_have_it_loaded_once() -> None:
    roster = Roster({"a": {}, "b": {"load_s": 0.3}})
    async with running(roster) as manager:
        holders = await asyncio.gather(*(manager.acquire("b") for _ in range(8)))
        assert len({id(one) for one in holders}) == 1 and holders[0].n_leases == 8
        assert manager.stats()["model_loads"] == 2
        for one in holders:
            manager.release(one)


async def test_those_who_wait_for_a_model_are_bounded_in_number(tmp_path: Path) -> None:
    gate = tmp_path / "loaded"
    roster = Roster({"a": {}, "b": {"load_gate": str(gate)}})
    roster.specs["b"] = _with_config(roster, "b", n_seq_max=1, max_waiting=2)
    async with running(roster) as manager:
        waiting = [asyncio.create_task(manager.acquire("b")) for _ in range(3)]
        await eventually(lambda: any(one.n_leases == 3 for one in manager.residents))
        with pytest.raises(QueueFullError):
            await manager.acquire("b")
        gate.touch()
        for one in await asyncio.gather(*waiting):
            manager.release(one)


async def test_an_idle_model_leaves_after_its_time_and_the_default_one_never() -> None:
    async with running(Roster(THREE)) as manager:
        assert manager.default.keep_alive_s == FOREVER
        b = await manager.load("b", 3600)
        assert b.expiry is not None
        first = b.expiry.when()
        await touch(manager, "b")
        assert b.expiry.when() > first, "the time counts from the last request"
        assert loaded(manager) == {"a", "b"}
        await manager.load("b", 0.05)
        await eventually(lambda: loaded(manager) == {"a"})


async def test_a_time_for_all_holds_for_the_default_model_too_and_it_comes_back() -> None:
    async with running(Roster(THREE), keep_alive_s=0.05) as manager:
        await eventually(lambda: not loaded(manager))
        assert manager.status == "ready", "away, and there when it is wanted"
        held = await manager.acquire(None)
        await asyncio.sleep(0.2)
        assert loaded(manager) == {"a"}, "not while somebody holds it"
        manager.release(held)
        await eventually(lambda: not loaded(manager))


async def test_a_model_loaded_for_one_reply_leaves_after_it() -> None:
    async with running(Roster(THREE)) as manager:
        await manager.load("b", 0)
        await asyncio.sleep(0.1)
        assert loaded(manager) == {"a", "b"}
        await touch(manager, "b")
        await eventually(lambda: loaded(manager) == {"a"})


async def test_a_failed_load_is_told_and_hurts_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[EngineProcess] = []
    start = EngineProcess.start

    async def counted(engine: EngineProcess) -> ModelInfo:
        started.append(engine)
        return await start(engine)

    monkeypatch.setattr(EngineProcess, "start", counted)
    roster = Roster({"a": {}, "bad": {"load_error": "The file is damaged."}})
    async with running(roster) as manager:
        for _ in range(20):
            with pytest.raises(ModelLoadError, match="damaged"):
                await manager.acquire("bad")
        assert len(started) == 2, "not a child for each of them"
        assert str(manager.failure("bad")) == "The file is damaged."
        assert loaded(manager) == {"a"} and len(manager.residents) == 1 and manager.n_bytes == BYTES_EACH
        roster.specs["bad"] = _with_config(roster, "bad", runner_args={})
        await manager.load("bad")  # who asks for it by name need not wait
        assert manager.failure("bad") is None and loaded(manager) == {"a", "bad"}


async def test_what_cannot_even_be_planned_counts_as_failed() -> None:
    roster = Roster(THREE)

    def find(name: str) -> None:
        raise ModelLoadError(f"{name} is no model at all")

    manager = ModelManager(roster.specs["a"], find)
    with pytest.raises(ModelLoadError, match="x is no model"):
        await manager.acquire("x")
    assert str(manager.failure("x")) == "x is no model at all"


async def test_a_crashed_child_leaves_the_others_alone() -> None:
    async with running(Roster(THREE)) as manager:
        first, second = await manager.acquire("a"), await manager.acquire("b")
        pids = first.engine.pid, second.engine.pid
        assert pids[1] is not None
        os.kill(pids[1], signal.SIGKILL)
        await eventually(lambda: second.engine.restarts == 1 and second.engine.state == "ready")
        assert first.engine.pid == pids[0] and first.engine.restarts == 0
        assert manager.stats()["restarts"] == 1


@pytest.mark.slow
async def test_a_model_whose_child_dies_again_and_again_is_started_anew_when_somebody_asks_for_that() -> None:
    async with running(Roster(THREE)) as manager:
        await touch(manager, "b")
        (broken,) = [resident for resident in manager.residents if resident.spec.id == "b"]
        while broken.engine.state != "broken":
            if broken.engine.pid and broken.engine.state == "ready":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(broken.engine.pid, signal.SIGKILL)
            await asyncio.sleep(0.05)
        resident = await manager.load("b")
        assert resident.engine.state == "ready" and loaded(manager) == {"a", "b"}


async def test_what_ends_amid_comings_and_goings_leaves_no_child() -> None:
    roster = Roster({"a": {}, "b": {}, "c": {"load_s": 30}})
    async with running(roster, memory_bytes=9 * BYTES_EACH) as manager:
        await touch(manager, "b")
        pids = [resident.engine.pid for resident in manager.residents]
        waiting = asyncio.create_task(manager.acquire("c"))
        await asyncio.sleep(0.1)
        leaving = asyncio.create_task(manager.unload("b"))
        await asyncio.sleep(0)
        pids += [resident.engine.pid for resident in manager.residents]
        await manager.stop()
        await asyncio.gather(waiting, leaving, return_exceptions=True)
        assert not [pid for pid in pids if pid and Path(f"/proc/{pid}").exists()]
        assert [one.spec.id for one in manager.residents] == ["a"] and manager.n_bytes == 0


async def test_a_name_that_just_failed_leaves_nothing_behind() -> None:
    async with running(Roster({"a": {}, "bad": {"load_error": "The file is damaged."}})) as manager:
        for _ in range(2):
            with pytest.raises(ModelLoadError):
                await manager.acquire("bad")
        assert [one.spec.id for one in manager.residents] == ["a"]


async def test_a_load_that_nobody_waits_for_any_more_makes_room() -> None:
    roster = Roster({"a": {}, "b": {"load_s": 30}, "c": {}})
    async with running(roster, max_models=1) as manager:
        asker = asyncio.create_task(manager.acquire("b"))
        await eventually(lambda: any(one.spec.id == "b" and one.engine.pid for one in manager.residents))
        asker.cancel()
        async with asyncio.timeout(20):
            await touch(manager, "c")
        assert loaded(manager) == {"c"} and [one.spec.id for one in manager.residents] == ["a", "c"]
        asker = asyncio.create_task(manager.acquire("b"))
        await eventually(lambda: any(one.spec.id == "b" and one.engine.pid for one in manager.residents))
        asker.cancel()
        async with asyncio.timeout(20):
            await manager.unload("b")


async def test_a_load_that_waits_for_room_and_nobody_for_it_sends_no_other_model_away() -> None:
    async with running(Roster({"a": {}, "b": {}}), max_models=1) as manager:
        held = await manager.acquire("a")
        asker = asyncio.create_task(manager.acquire("b"))
        await eventually(lambda: any(one.state == "loading" for one in manager.residents))
        asker.cancel()
        await asyncio.wait({asker})
        manager.release(held)
        await eventually(lambda: [one.spec.id for one in manager.residents] == ["a"])
        assert loaded(manager) == {"a"}
        await touch(manager, "b")


async def test_unload_waits_for_those_who_hold_the_model() -> None:
    async with running(Roster(THREE), patience_s=0.3) as manager:
        held = await manager.acquire("b")
        with pytest.raises(ModelsBusyError, match="b is in use"):
            await manager.unload("b")
        asyncio.get_running_loop().call_soon(manager.release, held)
        assert await manager.unload("b") == "b"
        assert loaded(manager) == {"a"}
        assert await manager.unload("b") == "b", "it is as was asked"
        with pytest.raises(ModelNotFoundError):
            await manager.unload("nobody")


async def test_a_model_wanted_while_it_leaves_is_loaded_anew() -> None:
    async with running(Roster(THREE)) as manager:
        await touch(manager, "b")
        leaving = asyncio.create_task(manager.unload("b"))
        await asyncio.sleep(0)
        held = await manager.acquire("b")
        await leaving
        assert held.state == "loaded" and held.engine.state == "ready"
        manager.release(held)


async def test_the_end_reaches_those_who_wait_for_a_model() -> None:
    async with running(Roster({"a": {}, "b": {"load_s": 30}})) as manager:
        waiting = asyncio.create_task(manager.acquire("b"))
        await asyncio.sleep(0.2)
        await manager.stop()
        with pytest.raises(EngineStoppedError):
            await waiting
        with pytest.raises(EngineStoppedError):
            await manager.acquire("a")


async def test_the_end_does_not_wait_for_a_load_that_has_only_just_been_asked_for() -> None:
    manager = Roster({"a": {"load_s": 30}}).manager()
    acquiring, stopping = asyncio.create_task(manager.acquire(None)), asyncio.create_task(manager.stop())
    async with asyncio.timeout(10):
        await stopping
        with pytest.raises(EngineStoppedError):
            await acquiring
    assert manager.default.engine.pid is None


async def test_an_alias_is_the_same_model_and_is_looked_up_once() -> None:
    roster = Roster(THREE)
    roster.aliases["bee"] = "b"
    async with running(roster) as manager:
        await touch(manager, "bee")
        await touch(manager, "b")
        await touch(manager, "bee")
        assert roster.asked == ["bee"] and loaded(manager) == {"a", "b"}


@pytest.mark.parametrize("name", ["", "x" * 513, "a\0b", "a\nb", "\ud800"])
async def test_what_can_be_no_name_is_not_looked_for(name: str) -> None:
    roster = Roster(THREE)
    with pytest.raises(ModelNotFoundError):
        await roster.manager().acquire(name)
    assert roster.asked == []


def _needing(roster: Roster, name: str, n_bytes: int) -> ModelSpec:
    return replace(roster.specs[name], n_bytes=n_bytes)


def _with_config(roster: Roster, name: str, **fields: Any) -> ModelSpec:
    return replace(roster.specs[name], config=replace(roster.specs[name].config, **fields))


async def test_a_model_whose_asker_left_while_it_loaded_leaves_after_its_time() -> None:
    slow = Roster({"a": {}, "b": {"load_s": 0.5}})
    async with running(slow, keep_alive_s=0.05) as manager:
        asker = asyncio.create_task(manager.acquire("b"))
        await eventually(lambda: any(one.spec.id == "b" and one.state == "loading" for one in manager.residents))
        asker.cancel()
        await eventually(lambda: manager.books.n_loads == 2)
        await eventually(lambda: "b" not in loaded(manager))
