"""A forward pass is cut short, and what it did not get to can follow. On real weights."""

from __future__ import annotations

import contextlib
import threading
from time import perf_counter

import numpy as np
import pytest
from forward_tools import OpenModel, batch_of, compute, last_logits, made_up, placed
from recording_runner import RecordingRunner

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.llama.context import InterruptFlag
from r1chat.serve.engine.model_runner import InterruptedStep

PROMPT = made_up(2000)


@pytest.fixture
def slow(open_model: OpenModel) -> RecordingRunner:
    """The bundled model takes some tenths of a second for PROMPT."""
    return open_model("bundled", n_cells=6144, n_batch=4096)


def forward_until(runner: RecordingRunner, batch: Batch, seconds: float) -> None:
    """A forward pass that is interrupted after so long, from another thread."""
    timer = threading.Timer(seconds, runner.interrupt)
    timer.start()
    with contextlib.suppress(InterruptedStep):
        runner.forward(batch)
    timer.join()


@pytest.mark.slow
@pytest.mark.parametrize("native", [True, False])
def test_a_long_prefill_is_cut_short_and_the_rest_can_follow(
    slow: RecordingRunner, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not native:
        monkeypatch.setattr(InterruptFlag, "_native", lambda self: None)
        slow._interrupt = InterruptFlag(slow._context)
    began = perf_counter()
    (expected,) = last_logits(slow, placed(0, PROMPT))
    whole_s = perf_counter() - began
    decoding = placed(1, made_up(10))
    compute(slow, decoding)
    decoding.tokens.append(5)
    sequence = placed(2, PROMPT)
    n_computed = 0
    for _ in range(10):  # on a busy machine the interrupt may come before the first piece or behind the last
        forward_until(slow, batch_of(sequence, decoding), 0.15 * whole_s)
        n_computed = slow.n_computed(2)
        if 0 < n_computed < len(PROMPT):
            break
        slow.remove(2, 0)
        slow.remove(1, 10)
    assert 0 < n_computed < len(PROMPT) and n_computed % 60 == 0, "whole pieces stay"
    assert slow.n_computed(1) == 10, "its row was in the last piece"
    sequence.n_computed = n_computed
    (rest, _) = last_logits(slow, sequence, decoding)
    assert np.array_equal(rest, expected)


def test_an_interrupt_between_steps_is_forgotten(open_model: OpenModel) -> None:
    runner = open_model()
    runner.interrupt()
    compute(runner, placed(0, made_up(100)))
    assert runner.n_computed(0) == 100
