"""A long prompt beside running streams: they run ahead of their readers, who get their tokens at an even pace."""

from __future__ import annotations

import random
from itertools import pairwise

import msgspec
import pytest
from engine_tools import request, scripted_config
from scripted_runner import ScriptedRunner

from r1chat.serve.engine import engine as engine_module
from r1chat.serve.engine import executor, row_table
from r1chat.serve.engine import scheduler as scheduler_module
from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.pacer import Pacer
from r1chat.serve.engine.request import Event, Finished, Priority, TokenOutput
from r1chat.serve.engine.row_costs import RowCosts
from r1chat.serve.engine.scheduler import MOST_AHEAD
from r1chat.serve.engine.step_sizes import PACE, StepSizes
from r1chat.serve.engine.trend import Trend

STEP_S, SMALL_S, LARGE_S = 0.01, 0.006, 0.0025
MANY = " ".join(f"word{n}" for n in range(3000))
SCRIPT = f"word\n</think>{MANY}"
WORDS = " ".join(["word"] * 600)


class SteepRunner(ScriptedRunner):
    """Prompts are dear in steps of fewer rows than a piece, where each `group` of rows costs what one does; `now` is
    the sum of its steps.
    """

    def __init__(self, group: int = 1, script: str = SCRIPT) -> None:
        self.now = 100.0
        self.n_large = 0
        self.group = group
        super().__init__(scripted_config(script=script))

    def forward(self, batch: Batch) -> None:
        super().forward(batch)
        self.n_large += batch.n_rows >= self.piece_rows
        self.now += self._seconds(batch.n_rows + batch.n_idle)

    def time_rows(self, n_rows: int, n_outputs: int) -> float:
        self.now += self._seconds(n_rows)
        return self._seconds(n_rows)

    def _seconds(self, n_rows: int) -> float:
        return STEP_S + (n_rows - 1) // self.group * (LARGE_S if n_rows >= self.piece_rows else SMALL_S)


@pytest.fixture
def runner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SteepRunner:
    runner = SteepRunner(**getattr(request, "param", {}))
    for module in (engine_module, scheduler_module):
        monkeypatch.setattr(module, "monotonic", lambda: runner.now)
    for module in (row_table, executor):
        monkeypatch.setattr(module, "perf_counter", lambda: runner.now)
    return runner


def given(engine: Engine, runner: SteepRunner, request_id: str, n_steps: int) -> list[float]:
    """When the reader gets what so many steps bring to the request."""
    moments: list[float] = []
    for _ in range(n_steps):
        events = engine.step()
        if any(isinstance(event, TokenOutput) and event.request_id == request_id for event in events):
            moments.append(engine.dues.get(request_id, runner.now))
            if request_id not in engine.dues:
                # all that was held back goes out with it
                moments = [min(moment, runner.now) for moment in moments]
    return moments


def running_ahead(runner: SteepRunner) -> Engine:
    """A stream is ahead of its reader, and beside it a long prompt waits for a large step."""
    engine = Engine(runner)
    engine.add_request(request("stream"))
    given(engine, runner, "stream", 5)
    engine.add_request(request("long", WORDS))
    given(engine, runner, "stream", 4)
    assert engine.dues["stream"] > runner.now
    return engine


def longest_gap(moments: list[float]) -> float:
    return max(after - before for before, after in pairwise(moments))


def test_a_stream_keeps_an_even_pace_while_a_prompt_takes_large_steps(runner: SteepRunner) -> None:
    engine = Engine(runner)
    engine.add_request(request("stream"))
    given(engine, runner, "stream", 6)
    assert longest_gap(given(engine, runner, "stream", 20)) == pytest.approx(STEP_S), "alone, each token at once"
    engine.add_request(request("long", WORDS, max_tokens=1))
    began, moments = runner.now, []
    while any(sequence.request_id == "long" for sequence in [*engine._scheduler.waiting, *engine._scheduler.running]):
        moments += given(engine, runner, "stream", 1)
    assert runner.n_large >= 600 // 128
    assert longest_gap(moments) <= 1.05 * PACE * STEP_S < LARGE_S * 64
    assert runner.now - began < 0.8 * 600 * SMALL_S, "in small steps it would have taken more than all of that"


def test_once_nothing_holds_it_up_a_stream_gives_what_was_held_back(runner: SteepRunner) -> None:
    engine = running_ahead(runner)
    engine.abort("long")
    engine.step()
    assert engine.dues == {}


def test_a_request_may_end_while_its_reader_is_behind(runner: SteepRunner) -> None:
    engine = Engine(runner)
    engine.add_request(request("stream", max_tokens=12))
    given(engine, runner, "stream", 5)
    engine.add_request(request("long", WORDS))
    behind, ended = [0.0], False
    while not ended:
        ended = any(isinstance(event, Finished) for event in engine.step())
        behind.append(engine.dues.get("stream", runner.now) - runner.now)
    assert behind[-2] > PACE * STEP_S
    assert "stream" not in engine._live


@pytest.mark.parametrize("runner", [{"script": f"{MANY}\n</think>So."}], indirect=True)
def test_who_ends_a_thought_sees_what_comes_of_it_at_once(runner: SteepRunner) -> None:
    engine = running_ahead(runner)
    assert engine.control("stream", "answer_now")
    assert any(event.request_id == "stream" for event in engine.step())
    assert engine.dues == {}


@pytest.mark.parametrize("stall_s", [1.0, 20.0])
def test_a_stall_before_a_prompt_does_not_stretch_the_pace_beside_it(stall_s: float, runner: SteepRunner) -> None:
    engine = Engine(runner)
    engine.add_request(request("stream"))
    given(engine, runner, "stream", 20)
    runner.now += stall_s
    given(engine, runner, "stream", 2)
    engine.add_request(request("long", WORDS, max_tokens=1))
    moments = given(engine, runner, "stream", 60)
    assert longest_gap(moments) <= 1.6 * PACE * STEP_S


def test_the_newest_stream_counts_and_its_first_token_comes_at_once(runner: SteepRunner) -> None:
    engine = Engine(runner)
    engine.add_request(request("stream"))
    given(engine, runner, "stream", 5)
    engine.add_request(request("long", WORDS))
    while not runner.n_large:
        engine.step()
    engine.add_request(request("new", "short"))
    began = runner.now
    moments: list[float] = []
    while not moments:
        moments = given(engine, runner, "new", 1)
    assert runner.n_large == 1, "it did not wait for the next large step"
    assert moments[0] == runner.now < began + LARGE_S * 64
    moments += given(engine, runner, "new", 40)
    assert longest_gap(moments) <= 4.1 * (STEP_S + SMALL_S) < LARGE_S * 64, "shorter than the steps between"


@pytest.mark.parametrize("priority", [Priority.INTERACTIVE, Priority.BACKGROUND])
def test_a_prompt_gets_on_where_drawing_takes_the_time(
    priority: Priority, runner: SteepRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Engine._sample

    def slow(engine: Engine, done: Batch) -> list[Event]:
        runner.now += 5 * STEP_S
        return draw(engine, done)

    monkeypatch.setattr(Engine, "_sample", slow)
    engine = Engine(runner)
    engine.add_request(msgspec.structs.replace(request("stream"), priority=priority))
    given(engine, runner, "stream", 5)
    engine.add_request(msgspec.structs.replace(request("long", WORDS, max_tokens=1), priority=priority))
    began = runner.now
    for _ in range(2 * MOST_AHEAD):
        engine.step()
    assert "long" not in engine._live
    assert runner.n_large >= 600 // 128
    assert runner.now - began < 30


def test_a_prompt_gets_on_where_nobody_gets_ahead(runner: SteepRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pacer, "lead_s", lambda *_: 0.0)
    engine = Engine(runner)
    for priority in (Priority.INTERACTIVE, Priority.BACKGROUND):
        engine.add_request(msgspec.structs.replace(request(f"stream {priority}"), priority=priority))
        given(engine, runner, "stream", 5)
        long = request(f"long {priority}", WORDS, max_tokens=1)
        engine.add_request(msgspec.structs.replace(long, priority=priority))
        for _ in range(2 * MOST_AHEAD + 605):
            engine.step()
        assert long.request_id not in engine._live
        engine.abort(f"stream {priority}")


@pytest.mark.parametrize("runner", [{"group": 4}], indirect=True)
def test_background_work_that_rides_along_is_not_held_back(runner: SteepRunner) -> None:
    engine = Engine(runner)
    background = {"priority": Priority.BACKGROUND}
    engine.add_request(msgspec.structs.replace(request("title"), **background))
    given(engine, runner, "title", 5)
    engine.add_request(msgspec.structs.replace(request("long", WORDS), **background))
    given(engine, runner, "title", 4)
    assert "title" in engine.dues
    engine.add_request(request("chat"))
    given(engine, runner, "chat", 10)
    n_before = len(engine._live["title"].tokens)
    given(engine, runner, "chat", 20)
    assert engine.dues == {}
    assert len(engine._live["title"].tokens) > n_before, "it did ride along"


def test_a_reader_is_never_further_behind_than_the_step_to_bridge_asks() -> None:
    pacer = Pacer(pace_s=0.3, most_s=1.0)
    now = 50.0
    for _ in range(100):
        assert now <= pacer.due(now) <= now + 1.0
        now += 0.1
    assert pacer.lead_s(now) == pytest.approx(0.9)
    pacer.set(0.0, 0.0)
    assert pacer.due(now) == 0.0
    assert pacer.lead_s(now) == 0.0


def test_a_step_is_filled_up_to_a_piece_where_depth_makes_small_ones_dear() -> None:
    sizes = StepSizes(RowCosts(max_rows=512, piece_rows=64))
    sizes.costs.calibrate(lambda rows, outputs: STEP_S + (rows - 1) * LARGE_S, 60.0)
    for depth in (100.0, 1000.0, 2000.0, 4000.0):
        for _ in range(10):
            sizes.measure(64, 0, 0.074 + 64 * depth * 2e-7, depth)
            sizes.measure(32, 0, 0.042 + 32 * depth * 2e-6, depth)
    assert sizes.idle_rows(40, 1, 4000.0) == 24
    assert sizes.idle_rows(64, 1, 4000.0) == 0
    assert sizes.idle_rows(8, 1, 100.0) == 0, "at little depth they would only add"
    assert sizes.idle_rows(40, 1) == 0


def test_a_trend_is_found_from_a_wrong_guess_and_followed_where_it_moves() -> None:
    trend = Trend(1.0, 0.0, far=1000.0)
    assert trend.at(0.0) == trend.at(5000.0) == pytest.approx(1.0)
    for x in range(0, 1200, 60):
        trend.add(x, 3.0 + 0.002 * x)
    assert trend.at(4000.0) == pytest.approx(11.0, rel=0.1)
    for x in range(0, 6000, 60):
        trend.add(x % 1200, 6.0 + 0.004 * (x % 1200))
    assert trend.at(1000.0) == pytest.approx(10.0, rel=0.05)
    for _ in range(200):
        trend.add(500.0, 2.0)
    assert trend.at(500.0) == pytest.approx(2.0, rel=0.05)


def test_a_trend_from_noise_makes_nothing_free() -> None:
    trend = Trend(1.0, 0.0, far=1000.0)
    for _ in range(50):
        trend.add(2000.0, 9.0)
        trend.add(1990.0, 0.5)
    assert trend.at(0.0) > 0.3


def test_a_trend_says_nothing_of_what_lies_far_from_all_it_saw() -> None:
    trend, noise = Trend(1.0, 0.001, far=1500.0), random.Random(1)
    for _ in range(1000):
        trend.add(50.0 + noise.uniform(-10, 10), noise.lognormvariate(0, 0.1))
    assert trend.at(50.0) == pytest.approx(1.0, rel=0.1)
    assert 1.0 <= trend.at(4000.0) <= 7.0, "about what was guessed, 5"


def test_a_trend_never_falls() -> None:
    trend = Trend(1.0, 0.001, far=1000.0)
    for x in range(0, 1200, 60):
        trend.add(x, 3.0 - 0.002 * x)
    assert trend.at(10_000.0) >= trend.at(0.0) > 0
