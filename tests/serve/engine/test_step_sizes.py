"""Steps hold what the machine affords: simulated machines with the costs that were measured on real ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import pytest
from step_machine import ALL, BUSY_15B, PIECE, QUIET_05B, QUIET_15B, Costs, Machine

from r1chat.serve.engine import row_table
from r1chat.serve.engine.pacer import Pacer
from r1chat.serve.engine.row_costs import RowCosts
from r1chat.serve.engine.step_sizes import ALONE_S, FILLER_SHARE, StepSizes

SAMPLING_MS = 0.7
MAX_P99_GAP, MAX_GAP = 5.0, 8.0


def prefill(machine: Machine, sizes: StepSizes, n_prompt: int, *, stall: float = 1.0) -> list[int]:
    """The rows of each step of a prompt, with nobody decoding; `stall`: how many times as long the third one takes."""
    rows: list[int] = []
    at = 0
    while at < n_prompt:
        n_rows = min(n_prompt - at, sizes.prefill_rows(0, at))
        n_idle = sizes.idle_rows(n_rows, 0, at + n_rows / 2)
        seconds = machine.step(n_rows + n_idle, 0, n_rows * (at + n_rows / 2))
        sizes.measure(n_rows + n_idle, 0, seconds * (stall if len(rows) == 2 else 1), at + n_rows / 2)
        rows.append(n_rows)
        at += n_rows
    return rows


@dataclass
class Intrusion:
    """Gaps of the streams in units of their median gap before, and seconds to the intruder's first token."""

    gaps: list[float]
    rows: list[int]
    seconds: float

    def gap(self, share: float) -> float:
        return sorted(self.gaps)[int(share * (len(self.gaps) - 1))]


