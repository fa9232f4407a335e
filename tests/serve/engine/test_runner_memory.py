"""What LlamaModelRunner does with its cache, on real weights: share, save, restore, idle."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from forward_tools import OpenModel, compute, last_logits, logits_along, made_up, placed
from recording_runner import K_ROUNDING, RecordingRunner

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.llama import context as llama_context
from r1chat.serve.engine.llama.runner import LlamaModelRunner
from r1chat.serve.engine.model_runner import KVFullError


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


def test_a_restored_state_goes_on_bit_for_bit(open_model: OpenModel) -> None:
    runner = open_model()
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


def test_a_restored_state_can_be_cut_like_any_other(open_model: OpenModel) -> None:
    runner = open_model()
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
def test_a_damaged_state_is_refused_and_harms_nobody(open_model: OpenModel, damage: str) -> None:
    runner = open_model()
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


def test_a_state_without_room_is_refused_and_changes_nothing(open_model: OpenModel) -> None:
    runner = open_model()
    compute(runner, placed(0, made_up(400)))
    state = runner.save(0)
    compute(runner, placed(1, made_up(400)))
    assert not runner.restore(2, state)
    assert runner.n_computed(2) == 0
    assert np.array_equal(runner.save(0), state)


def test_copies_take_no_cells_and_outlive_their_source(open_model: OpenModel) -> None:
    runner = open_model(n_cells=512)
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


def test_a_branch_of_a_copy_leaves_the_others_alone(open_model: OpenModel) -> None:
    runner = open_model()
    compute(runner, placed(0, made_up(100)))
    runner.copy(0, 1, 100)
    runner.remove(1, 60)
    compute(runner, replace(placed(1, made_up(60) + made_up(40, 5)), n_computed=60))
    alone = open_model()
    compute(alone, placed(0, made_up(100)))
    kept, reference = (replace(placed(0, made_up(100)), n_computed=100) for _ in "ab")
    assert np.array_equal(
        logits_along(runner, kept, made_up(4, 1)),
        logits_along(alone, reference, made_up(4, 1)),
    )


def test_every_row_of_a_draft_has_the_logits_of_a_step_of_its_own(open_model: OpenModel) -> None:
    runner = open_model()
    prompt, tail = made_up(50), made_up(4, 2)
    compute(runner, sequence := placed(0, prompt))
    expected = logits_along(runner, sequence, tail)
    runner.remove(0, 50)
    batch = Batch()
    batch.add(replace(placed(0, [*prompt, tail[0]]), n_computed=50), 1, draft=tail[1:])
    runner.forward(batch)
    assert list(batch.chunks[0].logit_rows) == [0, 1, 2, 3]
    assert np.array_equal([runner.logits(row) for row in range(4)], expected)


def test_a_prompt_that_is_not_complete_brings_no_logits(open_model: OpenModel) -> None:
    runner = open_model()
    batch = Batch()
    batch.add(placed(0, made_up(50)), 20)
    runner.forward(batch)
    assert batch.n_outputs == 0
    assert runner.n_computed(0) == 20


@pytest.mark.parametrize("n_idle", [1, 3, 7, 50])
def test_idle_rows_change_no_logits_and_leave_nothing_behind(open_model: OpenModel, n_idle: int) -> None:
    def along(runner: RecordingRunner, n_idle: int) -> np.ndarray:
        compute(runner, sequence := placed(0, made_up(100)), n_idle=n_idle)
        return logits_along(runner, sequence, made_up(8, 1), n_idle=n_idle)

    runner = open_model()
    assert np.array_equal(along(runner, n_idle), along(open_model(), 0))
    assert cells_left(runner) == runner.n_cells - 108


def test_with_k_quants_idle_rows_change_logits_by_rounding_only(open_model: OpenModel) -> None:
    rows = []
    for n_idle in (0, 3):
        compute(runner := open_model("tiny-qwen2-256", "Q4_K_M"), sequence := placed(0, made_up(100)))
        rows.append(logits_along(runner, sequence, made_up(8, 1), n_idle=n_idle))
    assert np.quantile(np.abs(rows[0] - rows[1]), 0.99) < K_ROUNDING


def test_timing_rows_leaves_no_trace(open_model: OpenModel) -> None:
    runner = open_model()
    compute(runner, sequence := placed(0, made_up(100)))
    expected = logits_along(runner, sequence, made_up(4, 1))
    runner.remove(0, 100)
    time_rows = partial(LlamaModelRunner.time_rows, runner)
    many, one = (min(time_rows(*rows) for _ in range(20)) for rows in ((60, 1), (1, 0)))
    assert many > one > 0
    assert time_rows(16, 16) > 0
    assert cells_left(runner) == runner.n_cells - 100
    again = replace(placed(0, made_up(100)), n_computed=100)
    assert np.array_equal(logits_along(runner, again, made_up(4, 1)), expected)


def test_another_number_of_threads_changes_no_logits(open_model: OpenModel) -> None:
    runner = open_model(n_threads=2)
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


@pytest.mark.parametrize(
    ("config", "n_cells", "n_resident", "n_ctx"),
    [
        ({"n_cells": 1000}, 1024, 128, 1024),
        ({"n_cells": 8192, "n_ctx": 700}, 8192, 128, 700),
        ({"n_seq_max": 200}, 1024, 201, 1024),
        ({"n_resident": 5, "n_seq_max": 2}, 1024, 5, 1024),
        ({"n_resident": 1000}, 1024, 255, 1024),
    ],
)
def test_sizes_are_as_asked_for(
    open_model: OpenModel, config: dict[str, int], n_cells: int, n_resident: int, n_ctx: int
) -> None:
    runner = open_model(**config)
    assert (runner.n_cells, runner.n_resident, runner.info.n_ctx) == (n_cells, n_resident, n_ctx)
    compute(runner, placed(runner.n_resident - 1, made_up(3)), n_idle=1)


def test_as_many_outputs_as_drafts_may_ask_for(open_model: OpenModel) -> None:
    runner = open_model(n_seq_max=4, n_resident=4, n_cells=2048)
    batch = Batch()
    for seq_id in range(4):
        batch.add(placed(seq_id, [1]), 1, draft=made_up(15))
    runner.forward(batch)
    assert batch.n_outputs == 64
    assert np.isfinite([runner.logits(row) for row in range(64)]).all()


def test_the_pool_grows_no_larger_than_memory_allows(open_model: OpenModel, monkeypatch: pytest.MonkeyPatch) -> None:
    cell_bytes = 2 * 2 * 32 * 2  # keys and values of 2 heads of 16 numbers in 2 layers, two bytes each
    monkeypatch.setattr(llama_context, "available_memory", lambda: 4 * 6000 * cell_bytes)
    assert open_model(n_cells=None).n_cells == 6144, "6000, in blocks of 256"
    monkeypatch.setattr(llama_context, "available_memory", lambda: 1000)
    assert open_model(n_cells=None, n_ctx=700).n_cells == 768, "a context at least"
