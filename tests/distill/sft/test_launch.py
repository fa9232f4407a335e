"""Several processes learn what one learns; what goes wrong in them is told in a line."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import numpy as np
import pytest
from training_jobs import STEPS, make_job, rounding

from r1chat.distill.errors import DistillError
from r1chat.distill.hf.tensors import SafetensorsFolder
from r1chat.distill.sft.launch import _processes_of, train_here, train_launched

pytest.importorskip("trl", reason="needs the extra `distill`")
CONFIG = """\
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_GPU
use_cpu: true
num_processes: {processes}
num_machines: 1
machine_rank: 0
main_process_ip: 127.0.0.1
main_process_port: {port}
mixed_precision: "no"
"""


def accelerate_config(folder: Path, processes: int) -> Path:
    port = next(filter(is_free, random.sample(range(20_000, 32_000), 100)))
    path = folder / "accelerate.yaml"
    path.write_text(CONFIG.format(processes=processes, port=port))
    return path


def is_free(port: int) -> bool:
    """Of those that no system gives to whoever asks for any."""
    with socket.socket() as free:
        try:
            free.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (CONFIG.format(processes=4, port=1), 4),
        ('{"num_machines": 1, "num_processes": 3}', 3),
        ("# num_processes: 8\nuse_cpu: true\n", 1),
        ("fsdp_config:\n  num_processes: 8\nnum_processes: 2\n", 2),
        ("", 1),
    ],
)
def test_the_processes_that_a_configuration_asks_for_are_those_of_its_own_field(
    tmp_path: Path, text: str, asked: int
) -> None:
    (tmp_path / "accelerate").write_text(text)
    assert _processes_of(tmp_path / "accelerate") == asked


def test_a_configuration_that_cannot_be_read_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "accelerate.yaml").write_text("a: [\n")
    for path in (tmp_path / "accelerate.yaml", tmp_path / "none.yaml"):
        with pytest.raises(DistillError, match=r"^There is no configuration to read .* accelerate config$"):
            _processes_of(path)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    alone, together = make_job(tmp_path / "alone"), make_job(tmp_path / "together")
    losses: dict[str, list[float]] = {"alone": [], "together": []}
    said: list[str] = []
    train_here(alone, lambda _, numbers: losses["alone"].append(numbers["loss"]), said.append)
    outcome = train_launched(
        together,
        accelerate_config(tmp_path, 2),
        lambda _, numbers: losses["together"].append(numbers["loss"]),
        said.append,
    )
    assert (outcome.processes, outcome.steps) == (2, STEPS)
    assert losses["together"] == pytest.approx(losses["alone"], abs=rounding())
    one, two = SafetensorsFolder(alone.result), SafetensorsFolder(together.result)
    apart = np.concatenate([abs(one[name][0:] - two[name][0:]).ravel() for name in one])
    assert np.quantile(apart, 0.999) < max(5e-3, rounding())  # Adam moves a weight of no slope either way
    assert sorted(path.name for path in together.folder.glob("step-*")) == [f"step-{STEPS:08d}"]


@pytest.mark.slow
def test_a_configuration_that_accelerate_refuses_is_told_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "accelerate.yaml"
    path.write_text("no_such_key: 1\n")
    with pytest.raises(DistillError, match=r"ended with code 1.*r1chat distill sft"):
        train_launched(make_job(tmp_path / "job"), path, lambda *_: None, lambda _: None)


@pytest.mark.slow
def test_processes_that_were_asked_for_and_never_started_are_told(tmp_path: Path) -> None:
    """accelerate leaves MULTI_CPU to mpirun, and says nothing."""
    path = accelerate_config(tmp_path, 2)
    path.write_text(path.read_text().replace("MULTI_GPU", "MULTI_CPU"))
    said: list[str] = []
    job = make_job(tmp_path / "job", max_steps=1)
    assert train_launched(job, path, lambda *_: None, said.append).processes == 1
    assert any("asks for 2 processes, and accelerate started 1" in line for line in said)


def test_a_configuration_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match=r"none\.yaml.*accelerate config$"):
        train_launched(make_job(tmp_path / "job"), tmp_path / "none.yaml", lambda *_: None, lambda _: None)
