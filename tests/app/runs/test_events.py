"""A run's numbers while another process writes them: each line once, whole lines only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1chat.app.runs.events import EventLog
from r1chat.app.runs.lines import Lines
from r1chat.app.runs.series import KEPT, Series
from r1chat.distill.run_folder import RunFolder


def test_lines_come_once_and_only_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = Lines(path, lambda: None)
    assert list(lines.new()) == []
    path.write_bytes(b"one\ntwo\nthr")
    assert list(lines.new()) == [(0, b"one\n"), (4, b"two\n")]
    assert list(lines.new()) == []
    with path.open("ab") as file:
        file.write(b"ee\n")
    assert list(lines.new()) == [(8, b"three\n")]


def test_a_look_at_a_long_file_stops_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"12345\n" * 10)
    lines = Lines(path, lambda: None)
    assert len(list(lines.new(most=12))) == 2
    assert len(list(lines.new())) == 8


@pytest.mark.parametrize("how", ["shorter", "another file"])
def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path, how: str) -> None:
    folder = RunFolder(tmp_path)
    folder.log("sft", 1, loss=2.0)
    folder.log("sft", 2, loss=1.0)
    log = EventLog(tmp_path / "events.jsonl")
    log.read_on()
    assert log.series["sft", "loss"].points() == [(1.0, 2.0), (2.0, 1.0)]
    if how == "another file":
        other = tmp_path / "aside"
        other.write_bytes((tmp_path / "events.jsonl").read_bytes() * 3)
        other.replace(tmp_path / "events.jsonl")
        log.read_on()
        assert log.series["sft", "loss"].points() == [(1.0, 2.0), (2.0, 1.0)]
    else:
        (tmp_path / "events.jsonl").write_text("")
        folder.log("base", 1, loss=9.0)
        log.read_on()
        assert list(log.series) == [("base", "loss")]


def test_what_distill_logs_is_what_is_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log("generate", 4, share=0.5, traces=4)
    folder.log("generate", 5, sample="row", length=17)
    folder.log("sft", 1, share=0.1, loss=3)
    log = EventLog(tmp_path / "events.jsonl")
    log.read_on()
    assert (list(log.stages), log.current) == (["generate", "sft"], "sft")
    assert (log.stages["generate"].share, log.stages["sft"].share) == (0.5, 0.1)
    # what belongs to one row is no number over steps
    assert set(log.series) == {("generate", "share"), ("generate", "traces"), ("sft", "share"), ("sft", "loss")}


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[]", b"null", b"\xff\xfe", b'{"stage": "sft"}', b'{"time": 1, "stage": "sft", "step": "x"}',
        b'{"time": 1, "stage": "sft", "step": 1, "metric": "loss", "value": NaN}',
        b'{"time": 1, "stage": "sft", "step": 1, "metric": "loss", "value": 1e999}',
        b'{"time": 1, "stage": [], "step": 1, "metric": "loss", "value": 1}',
    ],
)  # fmt: skip
def test_a_damaged_line_takes_no_other_with_it(tmp_path: Path, line: bytes) -> None:
    good = json.dumps({"time": 1.0, "stage": "sft", "step": 2, "metric": "loss", "value": 1}).encode()
    (tmp_path / "events.jsonl").write_bytes(line + b"\n" + good + b"\n")
    log = EventLog(tmp_path / "events.jsonl")
    log.read_on()
    assert log.series["sft", "loss"].points() == [(2.0, 1.0)]


def test_a_resumed_stage_does_its_steps_anew() -> None:
    series = Series()
    for step, value in [(1, 9.0), (2, 8.0), (3, 7.0), (2, 6.0), (3, 5.0)]:
        series.add(step, value)
    assert series.points() == [(1.0, 9.0), (2.0, 6.0), (3.0, 5.0)]


def test_a_drawn_series_is_short_and_keeps_its_ends_and_spikes() -> None:
    series = Series()
    for step in range(5000):
        series.add(step, 100.0 if step == 1234 else -100.0 if step == 4321 else 1.0)
    points = series.points()
    assert len(points) <= 500
    assert (points[0], points[-1]) == ((0.0, 1.0), (4999.0, 1.0))
    assert {(1234.0, 100.0), (4321.0, -100.0)} <= set(points)
    assert [step for step, _ in points] == sorted(step for step, _ in points)


def test_a_series_of_any_length_takes_bounded_memory() -> None:
    series = Series()
    for step in range(5 * KEPT):
        series.add(step, float(step))
    assert len(series) < 2 * KEPT
    assert series.last == 5 * KEPT - 1
