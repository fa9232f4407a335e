"""What the machine is said to have, on this one and on made-up ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from r1chat.serve.engine import cores, host_memory
from r1chat.serve.models.fit.machine import BuildError, LlamaBuild, ask_llama_cpp, look


def test_this_machine_has_memory_and_a_build_that_computes_on_its_cpu() -> None:
    machine = look()
    assert 0 < machine.ram_available <= machine.ram_total
    build = ask_llama_cpp()
    assert build.version and any(device["kind"] == "cpu" for device in build.devices)
    assert build.flags
    assert machine.gpus == build.gpus


def test_cards_are_told_from_the_cpu_and_from_those_without_memory_of_their_own() -> None:
    devices = [
        {"name": "CPU", "description": "a CPU", "kind": "cpu", "free": 9, "total": 9},
        {"name": "CUDA0", "description": "a card", "kind": "gpu", "free": 5, "total": 8},
        {"name": "Vulkan0", "description": "in the CPU", "kind": "igpu", "free": 4, "total": 8},
        {"name": "MTL0", "description": "Apple's", "kind": "gpu", "free": 4, "total": 8},
        {"name": "BLAS", "description": "a library", "kind": "accelerator", "free": 0, "total": 0},
    ]
    gpus = LlamaBuild("1", True, {}, tuple(devices)).gpus
    assert [(gpu.name, gpu.free, gpu.unified) for gpu in gpus] == [
        ("CUDA0", 5, False),
        ("Vulkan0", 4, True),
        ("MTL0", 4, True),
    ]


def test_a_llama_cpp_that_cannot_be_loaded_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **_: object) -> None:
        raise subprocess.CalledProcessError(1, "x", stderr="Traceback\n  File\nOSError: libcuda.so.1 is missing\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(BuildError, match=r"^llama\.cpp cannot be loaded \(OSError: libcuda\.so\.1 is missing\)\.$"):
        ask_llama_cpp()


def test_a_containers_limit_counts_before_the_machines_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\ninactive_file 250000\nactive_file 50000\nslab 9\n")
    monkeypatch.setattr(host_memory, "CGROUP", tmp_path)
    assert (host_memory.total_memory(), host_memory.available_memory()) == (1_000_000, 600_000)
    (tmp_path / "memory.max").write_text("max\n")
    assert host_memory.total_memory() > 1_000_000


def test_planning_loads_neither_numpy_nor_llama_cpp() -> None:
    code = (
        "import sys; import r1chat.serve.models.fit.plan, r1chat.serve.models.fit.machine;"
        "sys.exit(any(m in sys.modules for m in ('numpy', 'gguf', 'llama_cpp')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("limit", "n_threads"), [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64)]
)
def test_a_container_gets_no_more_threads_than_it_may_use_cores(
    limit: str, n_threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    monkeypatch.setattr(cores, "CGROUP", tmp_path)
    monkeypatch.setattr(cores, "_physical_cores", lambda: 64)
    assert cores.default_threads(7_000_000_000) == n_threads
