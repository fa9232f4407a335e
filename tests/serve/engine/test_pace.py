"""A prompt chunk takes about half a second on whatever machine it runs."""

from __future__ import annotations

import pytest

from r1chat.serve.engine.pace import MIN_PREFILL_ROWS, PREFILL_SLICE_S, Pace


@pytest.mark.parametrize(("fixed_s", "row_s"), [(0.06, 0.012), (0.001, 0.0002), (0.2, 0.05)])
def test_chunks_settle_at_half_a_second(fixed_s: float, row_s: float) -> None:
    pace = Pace(max_rows=512)
    for _ in range(40):
        rows = pace.prefill_rows(n_decoding=1)
        pace.measure(rows + 1, 1, fixed_s + row_s * (rows + 1))
    seconds = fixed_s + row_s * (pace.prefill_rows(1) + 1)
    assert seconds <= PREFILL_SLICE_S * 1.05
    assert seconds >= PREFILL_SLICE_S * 0.7 or pace.prefill_rows(1) >= 508, "nor much shorter than allowed"


def test_even_the_slowest_machine_gets_on_with_its_prompt() -> None:
    pace = Pace(max_rows=512)
    pace.measure(16, 0, 160.0)
    assert pace.prefill_rows(n_decoding=1) >= MIN_PREFILL_ROWS - 1


def test_the_batch_is_never_overfilled_and_rows_come_in_fours() -> None:
    pace = Pace(max_rows=64)
    pace.measure(16, 0, 0.001)
    for n_decoding in range(16):
        total = pace.prefill_rows(n_decoding) + n_decoding
        assert total <= 64
        assert total % 4 == 0


def test_decode_steps_do_not_disturb_what_prompts_have_taught() -> None:
    pace = Pace(max_rows=512)
    pace.measure(64, 0, 0.064)
    before = pace.prefill_rows(0)
    for _ in range(50):
        pace.measure(1, 1, 0.1)
    assert pace.prefill_rows(0) == before


def test_a_slow_decode_step_is_predicted() -> None:
    pace = Pace(max_rows=512)
    pace.measure(8, 8, 4.0)
    assert pace.predicted_step_s == 4.0
