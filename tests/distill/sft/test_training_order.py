"""Every row is read as often as asked, however a training is cut up."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from r1chat.distill.sft.job import RowArrays, RowGatherer, read_rows, write_rows
from r1chat.distill.sft.order import draw_steps, epochs_read, micro_batches
from r1chat.distill.sft.rows import EncodedRow


@pytest.mark.parametrize(("n_rows", "batch_size", "epochs"), [(10, 3, 2.0), (7, 64, 3.0), (100, 8, 1.5), (1, 4, 1.0)])
def test_each_epoch_reads_every_row_once(n_rows: int, batch_size: int, epochs: float) -> None:
    steps = draw_steps(n_rows, batch_size, epochs, None, seed=5)
    stream = np.concatenate(steps)
    assert len(stream) == round(n_rows * epochs)
    assert all(len(step) == batch_size for step in steps[:-1])
    for epoch in range(int(epochs)):
        assert sorted(stream[epoch * n_rows : (epoch + 1) * n_rows]) == list(range(n_rows))


def test_the_order_is_the_seeds() -> None:
    def stream(seed: int) -> list[int]:
        return np.concatenate(draw_steps(50, 8, 2.0, None, seed)).tolist()

    assert stream(1) == stream(1) != stream(2)
    assert stream(1)[:50] != stream(1)[50:], "each epoch has an order of its own"


def test_a_number_of_steps_goes_before_epochs() -> None:
    steps = draw_steps(10, 4, 1.0, 20, seed=0)
    assert [len(step) for step in steps] == [4] * 20
    assert set(Counter(np.concatenate(steps).tolist()).values()) == {8}
    assert (epochs_read(10, 4, 1.0, 20), epochs_read(10, 4, 1.5, None)) == (8, 1.5)


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("budget", [10, 300, 100_000])
def test_micro_batches_hold_each_row_once_and_keep_to_their_budget(world: int, budget: int) -> None:
    lengths = np.random.default_rng(0).integers(5, 200, 40)
    rows = np.arange(40)[::2]
    parts = micro_batches(rows, lengths, budget, world)
    assert len(parts) == world
    assert len({len(part) for part in parts}) == 1, "processes wait for each other"
    groups = [group for part in parts for group in part]
    assert sorted(np.concatenate(groups)) == sorted(rows)
    assert all(len(group) * lengths[group].max() <= budget for group in groups if len(group) > 1)


def test_with_fewer_rows_than_processes_some_have_nothing() -> None:
    parts = micro_batches(np.array([0]), np.array([9]), 100, 3)
    assert sorted(len(part[0]) for part in parts) == [0, 0, 1]


def test_rows_come_back_from_their_file_as_they_went_in(tmp_path) -> None:  # type: ignore[no-untyped-def]
    given = [EncodedRow([1, 2, 3], [-100, 2, 3]), EncodedRow([4], [4]), EncodedRow([5, 6], [5, -100])]
    gatherer = RowGatherer()
    for row in given:
        gatherer.add(row)
    hashed = write_rows(tmp_path / "rows.npz", gatherer.arrays())
    found = read_rows(tmp_path / "rows.npz")
    assert [EncodedRow(ids.tolist(), labels.tolist()) for ids, labels in map(found.__getitem__, range(3))] == given
    assert found.lengths.tolist() == [3, 1, 2]
    assert found.learnt.tolist() == [2, 0, 0], "nothing comes before a first token that it could follow from"
    assert hashed != write_rows(tmp_path / "other.npz", RowArrays(found.input_ids[::-1], found.labels, found.offsets))
