"""Rounds: servers by turns, what fails is noted, what is interrupted is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from r1chat.app.bench import rounds
from r1chat.app.bench.load import Target
from r1chat.app.bench.own_server import OwnServer
from r1chat.app.bench.rounds import Outcome, chosen, run_rounds
from r1chat.app.bench.scenario import Scenario, Trial, Unmeasurable, Values
from r1chat.app.errors import UsageError
from r1chat.serve.client import Client

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_PAUSE_S", 0.0)


class IdleServer(OwnServer):
    """Nothing runs, so there is nothing to wait for."""

    async def settle(self) -> None:
        pass


@asynccontextmanager
async def servers(*only: frozenset[str]) -> AsyncIterator[tuple[OwnServer, list[Target]]]:
    """Ours and as many peers as `only` is given for; nobody listens there."""
    async with Client("http://127.0.0.1:9") as client:
        peers = [Target(f"peer-{i}", client, {}, names) for i, names in enumerate(only)]
        yield IdleServer(Target("ours", client, {}), 0), peers


async def one(trial: Trial) -> Values:
    return {"value": 1.0}


def scenario(name: str, **fields: object) -> Scenario:
    return Scenario(name, "", {"value": ""}, **{"measure": one, **fields})  # type: ignore[arg-type]


async def outcomes_of(scenarios: list[Scenario], *only: frozenset[str], n: int = 2) -> list[Outcome]:
    outcomes: list[Outcome] = []
    async with servers(*only) as (own, peers):
        await run_rounds(scenarios, own, peers, model=Path("m"), seed=1, rounds=n, outcomes=outcomes)
    return outcomes


async def test_servers_take_turns_at_going_first() -> None:
    outcomes = await outcomes_of([scenario("a")], frozenset())
    assert [(o.round, o.target) for o in outcomes] == [(0, "ours"), (0, "peer-0"), (1, "peer-0"), (1, "ours")]


async def test_what_slows_a_server_down_comes_after_the_rest_and_counts_come_once() -> None:
    outcomes = await outcomes_of([scenario("counts", once=True), scenario("slows", disturbs=True), scenario("plain")])
    assert [o.scenario for o in outcomes] == ["plain", "plain", "slows", "slows", "counts"]


async def test_peer_takes_part_where_it_was_named_and_never_in_what_is_ours_alone() -> None:
    scenarios = [scenario("streams-2"), scenario("short"), scenario("shared", own_only=True)]
    outcomes = await outcomes_of(scenarios, frozenset({"streams"}), frozenset(), n=1)
    assert [o.scenario for o in outcomes if o.target == "peer-0"] == ["streams-2"]
    assert [o.scenario for o in outcomes if o.target == "peer-1"] == ["streams-2", "short"]


async def test_scenario_that_fails_is_noted_and_the_rest_goes_on() -> None:
    async def fails(trial: Trial) -> Values:
        async with asyncio.TaskGroup() as group:
            group.create_task(refuse())

        return {}

    async def refuse() -> None:
        raise Unmeasurable("no answer")

    bad, good = await outcomes_of([scenario("bad", measure=fails), scenario("good")], n=1)
    assert (bad.values, bad.error) == ({}, "Unmeasurable: no answer")
    assert (good.values, good.error) == ({"value": 1.0}, "")


async def test_interrupted_run_keeps_what_it_has() -> None:
    async def waits(trial: Trial) -> Values:
        await asyncio.sleep(3600)
        return {}

    outcomes: list[Outcome] = []
    async with servers() as (own, _):
        work = [scenario("done"), scenario("stuck", measure=waits)]
        task = asyncio.create_task(run_rounds(work, own, [], model=Path("m"), seed=1, rounds=1, outcomes=outcomes))
        while not outcomes:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [o.scenario for o in outcomes] == ["done"]


async def test_prompts_differ_by_round_and_are_the_same_for_every_server() -> None:
    seen: list[tuple[int, str]] = []

    async def notes(trial: Trial) -> Values:
        seen.append((trial.round, trial.words(30, "x")))
        return {"value": 1.0}

    await outcomes_of([scenario("a", measure=notes)], frozenset())
    assert len(set(seen)) == 2
    assert len({prompt for _, prompt in seen}) == 2


async def test_scenarios_are_chosen_by_name_or_first_word_and_the_soak_only_by_name() -> None:
    assert [s.name for s in chosen(["streams", "single"])] == [
        "single", "streams-2", "streams-3", "streams-4", "streams-8", "streams-16",
    ]  # fmt: skip
    assert "soak" not in [s.name for s in chosen([])]
    assert [s.name for s in chosen(["soak"])] == ["soak"]
    with pytest.raises(UsageError, match=r"'sing'.*single"):
        chosen(["sing"])
