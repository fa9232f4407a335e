"""Options that size the engine: what they mean, and what contradicts."""

from __future__ import annotations

import argparse
import math

import pytest

from r1chat.app.cli import _parser
from r1chat.app.commands.engine_options import model_limits, server_load_options
from r1chat.app.errors import UsageError
from r1chat.app.values import duration, size
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.models.residents.manager import Limits
from r1chat.serve.models.specs import LoadOptions


def parsed(*arguments: str, command: str = "serve") -> argparse.Namespace:
    return _parser().parse_args([command, *arguments])


def config(*arguments: str) -> EngineConfig:
    return server_load_options(parsed(*arguments)).engine


@pytest.mark.parametrize("command", ["serve", "ui"])
def test_without_options_the_engine_has_its_own_defaults(command: str) -> None:
    args = parsed(command=command)
    assert server_load_options(args) == LoadOptions()
    assert model_limits(args) == Limits()


def test_every_option_reaches_the_engine() -> None:
    made = config(
        *"--ctx 4096 --threads 3 --parallel 4 --kv-tokens 8192 --host-cache 1.5G".split(),
        *"--keep-cache --no-speculate --gpu-layers 7".split(),
    )
    assert made.cache_folder is not None and made.cache_folder.parent.name == "r1chat"
    assert made == EngineConfig(
        n_ctx=4096,
        n_threads=3,
        n_seq_max=4,
        n_cells=8192,
        host_cache_bytes=1536 * 2**20,
        cache_folder=made.cache_folder,
        speculate=False,
        n_gpu_layers=7,
    )
    options = server_load_options(parsed("--kv-type", "q8_0", "--quantize", "nf4"))
    assert (options.kv_type, options.quantization) == ("q8_0", "nf4")
    limits = model_limits(parsed(*"--memory 6G --max-models 2 --keep-alive 30m".split()))
    assert limits == Limits(memory_bytes=6 * 2**30, max_models=2, keep_alive_s=1800)


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("0", 0), ("4096", 4096), ("512M", 2**29), ("2G", 2**31), ("2g", 2**31), ("2GiB", 2**31), ("0.5k", 512)],
)
def test_a_size_has_a_unit_or_is_bytes(text: str, n_bytes: int) -> None:
    assert size(text) == n_bytes


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("0", 0), ("forever", math.inf)]
)
def test_a_time_has_a_unit_or_is_seconds(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--host-cache", "lots"], "'lots' is no size; sizes are 0, 512M or 1.5G"),
        (["--host-cache", "-1"], "argument --host-cache: "),
        (["--keep-alive", "soon"], "'soon' is no time; times are 90s, 30m, 2h or forever"),
        (["--memory", "0"], "0 holds no model; leave it out for what is free"),
        (["--max-models", "0"], "0 is too small; 1 is the least"),
        (["--parallel", "0"], "0 is too small; 1 is the least"),
        (["--parallel", "1000"], "1000 is too large; 128 is the most"),
        (["--parallel", "two"], "'two' is no whole number"),
        (["--threads", "0"], "0 is too small; 1 is the least"),
        (["--kv-tokens", "5"], "5 is too small; 64 is the least"),
        (["--cache-scope", "mine"], "argument --cache-scope: invalid choice: 'mine'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        _parser().parse_args(["serve", *arguments])
    error = capsys.readouterr().err
    assert (stopped.value.code, error.count("\n")) == (2, 1) and problem in error


def test_keeping_a_cache_that_is_off_is_a_contradiction() -> None:
    with pytest.raises(UsageError, match="--host-cache 0 turns that off"):
        config("--keep-cache", "--host-cache", "0")
