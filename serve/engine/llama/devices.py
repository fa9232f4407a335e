"""Says, as one line of JSON on stdout, what this build of llama.cpp can compute on. Run as a module, in a child."""

from __future__ import annotations

import ctypes
import json
from typing import Any

import llama_cpp
from llama_cpp._ctypes_extensions import load_shared_library
from llama_cpp._ggml import libggml, libggml_base_path

_KINDS = ("cpu", "gpu", "igpu", "accelerator", "meta")


def report() -> dict[str, Any]:
    """Version, build flags and devices; memory in bytes."""
    return {
        "version": llama_cpp.__version__,
        "system_info": llama_cpp.llama_print_system_info().decode(errors="replace"),
        "gpu_offload": bool(llama_cpp.llama_supports_gpu_offload()),
        "devices": _devices(),
    }


def _devices() -> list[dict[str, Any]]:
    device_at = _function("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    name_of = _function("ggml_backend_dev_name", ctypes.c_char_p, ctypes.c_void_p)
    description_of = _function("ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)
    kind_of = _function("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    size = ctypes.POINTER(ctypes.c_size_t)
    memory_of = _function("ggml_backend_dev_memory", None, ctypes.c_void_p, size, size)
    devices = []
    for index in range(_function("ggml_backend_dev_count", ctypes.c_size_t)()):
        device = device_at(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        memory_of(device, ctypes.byref(free), ctypes.byref(total))
        devices.append(
            {
                "name": name_of(device).decode(errors="replace"),
                "description": description_of(device).decode(errors="replace"),
                "kind": _KINDS[kind_of(device)],
                "free": free.value,
                "total": total.value,
            }
        )
    return devices


def _function(name: str, result: Any, *arguments: Any) -> Any:
    """Of ggml, which the Python package loads and does not describe; part of it lies in a library of its own."""
    function = getattr(libggml, name, None) or getattr(load_shared_library("ggml-base", libggml_base_path), name)
    function.restype, function.argtypes = result, list(arguments)
    return function


if __name__ == "__main__":
    print(json.dumps(report()))
