"""Looks whether everything works here: llama.cpp, devices, memory, folders, the port. For `r1chat doctor`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..serve.engine.host_memory import available_memory, total_memory
from ..serve.errors import R1ChatError
from ..serve.models.catalog import models_folder
from ..serve.models.fit.machine import LlamaBuild, ask_llama_cpp
from ..serve.models.hub.cache import cache_folder
from ..serve.models.sizes import human

State = Literal["ok", "note", "broken"]

# Less is not enough for the smallest R1 model and what its download needs besides.
LITTLE_DISK = 2 << 30
LITTLE_MEMORY = 1 << 30
_LLAMA_FLAGS = {"CUDA": "-DGGML_CUDA=on", "Metal": "-DGGML_METAL=on", "Vulkan": "-DGGML_VULKAN=on"}


@dataclass(frozen=True)
class Check:
    """`text` for a person in one line, `help` the command that mends or betters it, `data` for scripts."""

    name: str
    state: State
    text: str
    help: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def machine_checks(port: int) -> list[Check]:
    """All that concerns no model. Takes about a second."""
    return [_versions(), *_llama_cpp(), _memory(), *_folders(), _port(port)]


def gpu_commands() -> dict[str, str]:
    """What to type so that llama.cpp is built for each kind of graphics card."""
    version = importlib.metadata.version("llama-cpp-python")
    build = f"pip install --force-reinstall --no-cache-dir --no-deps llama-cpp-python=={version}"
    return {name: f'CMAKE_ARGS="{flag}" {build}' for name, flag in _LLAMA_FLAGS.items()}


def _versions() -> Check:
    version = importlib.metadata.version("r1chat")
    system = f"{platform.system()} {platform.machine()}"
    data = {"r1chat": version, "python": platform.python_version(), "system": system, "executable": sys.executable}
    return Check("r1chat", "ok", f"{version}, Python {platform.python_version()}, {system}", data=data)


def _llama_cpp() -> list[Check]:
    try:
        build = ask_llama_cpp()
    except R1ChatError as error:
        return [Check("llama.cpp", "broken", str(error), "pip install --force-reinstall llama-cpp-python")]
    on = [name for name, value in build.flags.items() if value == "1"]
    data = {"version": build.version, "flags": build.flags, "gpu_offload": build.gpu_offload}
    return [Check("llama.cpp", "ok", f"{build.version}: {' '.join(on)}", data=data), _devices(build)]


def _devices(build: LlamaBuild) -> Check:
    data: dict[str, Any] = {"devices": list(build.devices)}
    if build.gpus:
        cards = ", ".join(f"{gpu.description} ({human(gpu.free)} of {human(gpu.total)} free)" for gpu in build.gpus)
        return Check("computes on", "ok", cards, data=data)
    cpu = next((device["description"] for device in build.devices if device["kind"] == "cpu"), "CPU")
    if build.gpu_offload:
        return Check("computes on", "note", f"{cpu}; built for graphics cards, and none is seen", data=data)
    kind, data["commands"] = _likely_card(), gpu_commands()
    if kind is None:
        return Check("computes on", "ok", f"{cpu}; to compute on a graphics card, build llama.cpp for it:", data=data)
    return Check("computes on", "note", f"{cpu}; here is a card for {kind}, so build llama.cpp for it:", data=data)


def _likely_card() -> str | None:
    """Which build this machine could use, as far as its driver shows."""
    if sys.platform == "darwin":
        return "Metal" if platform.machine() == "arm64" else None
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists():
        return "CUDA"
    return "Vulkan" if shutil.which("vulkaninfo") else None


def _memory() -> Check:
    total, available = total_memory(), available_memory()
    text = f"{human(available)} of {human(total)} free"
    data = {"total": total, "available": available}
    if available < LITTLE_MEMORY:
        return Check("memory", "note", f"{text}; too little for R1 models", "r1chat run demo hi", data)
    return Check("memory", "ok", text, data=data)


def _folders() -> list[Check]:
    return [_folder("downloads", cache_folder()), _folder("own models", models_folder())]


def _folder(name: str, path: Path) -> Check:
    """Whether something can be written there, or could be if the folder were made."""
    there = next(parent for parent in (path, *path.parents) if os.path.exists(parent))
    free = shutil.disk_usage(there).free
    data = {"path": str(path), "free": free, "writable": _is_writable(there)}
    if not data["writable"]:
        return Check(name, "broken", f"{path} cannot be written to", f"ls -ld {there}", data)
    text = f"{path}, {human(free)} free on its disk"
    if free < LITTLE_DISK:
        return Check(name, "note", f"{text}; too little for R1 models", "r1chat list", data)
    return Check(name, "ok", text, data=data)


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _port(port: int) -> Check:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return Check("port", "ok", f"{port} is free", data={"port": port, "free": True})
    except OSError as error:
        text = f"{port} cannot be had ({os.strerror(error.errno or 0)})"
        other = f"r1chat --port {port + 1 if port < 65535 else 0}"
        return Check("port", "note", text, other, {"port": port, "free": False})
