"""Threads follow what the machine has left, on simulated machines whose barriers wait for the slowest thread."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

import pytest

from r1chat.serve.engine.threads import ThreadTuner

REST_S = 0.033


class Machine:
    """Seconds of a step by threads and busy cores, as measured on two cores: 33, 60, 84 and 62 ms."""

    def __init__(self, n_cores: int = 2, seed: int = 0) -> None:
        self.n_cores, self.n_busy, self.depth = n_cores, 0, 1.0
        self._random = random.Random(seed)

    def step_s(self, n_threads: int) -> float:
        work = 0.006 + 0.054 / n_threads
        shares_a_core = n_threads + self.n_busy > self.n_cores
        stall = self._random.random() < 0.02
        noise = self._random.lognormvariate(0, 0.05) * (5 if stall else 1)
        return work * (2.6 if shares_a_core else 1.0) * self.depth * noise


class Run:
    """A tuner at work on a machine."""

    def __init__(self, machine: Machine, n_threads: int) -> None:
        self.machine, self.tuner, self.now = machine, ThreadTuner(n_threads), 100.0
        self.used: list[int] = []

    def steps(self, n: int, after: Callable[[int], None] = lambda _: None) -> float:
        """Runs `n` steps and returns their seconds."""
        began = self.now
        for number in range(n):
            seconds = self.machine.step_s(self.tuner.n_threads)
            self.now += seconds
            self.used.append(self.tuner.n_threads)
            self.tuner.observe(REST_S, seconds, self.now)
            after(number)
        return self.now - began


@pytest.mark.parametrize("seed", range(20))
def test_a_busy_neighbour_takes_one_thread_and_gives_it_back(seed: int) -> None:
    run = Run(Machine(seed=seed), 2)
    quiet_s = run.steps(600)
    assert run.tuner.n_threads == 2
    run.machine.n_busy = 1
    busy_s = run.steps(600)
    assert quiet_s / busy_s >= 0.5, "while it settles too"
    assert run.used[-100:].count(1) >= 80
    run.machine.n_busy = 0
    run.steps(1200)
    assert run.used[-200:].count(2) >= 180


@pytest.mark.parametrize("seed", range(20))
def test_a_quiet_machine_pays_next_to_nothing(seed: int) -> None:
    run = Run(Machine(seed=seed), 2)
    plain = Machine(seed=seed)
    assert run.steps(3000) <= 1.01 * sum(plain.step_s(2) for _ in range(3000))


def test_a_neighbour_that_was_there_first_is_noticed() -> None:
    machine = Machine()
    machine.n_busy = 1
    run = Run(machine, 2)
    run.steps(300)
    assert run.used[-200:].count(1) >= 180


def test_a_trial_in_a_bad_moment_is_not_the_last_word() -> None:
    run = Run(Machine(), 2)
    run.steps(300)
    run.machine.n_busy = 1
    run.steps(10)
    run.machine.depth = 10.0
    run.steps(20)
    run.machine.depth = 1.0
    run.steps(1500)
    assert run.used[-300:].count(1) >= 250


def test_deeper_contexts_are_not_taken_for_a_neighbour() -> None:
    run = Run(Machine(), 2)

    def deepen(_: int) -> None:
        run.machine.depth *= 1.0005

    run.steps(4000, after=deepen)
    assert run.used.count(1) <= 0.03 * len(run.used)


def test_a_neighbour_that_comes_and_goes_does_not_make_it_nervous(caplog: pytest.LogCaptureFixture) -> None:
    run = Run(Machine(), 2)
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            run.machine.n_busy = 1 - run.machine.n_busy
            run.steps(20)
    assert len(caplog.records) <= 16


def test_of_eight_threads_one_goes_for_one_neighbour_and_more_for_more() -> None:
    run = Run(Machine(n_cores=8), 8)
    run.steps(100)
    run.machine.n_busy = 1
    run.steps(2000)
    assert run.used[-1000:].count(7) >= 900
    run.machine.n_busy = 4
    run.steps(6000)
    assert run.used[-1000:].count(4) >= 850
    run.machine.n_busy = 0
    run.steps(6000)
    assert run.used[-1000:].count(8) >= 900


def test_every_lasting_change_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    run = Run(Machine(), 2)
    with caplog.at_level(logging.INFO):
        run.steps(200)
        run.machine.n_busy = 1
        run.steps(400)
    assert [record.getMessage().split(",")[0] for record in caplog.records] == ["threads: 1 instead of 2"]


def test_a_single_thread_is_left_alone() -> None:
    tuner = ThreadTuner(1)
    assert {tuner.observe(REST_S, 10.0 * n, float(n)) for n in range(1, 50)} == {1}
