"""What memory the machine has to spare, and how large a pool of cells it allows. Loads nothing: either side may ask."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path
from typing import ClassVar

from .config import KvType

# Requests share one pool of cells; up to this size, or a share of what memory is available, it holds a full
# context for each of them.
KV_POOL_BYTES = 1 << 30
KV_POOL_SHARE = 4
CELLS_STEP = 256
# numbers in a block, bytes of a block
_KV_BLOCKS: dict[KvType, tuple[int, int]] = {"f16": (1, 2), "q8_0": (32, 34), "q4_0": (32, 18)}
_UNKNOWN_MEMORY = 4 << 30
CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Bytes that could be had without swapping: the machine's, or what a container's limit leaves."""
    free = [_meminfo("MemAvailable"), _cgroup_available(), _sysconf_available(), _windows("ullAvailPhys")]
    known = [n_bytes for n_bytes in free if n_bytes is not None]
    return min(known, default=_UNKNOWN_MEMORY)


def total_memory() -> int:
    """Bytes of the machine, or a container's limit where that is lower."""
    total = [_meminfo("MemTotal"), _cgroup_limit(), _sysconf_total(), _windows("ullTotalPhys")]
    return min((n_bytes for n_bytes in total if n_bytes is not None), default=_UNKNOWN_MEMORY)


def pool_cells(*, n_ctx: int, n_seq_max: int, cell_bytes: int, available: int) -> int:
    """A full context for each running request as far as memory goes, and for one in any case; in tokens."""
    pool_bytes = min(KV_POOL_BYTES, available // KV_POOL_SHARE)
    return whole_cells(max(n_ctx, min(n_ctx * n_seq_max, pool_bytes // max(1, cell_bytes))))


def whole_cells(n_cells: int) -> int:
    """As llama.cpp rounds them up."""
    return -(-n_cells // CELLS_STEP) * CELLS_STEP


def kv_bytes(n_values: int, kv_type: KvType) -> int:
    """What so many numbers of keys or values take in the cache; a head's have to be whole blocks."""
    block, block_bytes = _KV_BLOCKS[kv_type]
    return n_values * block_bytes // block


def fits_kv_type(head_size: int, kv_type: KvType) -> bool:
    """Whether heads of that many numbers can be stored so."""
    return head_size % _KV_BLOCKS[kv_type][0] == 0


def _meminfo(name: str) -> int | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _cgroup_limit() -> int | None:
    try:
        return int((CGROUP / "memory.max").read_text())
    except (OSError, ValueError):
        return None


def _cgroup_available() -> int | None:
    limit = _cgroup_limit()
    try:
        if limit is None:
            return None
        used = int((CGROUP / "memory.current").read_text())
        # Files that were read count as used, weights of earlier loads above all; they give way like anywhere.
        kept = re.findall(r"^(?:in)?active_file (\d+)", (CGROUP / "memory.stat").read_text(), re.MULTILINE)
        return max(0, limit - used + sum(map(int, kept)))
    except (OSError, ValueError):
        return None


def _sysconf_total() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _sysconf_available() -> int | None:
    """Where nothing tells what is free, half of what there is."""
    total = _sysconf_total()
    return None if total is None or _meminfo("MemAvailable") is not None else total // 2


class _MemoryStatus(ctypes.Structure):
    """Windows' MEMORYSTATUSEX."""

    _fields_: ClassVar = [
        *((name, ctypes.c_uint32) for name in ("dwLength", "dwMemoryLoad")),
        *((name, ctypes.c_uint64) for name in ("ullTotalPhys", "ullAvailPhys", "ullTotalPageFile", "ullAvailPageFile")),
        *((name, ctypes.c_uint64) for name in ("ullTotalVirtual", "ullAvailVirtual", "ullAvailExtendedVirtual")),
    ]


def _windows(field: str) -> int | None:
    if sys.platform != "win32":
        return None
    status = _MemoryStatus(dwLength=ctypes.sizeof(_MemoryStatus))
    return int(getattr(status, field)) if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None
