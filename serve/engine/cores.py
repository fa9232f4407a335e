"""What the cores have to offer: how many threads to begin with, and which numbers they multiply fast."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .host_memory import CGROUP

PARAMS_PER_THREAD = 32_000_000


def default_threads(n_params: int) -> int:
    """All cores that a container may use, but for a small model no more than have enough to do between two barriers."""
    return max(1, min(_physical_cores(), _quota(), n_params // PARAMS_PER_THREAD))


def multiplies_bfloat16() -> bool:
    """Whether they have instructions for it: it takes half the time of float32 then, and a fifth in large products."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except (OSError, ValueError):
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16"})


def _quota() -> int:
    """How many cores' time a container's limit leaves."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return sys.maxsize


def _physical_cores() -> int:
    """Cores this process may run on, counting hyper-threads once: they only get in each other's way."""
    try:
        allowed = os.sched_getaffinity(0)
        siblings = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
        return len({Path(siblings.format(cpu)).read_text() for cpu in allowed})
    except (AttributeError, OSError):
        return max(1, (os.cpu_count() or 2) // 2)
