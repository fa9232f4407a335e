"""What the system says of a server's processes, from /proc; zeros where there is none."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
# fields of /proc/PID/stat, counted after the name, which may hold anything
_PARENT, _USER, _SYSTEM = 1, 11, 12


def cpu_seconds(pid: int) -> float:
    """Processor time of the process and its descendants so far."""
    ticks = sum(int(stat[_USER]) + int(stat[_SYSTEM]) for stat in _family(pid).values())
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> dict[int, int]:
    """Memory that each of them occupies, mapped files left out: the model's file comes and goes as the system likes."""
    return {member: _anonymous_bytes(member) for member in _family(pid)}


def _anonymous_bytes(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def _family(pid: int) -> dict[int, list[str]]:
    stats = {int(path.name): stat for path in _PROC.glob("[0-9]*") if (stat := _stat(path))}
    members = [pid] if pid in stats else []
    for member in members:
        members += [child for child, stat in stats.items() if int(stat[_PARENT]) == member]
    return {member: stats[member] for member in members}


def _stat(folder: Path) -> list[str]:
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
