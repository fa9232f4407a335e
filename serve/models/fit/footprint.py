"""What a process has in memory, as the system counts it. Reads only; takes milliseconds per gigabyte."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Footprint:
    """Bytes. `pss` counts of what it shares with other processes its part alone; None where nobody tells."""

    rss: int
    pss: int | None = None


def footprint(pid: int) -> Footprint | None:
    """None where there is no such process."""
    try:
        told = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE))
        return Footprint(int(told["Rss"]) * 1024, int(told["Pss"]) * 1024)
    except (OSError, KeyError):
        return None if Path("/proc/self").exists() else _from_ps(pid)


def _from_ps(pid: int) -> Footprint | None:
    try:
        command = ["ps", "-o", "rss=", "-p", str(pid)]
        return Footprint(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 1024)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
