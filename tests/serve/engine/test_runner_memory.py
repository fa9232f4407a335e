"""What LlamaModelRunner does with its cache, on real weights: share, save, restore, idle, be interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from engine_tools import bundled_model
from forward_tools import batch_of, compute, last_logits, logits_along, made_up, placed
from recording_runner import RecordingRunner

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.llama_context import InterruptFlag
from r1chat.serve.engine.model_runner import InterruptedStep, KVFullError
from r1chat.serve.models.shapes import make_random_gguf

Open = Callable[..., RecordingRunner]
K_TOLERANCE = 0.2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_gguf("tiny-qwen2", tmp_path_factory.mktemp("models") / "tiny.gguf", "Q8_0")


@pytest.fixture
def opened(model: Path) -> Iterator[Open]:
    runners = []

    def open_runner(path: Path | None = None, **config: int) -> RecordingRunner:
        config = {"n_threads": 1, "n_cells": 1024, **config}
        runner = RecordingRunner(EngineConfig(model_path=path or model, **config))  # type: ignore[arg-type]
        runners.append(runner)
        return runner

    yield open_runner
    for runner in runners:
        runner.close()


def cells_left(runner: RecordingRunner) -> int:
    """By filling them, in a sequence of their own; they are free again afterwards."""
    seq_id, n_filled = runner.n_resident - 1, 0
    for n_rows in (64, 1):
        try:
            while True:
                filler = replace(placed(seq_id, [1] * (n_filled + n_rows)), n_computed=n_filled)
                compute(runner, filler)
                n_filled += n_rows
        except KVFullError:
            assert runner.n_computed(seq_id) == n_filled
    runner.remove(seq_id, 0)
    return n_filled


def test_a_restored_state_goes_on_bit_for_bit(opened: Open) -> None:
    runner = opened()
    sequence = placed(0, made_up(300))
    compute(runner, sequence)
    state = runner.save(0)
    expected = logits_along(runner, sequence, made_up(16, 1))
    # it comes back into holes that others left, under another id
    for seq_id in (1, 2, 3, 4, 5):
        compute(runner, placed(seq_id, made_up(60, seq_id)))
    for seq_id in (0, 1, 3, 5):
        runner.remove(seq_id, 0)
    assert runner.restore(7, state)
    assert runner.n_computed(7) == 300
    back = replace(placed(7, made_up(300)), n_computed=300)
    assert np.array_equal(logits_along(runner, back, made_up(16, 1)), expected)


def test_a_restored_state_can_be_cut_like_any_other(opened: Open) -> None:
    runner = opened()
    compute(runner, placed(0, made_up(200)))
    state = runner.save(0)
    runner.remove(0, 100)
    branch = replace(placed(0, made_up(100)), n_computed=100)
    expected = logits_along(runner, branch, made_up(4, 3))
    runner.remove(0, 0)
    assert runner.restore(2, state)
    runner.remove(2, 100)
    branch = replace(placed(2, made_up(100)), n_computed=100)
    assert np.array_equal(logits_along(runner, branch, made_up(4, 3)), expected)


@pytest.mark.parametrize("damage", ["half", "head", "one byte less", "other bytes", "nothing"])
def test_a_damaged_state_is_refused_and_harms_nobody(opened: Open, damage: str) -> None:
    runner = opened()
    compute(runner, placed(0, made_up(100)))
    state = runner.save(0)
    damaged = {
        "half": state[: len(state) // 2],
        "head": state[:10],
        "one byte less": state[:-1],
        "other bytes": np.roll(state, 1),
        "nothing": state[:0],
    }[damage]
    n_left = cells_left(runner)
    assert not runner.restore(1, damaged)
    assert runner.n_computed(1) == 0
    assert cells_left(runner) == n_left
    assert np.array_equal(runner.save(0), state)
    assert runner.restore(1, state), "the sequence is fit for use"


def test_a_state_without_room_is_refused_and_changes_nothing(opened: Open) -> None:
    runner = opened()
    compute(runner, placed(0, made_up(400)))
    state = runner.save(0)
    compute(runner, placed(1, made_up(400)))
    assert not runner.restore(2, state)
    assert runner.n_computed(2) == 0
    assert np.array_equal(runner.save(0), state)


def test_copies_take_no_cells_and_outlive_their_source(opened: Open) -> None:
    runner = opened(n_cells=512)
    source = placed(0, made_up(300))
    compute(runner, source)
    expected = logits_along(runner, source, made_up(8, 1))
    runner.remove(0, 300)
    for target in (1, 2, 3):
        runner.copy(0, target, 300)
        assert runner.n_computed(target) == 300
    assert cells_left(runner) == 512 - 300
    runner.remove(0, 0)
    assert cells_left(runner) == 512 - 300, "the others still hold them"
    runner.copy(1, 0, 200)
    assert runner.n_computed(0) == 200
    shared = replace(placed(2, made_up(300)), n_computed=300)
    assert np.array_equal(logits_along(runner, shared, made_up(8, 1)), expected)
    for seq_id in (0, 1, 2, 3):
        runner.remove(seq_id, 0)
    assert cells_left(runner) == 512


def test_a_branch_of_a_copy_leaves_the_others_alone(opened: Open) -> None:
    runner = opened()
    compute(runner, placed(0, made_up(100)))
    runner.copy(0, 1, 100)
    runner.remove(1, 60)
    compute(runner, replace(placed(1, made_up(60) + made_up(40, 5)), n_computed=60))
    alone = opened()
    compute(alone, placed(0, made_up(100)))
    kept, reference = (replace(placed(0, made_up(100)), n_computed=100) for _ in "ab")
    assert np.array_equal(
        logits_along(runner, kept, made_up(4, 1)),
        logits_along(alone, reference, made_up(4, 1)),
    )


def test_every_row_of_a_draft_has_the_logits_of_a_step_of_its_own(opened: Open) -> None:
    runner = opened()
    prompt, tail = made_up(50), made_up(4, 2)
    compute(runner, sequence := placed(0, prompt))
    expected = logits_along(runner, sequence, tail)
    runner.remove(0, 50)
    batch = Batch()
    batch.add(replace(placed(0, [*prompt, tail[0]]), n_computed=50), 1, draft=tail[1:])
    runner.forward(batch)
    assert list(batch.chunks[0].logit_rows) == [0, 1, 2, 3]
    assert np.array_equal([runner.logits(row) for row in range(4)], expected)


def test_a_prompt_that_is_not_complete_brings_no_logits(opened: Open) -> None:
    runner = opened()
    batch = Batch()
    batch.add(placed(0, made_up(50)), 20)
    runner.forward(batch)
    assert batch.n_outputs == 0
    assert runner.n_computed(0) == 20


@pytest.mark.parametrize("n_idle", [1, 3, 7])
def test_idle_rows_change_no_logits_and_leave_nothing_behind(opened: Open, n_idle: int) -> None:
    def along(runner: RecordingRunner, n_idle: int) -> np.ndarray:
        compute(runner, sequence := placed(0, made_up(100)), n_idle=n_idle)
        return logits_along(runner, sequence, made_up(8, 1), n_idle=n_idle)

    runner = opened()
    assert np.array_equal(along(runner, n_idle), along(opened(), 0))
    assert cells_left(runner) == runner.n_cells - 108


def test_with_k_quants_idle_rows_change_logits_by_rounding_only(opened: Open, tmp_path: Path) -> None:
    path = make_random_gguf("tiny-qwen2-256", tmp_path / "k.gguf", "Q4_K_M")
    rows = []
    for n_idle in (0, 3):
        compute(runner := opened(path), sequence := placed(0, made_up(100)))
        rows.append(logits_along(runner, sequence, made_up(8, 1), n_idle=n_idle))
    assert np.abs(rows[0] - rows[1]).max() < K_TOLERANCE


def test_timing_rows_leaves_no_trace(opened: Open) -> None:
    runner = opened()
    compute(runner, sequence := placed(0, made_up(100)))
    expected = logits_along(runner, sequence, made_up(4, 1))
    runner.remove(0, 100)
    assert runner.time_rows(60, 1) > runner.time_rows(1, 0) > 0
    assert runner.time_rows(16, 16) > 0
    assert cells_left(runner) == runner.n_cells - 100
    again = replace(placed(0, made_up(100)), n_computed=100)
    assert np.array_equal(logits_along(runner, again, made_up(4, 1)), expected)


def test_another_number_of_threads_changes_no_logits(opened: Open) -> None:
    runner = opened(n_threads=2)
    sequences = [placed(seq_id, made_up(100, seq_id)) for seq_id in (0, 1)]
    compute(runner, *sequences)
    rows = []
    for n_threads in (1, 2):
        runner.set_threads(n_threads)
        for sequence in sequences:
            runner.remove(sequence.seq_id, 100)
            sequence.tokens[100:], sequence.n_computed = [7], 100
        rows.append(last_logits(runner, *sequences))
    assert np.array_equal(rows[0], rows[1])


PROMPT = made_up(3000)


@pytest.fixture
def slow(opened: Open) -> RecordingRunner:
    """The bundled model takes some tenths of a second for PROMPT."""
    return opened(bundled_model(), n_cells=8192, n_batch=4096)


def interrupted_after(runner: RecordingRunner, batch: Batch, seconds: float) -> float:
    """How long the forward pass went on after it was interrupted."""
    moment = [0.0]

    def interrupt() -> None:
        moment[0] = perf_counter()
        runner.interrupt()

    timer = threading.Timer(seconds, interrupt)
    timer.start()
    with pytest.raises(InterruptedStep):
        runner.forward(batch)
    ended = perf_counter()
    timer.join()
    return ended - moment[0]


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
    lag = interrupted_after(slow, batch_of(sequence, decoding), 0.3 * whole_s)
    assert lag < 0.3 * whole_s
    n_computed = slow.n_computed(2)
    assert 0 < n_computed < len(PROMPT) and n_computed % 60 == 0, "whole pieces stay"
    assert slow.n_computed(1) == 10, "its row was in the last piece"
    sequence.n_computed = n_computed
    (rest, _) = last_logits(slow, sequence, decoding)
    assert np.array_equal(rest, expected)


def test_an_interrupt_between_steps_is_forgotten(opened: Open) -> None:
    runner = opened()
    runner.interrupt()
    compute(runner, placed(0, made_up(100)))
    assert runner.n_computed(0) == 100


@pytest.mark.parametrize(
    ("config", "n_cells", "n_resident", "n_ctx"),
    [
        ({"n_cells": 1000}, 1024, 128, 1024),
        ({"n_cells": 8192, "n_ctx": 700}, 8192, 128, 700),
        ({"n_seq_max": 200}, 1024, 200, 1024),
        ({"n_resident": 5, "n_seq_max": 2}, 1024, 5, 1024),
        ({"n_resident": 1000}, 1024, 255, 1024),
    ],
)
def test_sizes_are_as_asked_for(
    opened: Open, config: dict[str, int], n_cells: int, n_resident: int, n_ctx: int
) -> None:
    runner = opened(**config)
    assert (runner.n_cells, runner.n_resident, runner.info.n_ctx) == (n_cells, n_resident, n_ctx)
    compute(runner, placed(runner.n_resident - 1, made_up(3)), n_idle=1)


def test_as_many_outputs_as_drafts_may_ask_for(opened: Open) -> None:
    runner = opened(n_seq_max=4, n_resident=4, n_cells=2048)
    batch = Batch()
    for seq_id in range(4):
        batch.add(placed(seq_id, [1]), 1, draft=made_up(15))
    runner.forward(batch)
    assert batch.n_outputs == 64
    assert np.isfinite([runner.logits(row) for row in range(64)]).all()
