"""Cells that several sequences hold count once."""

from __future__ import annotations

import pytest

from r1chat.serve.engine.cells import Cells, Ledger


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


def test_what_is_private_is_found_without_looking_at_every_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = Cells(20_000)
    cells.extend(0, 9000)
    cells.share(0, 1, 5000)
    cells.share(0, 2, 7000)
    cells.extend(2, 10)
    looks: list[int] = []
    n_holders = Ledger.n_holders

    def counted(ledger: Ledger, cell: int) -> int:
        looks.append(cell)
        return n_holders(ledger, cell)

    monkeypatch.setattr(Ledger, "n_holders", counted)
    assert [cells.n_private(seq_id) for seq_id in (0, 1, 2, 3)] == [2000, 0, 10, 0]
    assert len(looks) < 60