def calibrated(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> StepSizes:
    monkeypatch.setattr(row_table, "perf_counter", lambda: machine.now)
    sizes = StepSizes(RowCosts(max_rows=512, piece_rows=machine.costs.piece))
    sizes.costs.calibrate(machine.time_rows)
    return sizes


def decode(machine: Machine, sizes: StepSizes, n_streams: int, depth: int, n_steps: int = 60) -> list[float]:
    seconds = []
    for number in range(n_steps):
        rows = n_streams + sizes.idle_rows(n_streams, n_streams)
        seconds.append(machine.step(rows, n_streams, n_streams * (depth + number)))
        sizes.measure(rows, n_streams, seconds[-1])
    return seconds


def intrude(
    machine: Machine, sizes: StepSizes, n_streams: int, *, depth: int = 300, cached: int = 0, n_prompt: int = 1200
) -> Intrusion:
    """A prompt arrives beside `n_streams` of `depth` tokens; `cached` of its tokens lie in the cache already."""
    sampling_s = n_streams * SAMPLING_MS / 1000
    before_s = median(decode(machine, sizes, n_streams, depth)) + sampling_s
    rows, at, began = [], cached, machine.now
    reader, given = Pacer(), [machine.now]
    while at < n_prompt:
        part = sizes.prompt_slice(n_streams, at, [n_prompt - at], reader.lead_s(machine.now))
        n_rows = min(n_prompt - at, part.n_rows)
        n_outputs = n_streams + (at + n_rows == n_prompt)
        middle = at + n_rows / 2 if n_rows else 0.0
        n_idle = sizes.idle_rows(n_streams + n_rows, n_outputs, middle)
        seconds = machine.step(n_streams + n_rows + n_idle, n_outputs, n_streams * depth + n_rows * middle)
        sizes.measure(n_streams + n_rows + n_idle, n_outputs, seconds, middle)
        machine.now += sampling_s
        reader.set(part.pace_s, part.most_s)
        given.append(reader.due(machine.now) or machine.now)
        rows.append(n_rows)
        at += n_rows
    given = [min(moment, machine.now) for moment in given]
    return Intrusion([(after - before) / before_s for before, after in pairwise(given)], rows, machine.now - began)


@pytest.mark.parametrize("n_streams", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("name", ALL)
def test_an_intruding_prompt_leaves_streams_their_pace_and_gets_on(
    name: str, n_streams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for seed in range(9):
        machine = Machine(ALL[name], seed=seed)
        runs.append(intrude(machine, calibrated(machine, monkeypatch), n_streams))
    assert median(run.gap(0.99) for run in runs) <= MAX_P99_GAP
    assert max(run.gap(1.0) for run in runs) <= MAX_GAP
    price = median(run.seconds for run in runs) / Machine(ALL[name]).bulk(1200)
    assert price <= 1.7


@pytest.mark.parametrize("name", ALL)
def test_a_second_prompt_is_judged_at_its_own_depth(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(ALL[name], seed=1)
    sizes = calibrated(machine, monkeypatch)
    intrude(machine, sizes, 1)
    deep = intrude(machine, sizes, 1, cached=4000, n_prompt=4060)
    assert max(deep.gaps) <= MAX_GAP, "a question to a long chat beside a running stream"
    shallow = intrude(machine, sizes, 1, n_prompt=200)
    assert next(filter(None, shallow.rows)) >= 7, "and the next short one is not punished for it"


def test_a_busy_machine_is_noticed_without_new_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(QUIET_15B)
    sizes = calibrated(machine, monkeypatch)
    proportion = sizes.costs.seconds(16) / sizes.costs.seconds(1)
    machine.busy = 2.4
    decode(machine, sizes, 1, 300, n_steps=40)
    assert sizes.costs.seconds(16) == pytest.approx(machine.plain(16, 1), rel=0.15), "a size not seen since"
    assert sizes.costs.seconds(16) / sizes.costs.seconds(1) == pytest.approx(proportion, rel=0.15)
    assert sizes.costs.at_rest(1, 1) == pytest.approx(0.0269, rel=0.15)
    machine.busy = 1.0
    decode(machine, sizes, 1, 300, n_steps=40)
    assert sizes.costs.seconds(1, 1) == pytest.approx(machine.plain(1, 1, 300), rel=0.1)


def test_long_decoding_does_not_wear_the_shape_away(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(QUIET_15B)
    sizes = calibrated(machine, monkeypatch)
    decode(machine, sizes, 1, 0, n_steps=4000)
    assert sizes.costs.seconds(16) / sizes.costs.seconds(1) == pytest.approx(114.2 / 26.9, rel=0.25)


def test_a_size_timed_in_a_bad_moment_is_put_right_by_use(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(QUIET_05B)
    sizes = StepSizes(RowCosts(max_rows=512, piece_rows=PIECE))
    monkeypatch.setattr(row_table, "perf_counter", lambda: machine.now)
    sizes.costs.calibrate(lambda rows, outputs: machine.step(rows, outputs) * (2 if (rows, outputs) == (8, 8) else 1))
    wrong = sizes.costs.seconds(8, 8) / sizes.costs.seconds(1)
    for _ in range(60):
        decode(machine, sizes, 8, 100, n_steps=5)
        decode(machine, sizes, 1, 100, n_steps=5)
    right = machine.plain(8, 8) / machine.plain(1, 1)
    assert abs(sizes.costs.seconds(8, 8) / sizes.costs.seconds(1) - right) < abs(wrong - right) / 3


def test_a_group_dearer_than_a_larger_one_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(QUIET_05B, noise=0.0)
    monkeypatch.setattr(row_table, "perf_counter", lambda: machine.now)
    sizes = StepSizes(RowCosts(max_rows=512, piece_rows=PIECE))
    sizes.costs.calibrate(lambda rows, outputs: machine.step(rows, outputs) * (3 if rows == 8 else 1))
    assert sizes.costs.seconds(8) <= 1.1 * machine.plain(12, 1)


def test_a_stall_while_one_row_was_timed_makes_no_step_free() -> None:
    sizes = StepSizes(RowCosts(max_rows=512, piece_rows=PIECE))
    sizes.costs.calibrate(lambda n_rows, n_outputs: 1.0 if (n_rows, n_outputs) == (1, 1) else 0.001 * n_rows, 60.0)
    for n_rows in range(1, 60):
        assert sizes.costs.seconds(n_rows, 0) > 0
        sizes.measure(n_rows, 0, 0.001, depth=4.0)


def test_one_stall_of_the_machine_does_not_stop_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(QUIET_05B)
    sizes = calibrated(machine, monkeypatch)
    decode(machine, sizes, 1, 100)
    sizes.measure(16, 1, 3.0, 50.0)
    assert sizes.prefill_rows(1, 50.0) >= 5
    for _ in range(4):
        rows = sizes.prefill_rows(1, 50.0)
        sizes.measure(1 + rows, 1, machine.step(1 + rows, 1, 50.0 * rows), 50.0)
    assert sizes.prefill_rows(1, 50.0) >= 11


@pytest.mark.parametrize("stall", [5.0, 20.0, 60.0])
@pytest.mark.parametrize("n_before", [0, 6])
@pytest.mark.parametrize("name", ["0.5B tiled", "1.5B"])
def test_one_stall_in_a_large_step_does_not_keep_prompts_in_small_ones(
    name: str, n_before: int, stall: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(ALL[name])
    sizes = calibrated(machine, monkeypatch)
    for _ in range(n_before):
        prefill(machine, sizes, 1200)
    prefill(machine, sizes, 1200, stall=stall)
    for _ in range(10):
        prefill(machine, sizes, 300)
        rows = prefill(machine, sizes, 1200)
    assert median(rows) >= 56


@pytest.mark.parametrize("depth", [8_000, 16_000])
def test_beside_a_deep_stream_a_fresh_server_finds_that_large_steps_pay(
    depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(ALL["0.5B tiled"])
    sizes = calibrated(machine, monkeypatch)
    for _ in range(3):
        intrusion = intrude(machine, sizes, 1, depth=depth, n_prompt=2000)
    assert max(intrusion.rows) >= 60


def test_idle_rows_only_where_they_clearly_save(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(BUSY_15B, noise=0.0)
    sizes = calibrated(machine, monkeypatch)
    assert [sizes.idle_rows(n, n) for n in (1, 2, 3, 4, 7, 8)] == [0, 0, 1, 0, 1, 0]
    flat = Machine(Costs({1: 10, 60: 12}, 0, 0, 0), noise=0.02)
    sizes = calibrated(flat, monkeypatch)
    assert not any(sizes.idle_rows(n, n) for n in range(1, 60)), "a machine without groups, but with noise"


@pytest.mark.parametrize(("timed", "truth"), [(1.5, 1), (0.7, 0)])
def test_whether_idle_rows_save_is_tried_out_where_the_table_is_wrong(
    timed: float, truth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three rows cost 270 ms; four cost 184, or 340, and were timed in a bad moment, or a good one."""
    rows = BUSY_15B.rows | ({} if truth else {4: 340.0, 8: 420.0})
    machine = Machine(replace(BUSY_15B, rows=rows))
    monkeypatch.setattr(row_table, "perf_counter", lambda: machine.now)
    sizes = StepSizes(RowCosts(max_rows=512, piece_rows=PIECE))
    sizes.costs.calibrate(lambda n, outputs: machine.step(n, outputs) * (timed if n == 4 else 1))
    assert sizes.idle_rows(3, 3) != truth
    n_idle = []
    for _ in range(2000):
        n_idle.append(sizes.idle_rows(3, 3))
        sizes.measure(3 + n_idle[-1], 3, machine.step(3 + n_idle[-1], 3))
    assert n_idle[100:].count(truth) >= 0.9 * len(n_idle[100:]), "and trials are few"
    assert {sizes.idle_rows(1, 1) for _ in range(100)} == {0}, "what the table finds far dearer is not tried"


@pytest.mark.parametrize("name", ALL)
def test_background_rows_cost_the_streams_next_to_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(ALL[name], noise=0.0)
    sizes = calibrated(machine, monkeypatch)
    for n in range(1, 17):
        rows = n + sizes.filler_rows(n, n)
        plain_s = min(machine.plain(n + idle, n) for idle in range(4))
        assert machine.plain(rows, n) <= (1 + FILLER_SHARE) * 1.2 * plain_s
    assert any(sizes.filler_rows(n, n) for n in range(1, 17))


@pytest.mark.parametrize("name", ALL)
def test_with_nobody_decoding_a_step_takes_half_a_second(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(ALL[name])
    sizes = calibrated(machine, monkeypatch)
    for _ in range(20):
        rows = sizes.prefill_rows(0, 400.0)
        sizes.measure(rows, 0, machine.step(rows, 0, 400.0 * rows), 400.0)
    assert machine.plain(rows, 0, 400.0 * rows) <= 1.75 * ALONE_S
    assert rows % 4 == 0
    assert machine.plain(rows, 0) / rows <= 1.5 * machine.plain(PIECE, 0) / PIECE


def test_a_fast_machine_fills_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(Costs({1: 1.0, 60: 1.5}, 0, 0, 0))
    sizes = calibrated(machine, monkeypatch)
    assert sizes.prefill_rows(0) >= 480
    assert sizes.prefill_rows(1) >= 40, "almost as cheap a row as in a full batch"


def test_a_large_model_is_timed_in_little_more_than_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Costs({n: 20 * ms for n, ms in QUIET_15B.rows.items()}, 40, 140, 80)
    machine = Machine(slow)
    sizes = calibrated(machine, monkeypatch)
    assert machine.now <= 2.5
    assert sizes.costs.seconds(16) == pytest.approx(machine.plain(16, 1), rel=0.5), "what was not timed is guessed"
    assert sizes.prefill_rows(0) >= 12


@pytest.mark.parametrize("max_rows", [1, 2, 3, 5, 16, 64, 512, 2048])
@pytest.mark.parametrize("is_calibrated", [False, True])
def test_the_batch_is_never_overfilled_and_a_prompt_always_gets_on(max_rows: int, is_calibrated: bool) -> None:
    sizes = StepSizes(RowCosts(max_rows=max_rows, piece_rows=PIECE))
    if is_calibrated:
        sizes.costs.calibrate(lambda rows, outputs: 1e-5 * rows, 0.01)
    for n_decoding in range(20):
        free = max(0, max_rows - n_decoding)
        for depth in (0.0, 30_000.0):
            assert min(1, free) <= sizes.prefill_rows(n_decoding, depth) <= free
        if n_decoding:
            assert 0 <= sizes.filler_rows(n_decoding, n_decoding) <= free
            assert 0 <= sizes.idle_rows(n_decoding, n_decoding) <= free


def test_without_timings_the_first_step_sets_the_scale() -> None:
    sizes = StepSizes(RowCosts(max_rows=512, piece_rows=PIECE))
    sizes.measure(1, 1, 0.4)
    assert sizes.costs.seconds(1) == pytest.approx(0.4)
    assert sizes.costs.seconds(4) == pytest.approx(0.64)


def test_a_slow_step_is_predicted() -> None:
    sizes = StepSizes(RowCosts(max_rows=512, piece_rows=PIECE))
    sizes.measure(8, 8, 40.0)
    assert sizes.predicted_step_s >= 40.0


def test_decisions_are_quick() -> None:
    """Milliseconds of counting would cost a step more than it saves; this counts lookups, not time."""
    sizes = StepSizes(RowCosts(max_rows=512, piece_rows=PIECE))
    lookups = 0
    seconds = sizes.costs.seconds

    def counted(n_rows: int, n_outputs: int | None = None) -> float:
        nonlocal lookups
        lookups += 1
        return seconds(n_rows, n_outputs)

    sizes.costs.seconds = counted  # type: ignore[method-assign]
    sizes.prompt_slice(3, 500.0, [1000, 20], 0.0)
    sizes.idle_rows(3, 3)
    sizes.filler_rows(3, 3)
    assert lookups <= 250
