"""Cells that several sequences hold count once."""

from __future__ import annotations

from r1chat.serve.engine.cells import Cells


def test_shared_cells_count_once_and_go_with_their_last_holder() -> None:
    cells = Cells(10)
    cells.extend(0, 6)
    cells.share(0, 1, 4)
    cells.extend(1, 2)
    assert cells.n_used == 8
    cells.truncate(0, 0)
    assert cells.n_used == 6, "four of them are the other's too"
    cells.truncate(1, 0)
    assert cells.n_used == 0


def test_cutting_one_holder_leaves_the_others_whole() -> None:
    cells = Cells(10)
    cells.extend(0, 6)
    cells.share(0, 1, 6)
    cells.truncate(1, 2)
    assert len(cells.of(0)) == 6
    assert cells.n_used == 6
    cells.extend(1, 4)
    assert cells.n_used == 10


def test_freed_cells_are_given_out_again() -> None:
    cells = Cells(4)
    for _ in range(5):
        cells.extend(0, 4)
        cells.truncate(0, 0)
    assert cells.n_used == 0
