"""`r1chat bench engine` measures both loops on one file and compares them round by round."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from r1chat.app.commands import bench, bench_engine
from r1chat.serve.errors import ModelLoadError
from r1chat.serve.models.gguf.shapes import make_random_gguf


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers(dest="command"))
    return parser.parse_args(["bench", "engine", *arguments])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_gguf("tiny-qwen2", tmp_path_factory.mktemp("bench") / "tiny.gguf", "Q8_0")


@pytest.mark.slow
def test_json_holds_both_loops_at_one_and_eight_streams(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run(parsed("--model", str(model), "--rounds", "2", "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["model"], report["rounds"], len(report["measurements"])) == (str(model), 2, 8)
    assert report["threads"] >= 1
    one, eight = report["results"]
    assert (one["streams"], eight["streams"]) == (1, 8)
    for result in (one, eight):
        assert 0 < result["ratio_min"] <= result["ratio"] <= result["ratio_max"]
        assert result["engine_tokens_per_s"] > 0


@pytest.mark.slow
def test_loops_take_turns_at_going_first(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench.run(parsed("--model", str(model), "--rounds", "2", "--json"))
    measurements = json.loads(capsys.readouterr().out)["measurements"]
    order = [m["loop"] for m in measurements if m["streams"] == 8]
    assert order == ["bare", "engine", "engine", "bare"]


def test_ratio_is_the_median_of_the_rounds_own() -> None:
    # the machine slows down by ten between rounds; each pair still says 0.9
    speeds = [(90.0, 100.0), (9.0, 10.0), (0.9, 1.0)]
    measurements = [
        {"loop": loop, "streams": 1, "round": i, "tokens_per_s": speed}
        for i, pair in enumerate(speeds)
        for loop, speed in zip(("engine", "bare"), pair, strict=True)
    ]
    result = bench_engine._result(measurements, 1)
    assert result["ratio"] == pytest.approx(0.9)
    assert (result["engine_tokens_per_s"], result["bare_tokens_per_s"]) == (9.0, 10.0)


def test_table_says_whether_the_target_was_met() -> None:
    result = {"streams": 8, "engine_tokens_per_s": 95.0, "bare_tokens_per_s": 100.0, "ratio_min": 0.9, "ratio_max": 1.0}
    assert bench_engine._table(2, 5, [{**result, "ratio": 0.95}]).endswith("at each: met")
    assert bench_engine._table(2, 5, [{**result, "ratio": 0.94}]).endswith("at each: missed")


def test_file_that_does_not_load_is_one_line_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(ModelLoadError, match=r"damaged\.gguf") as error:
        bench.run(parsed("--model", str(path)))
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_number_of_streams_is_a_choice(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run(parsed("--model", str(model), "--rounds", "1", "--streams", "3,20", "--json")) == 0
    assert [result["streams"] for result in json.loads(capsys.readouterr().out)["results"]] == [3, 20]


@pytest.mark.parametrize("rounds", ["0", "-1", "x", "1001"])
def test_odd_number_of_rounds_is_a_usage_error(rounds: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        parsed("--rounds", rounds)
    assert stopped.value.code == 2


def test_measuring_process_alone_imports_llama_cpp(model: Path) -> None:
    code = (
        "import argparse, sys; from pathlib import Path; from r1chat.app.commands import bench_engine;"
        f"lines = list(bench_engine._child_lines(Path({str(model)!r}), 1, (1, 8)));"
        "sys.exit(len(lines) != 5 or 'llama_cpp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
