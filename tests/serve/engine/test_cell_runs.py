"""Cells in runs: none is given twice, what is shared is free only after its last holder, growth stays whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.engine.hf.cell_runs import CellRuns

N_CELLS = 40


def cells(runs: CellRuns, seq_id: int) -> list[int]:
    return [cell for start, stop in runs.of(seq_id) for cell in range(start, stop)]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from("extend truncate share".split()), st.integers(0, N_CELLS)))
)
def test_the_books_agree_with_lists_of_cells(steps: list[tuple[int, str, int]]) -> None:
    runs = CellRuns(N_CELLS)
    held: dict[int, list[int]] = {seq_id: [] for seq_id in range(5)}
    for seq_id, step, n in steps:
        if step == "extend" and n <= runs.n_free:
            new = [cell for start, stop in runs.extend(seq_id, n) for cell in range(start, stop)]
            assert len(new) == n and not {cell for each in held.values() for cell in each} & set(new)
            held[seq_id] += new
        elif step == "truncate":
            runs.truncate(seq_id, n)
            held[seq_id] = held[seq_id][:n]
        elif step == "share" and (target := (seq_id + 1) % 5) in held and not held[target]:
            n = min(n, len(held[seq_id]))
            runs.share(seq_id, target, n)
            held[target] = held[seq_id][:n]
        assert all(cells(runs, each) == held[each] for each in held)
        assert runs.n_free == N_CELLS - len({cell for each in held.values() for cell in each})


def test_sequences_that_grow_in_turns_stay_in_one_run_each() -> None:
    runs = CellRuns(1024)
    for _ in range(60):
        for seq_id in range(4):
            runs.extend(seq_id, 1)
    assert [len(runs.of(seq_id)) for seq_id in range(4)] == [1, 1, 1, 1]
