"""The child that compares mathematics: whatever an answer does to it, the question ends in time, the next is fine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1chat.serve.answers.math_process import MathProcess, MathQuestion

pytest.importorskip("math_verify")
SAME = MathQuestion("$\\boxed{x+1}$", "$\\boxed{1+x}$")
ENDLESS = MathQuestion("$\\boxed{4}$", "$\\boxed{9^{9^{9^{9}}}}$")


@pytest.fixture(scope="module")
def process() -> Iterator[MathProcess]:
    process = MathProcess()
    with pytest.MonkeyPatch.context() as patch:
        # the child ends what takes too long; on a busy machine nobody else may come before it
        patch.setattr("r1chat.serve.answers.math_process._GRACE_S", 60.0)
        yield process
    process.close()


def test_what_takes_too_long_ends_in_time_and_the_next_question_waits_for_no_import(process: MathProcess) -> None:
    assert process.ask(SAME, 10)
    child = process.pid
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            process.ask(ENDLESS, 0.3)
        assert time.monotonic() - began < 30
        assert process.ask(SAME, 10)
    assert process.pid == child
    assert_computing(child, 1)


def test_what_fills_the_memory_ends_alone(process: MathProcess) -> None:
    before = process.pid
    try:
        assert not process.ask(MathQuestion("$4$", "$\\boxed{7^{10^{10}}}$"), 1)
    except (ChildProcessError, TimeoutError):
        pass
    assert process.ask(SAME, 10)
    assert process.pid == before


def test_a_child_that_is_killed_under_a_question_fails_only_that(process: MathProcess) -> None:
    assert process.ask(SAME, 10)
    killer = threading.Timer(0.3, os.kill, (process.pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(ChildProcessError):
        process.ask(ENDLESS, 20)
    assert process.ask(SAME, 10)


@pytest.mark.slow
def test_closing_leaves_nobody(process: MathProcess) -> None:
    other = MathProcess()
    assert other.ask(SAME, 10)
    failures: list[OSError] = []

    def ask() -> None:
        try:
            other.ask(ENDLESS, 20)
        except OSError as error:
            failures.append(error)

    asked = threading.Thread(target=ask)
    asked.start()
    time.sleep(0.3)
    group = other.pid
    other.close()
    asked.join(60)
    assert failures and not asked.is_alive()
    assert_computing(group, 0)


def assert_computing(group_id: int | None, n_workers: int) -> None:
    """That soon so many processes are in the child's group, beside itself."""
    for _ in range(100):
        if len(computing(group_id)) == n_workers:
            return
        time.sleep(0.05)
    raise AssertionError(computing(group_id))


def computing(group_id: int | None) -> list[str]:
    """Processes of the child's group, but for itself."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, state, _, group, *_ = stat.read_text().rpartition(")")[2].split(" ")
        except OSError:
            continue
        if group == str(group_id) and stat.parent.name != group and state != "Z":
            found.append(stat.parent.name)
    return found


def test_questions_from_many_threads_get_their_own_answers(process: MathProcess) -> None:
    wrong: list[int] = []

    def ask(i: int) -> None:
        for j in range(5):
            equal = process.ask(MathQuestion(f"${i}x$", f"$x \\cdot {i + j % 2}$"), 10)
            if equal != (j % 2 == 0):
                wrong.append(i)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_gold_comes_first_and_the_options_count(process: MathProcess) -> None:
    relation, interval = "$-2 \\\\le x \\\\le 7$", "$x \\in [-2,7]$"
    assert process.ask(MathQuestion(relation, interval), 10)
    assert not process.ask(MathQuestion(interval, relation), 10), "not symmetric"
    assert process.ask(MathQuestion(interval, relation, set_relations=True), 10)
    assert process.ask(MathQuestion(interval, relation, either_way=True), 10)
    assert process.ask(MathQuestion("$f(x)$", "$f(y)$", strict=False), 10)
    assert not process.ask(MathQuestion("$f(x)$", "$f(y)$"), 10)
    assert process.ask(MathQuestion("$\\frac{1}{3}$", "$0.33$", precision=2), 10)
    assert not process.ask(MathQuestion("$\\frac{1}{3}$", "$0.33$"), 10)
