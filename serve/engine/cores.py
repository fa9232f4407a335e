"""How many threads to begin with: the cores this process may use, and what a model has for them to do."""

from __future__ import annotations

import os
from pathlib import Path

PARAMS_PER_THREAD = 32_000_000


def default_threads(n_params: int) -> int:
    """All cores, but for a small model no more than have enough to do between two barriers."""
    return max(1, min(_physical_cores(), n_params // PARAMS_PER_THREAD))


def _physical_cores() -> int:
    """Cores this process may run on, counting hyper-threads once: they only get in each other's way."""
    try:
        allowed = os.sched_getaffinity(0)
        siblings = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
        return len({Path(siblings.format(cpu)).read_text() for cpu in allowed})
    except (AttributeError, OSError):
        return max(1, (os.cpu_count() or 2) // 2)
