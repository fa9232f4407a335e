"""What this machine has: memory, and the devices that the installed llama.cpp can compute on.

llama.cpp is asked in a child process, and only where it was built for more than the CPU.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...engine.host_memory import available_memory, total_memory
from ...errors import R1ChatError

_CPU_LIBRARIES = ("base", "cpu", "blas", "rpc")
_TIMEOUT_S = 60.0


class BuildError(R1ChatError):
    """llama.cpp is not installed, or cannot be loaded."""


@dataclass(frozen=True)
class Device:
    """A graphics card, in bytes. `unified`: its memory is the machine's own."""

    name: str
    description: str
    total: int
    free: int
    unified: bool = False


@dataclass(frozen=True)
class Machine:
    """In bytes. What is available could be had without swapping, within a container's limit."""

    ram_total: int
    ram_available: int
    gpus: tuple[Device, ...] = ()


@dataclass(frozen=True)
class LlamaBuild:
    """What the installed llama.cpp says of itself. `flags` are its build's; `devices` are all it sees, the CPU too."""

    version: str
    gpu_offload: bool
    flags: dict[str, str] = field(default_factory=dict)
    devices: tuple[dict[str, Any], ...] = ()

    @property
    def gpus(self) -> tuple[Device, ...]:
        return tuple(
            Device(
                device["name"],
                device["description"],
                device["total"],
                device["free"],
                unified=device["kind"] == "igpu" or device["name"].startswith(("Metal", "MTL")),
            )
            for device in self.devices
            if device["kind"] in ("gpu", "igpu")
        )


def look() -> Machine:
    """As it is now. Takes a millisecond, or a second where there may be a graphics card. Raises BuildError."""
    gpus = ask_llama_cpp().gpus if _may_have_gpus() else ()
    return Machine(ram_total=total_memory(), ram_available=available_memory(), gpus=gpus)


def ask_llama_cpp() -> LlamaBuild:
    """Version, flags and devices, from a child process. Raises BuildError."""
    command = [sys.executable, "-P", "-m", "r1chat.serve.engine.llama.devices"]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=True
        )
        said = json.loads(child.stdout.strip().splitlines()[-1])
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        raise BuildError(f"llama.cpp cannot be loaded ({lines[-1] if lines else error.returncode}).") from error
    except (subprocess.TimeoutExpired, OSError, ValueError, IndexError) as error:
        raise BuildError(f"llama.cpp gives no answer ({error}).") from error
    return LlamaBuild(said["version"], said["gpu_offload"], _flags(said["system_info"]), tuple(said["devices"]))


def _flags(system_info: str) -> dict[str, str]:
    """Of "CPU : AVX = 1 | AVX2 = 1 | CUDA : ARCHS = 900 |": the name of a backend is left out."""
    pairs = (part.rpartition(":")[2].split("=") for part in system_info.split("|") if "=" in part)
    return {name.strip(): value.strip() for name, value in pairs}


def _may_have_gpus() -> bool:
    """False where llama.cpp lies in parts as usual and none of them is for a graphics card."""
    found = importlib.util.find_spec("llama_cpp")
    if found is None or found.origin is None:
        return False
    folder = Path(found.origin).parent / "lib"
    backends = {name.split("ggml-", 1)[1].split(".")[0] for name in _names(folder) if "ggml-" in name}
    return not backends or any(not backend.startswith(_CPU_LIBRARIES) for backend in backends)


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []
